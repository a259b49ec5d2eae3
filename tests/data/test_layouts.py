"""One annotation file or directory of any layout is enough for every command that reads clips."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from ifc_bench.data.catalogue import adopt
from ifc_bench.data.files import Files
from ifc_bench.data.layouts import LAYOUTS
from ifc_bench.data.loading import VideoDataset
from ifc_bench.errors import UserError
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli
from tests.released import released_checkpoint

PAIRS = sorted({pair for pairs in LAYOUTS.values() for pair in pairs})


def lay_out(source: Path, root: Path, listing: str, images: str, word: str) -> Path:
    annotations, frames = root / listing.format(word), root / images.format(word)
    annotations.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "train" / "instances.json", annotations)
    shutil.copytree(source / "train" / "JPEGImages", frames, dirs_exist_ok=True)
    return annotations


@pytest.mark.parametrize("word", ["train", "val", "test"])
@pytest.mark.parametrize(("listing", "images"), PAIRS)
def test_the_frames_of_an_annotation_file_are_found(listing, images, word, data_folder, tmp_path):
    path = lay_out(data_folder, tmp_path, listing, images, word)
    files = Files.at(path)
    assert files.images.resolve() == (tmp_path / images.format(word)).resolve()
    if word != "test":
        assert Files.at(tmp_path).annotations == path, "by the directory as well"
    assert len(VideoDataset(files).videos) == 5


def test_validate_takes_them_without_images(data_folder, tmp_path):
    path = lay_out(data_folder, tmp_path, "annotations_{}.json", "Images/{}", "train")
    for given in (path, tmp_path):
        done = run_cli("data", "validate", given)
        assert done.stdout == f"{path}: no faults\n", done.stderr
    lay_out(data_folder, tmp_path, "annotations_{}.json", "Images/{}", "valid")
    line = one_line_error(run_cli("data", "validate", tmp_path))
    assert "several annotation files (annotations_train.json, annotations_valid.json)" in line


@pytest.mark.parametrize("layout", ["youtube-vis-2019", "folder"])
def test_run_takes_what_split_writes(layout, data_folder, tmp_path):
    """Also as a set that is called held out, for its videos are of the training set."""
    path = lay_out(data_folder, tmp_path / "set", "{}.json", "{}/JPEGImages", "train")
    local = tmp_path / "local"
    done = run_cli("data", "split", path, f"--out={local}", "--share=0.4", "--seed=3")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    note = json.loads((local / "split.json").read_text())
    assert note == {"source": "train.json", "share": 0.4, "seed": 3}
    store = Store(tmp_path / "r", tmp_path / "x")
    adopted = adopt(local, layout, store)
    assert adopted.data.name == f"{layout}-held-out"
    assert (adopted.train.videos, adopted.valid.videos) == (3, 2)
    for split in ("train", "valid"):
        data = VideoDataset(store.data_path(adopted.data) / split)
        assert data.frames(data.videos[0], [0]).shape[1] == 3
        assert Files.at(local / f"{split}.json").images.is_dir()


def test_frames_that_are_not_there_are_asked_for(data_folder, tmp_path):
    shutil.copy(data_folder / "train" / "instances.json", tmp_path / "train.json")
    done = run_cli("data", "split", tmp_path / "train.json", f"--out={tmp_path / 'a'}")
    assert done.returncode == 0
    assert "the frames of" in done.stderr
    assert "or give --images" in done.stderr
    frames = data_folder / "train" / "JPEGImages"
    done = run_cli(
        "data", "split", tmp_path / "train.json", f"--out={tmp_path / 'b'}", f"--images={frames}"
    )
    assert done.stderr == ""
    assert len(VideoDataset(tmp_path / "b" / "valid").videos) == 1
    with pytest.raises(UserError, match="no such directory, for the frames of"):
        Files.at(tmp_path / "a" / "valid")


def test_a_released_checkpoint_on_a_local_split_is_a_warning(data_folder, tmp_path):
    """Its videos are some of those that public checkpoints were trained on."""
    path = lay_out(data_folder, tmp_path / "set", "{}.json", "{}/JPEGImages", "train")
    run_cli("data", "split", path, f"--out={tmp_path / 'local'}", "--share=0.2")
    torch.save({"model": released_checkpoint()}, tmp_path / "ifc.pth")
    given = (f"--checkpoint={tmp_path / 'ifc.pth'}", "--device=cpu", f"--out={tmp_path / 'r.json'}")
    done = run_cli("predict", tmp_path / "local" / "valid.json", *given)
    assert done.stderr.startswith("warning: released checkpoints were trained on all training")
    assert "has 3, the model has 40 classes" in done.stderr, "these clips are not of its set"
    plain = run_cli("predict", path, *given)
    assert "warning" not in plain.stderr
