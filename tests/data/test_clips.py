"""A user's own video files and frames become a data set, and are predicted as they are."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.clips import is_clip, write_clips
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError
from ifc_bench.masks import decode
from tests.conftest import ROOT, one_line_error, run_cli
from tests.released import released_checkpoint

SIZE = (48, 64)
needs_av = pytest.mark.skipif(
    importlib.util.find_spec("av") is None, reason="needs PyAV: pip install av"
)


def colours(count: int) -> list[np.ndarray]:
    """Frames whose brightness says their number."""
    return [np.full((*SIZE, 3), 20 + 30 * number, np.uint8) for number in range(count)]


def film(path: Path, count: int = 7) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for pixels in colours(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def frames(folder: Path, count: int = 4) -> Path:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(colours(count)):
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def means(data: VideoDataset, row: int) -> list[float]:
    video = data.videos[row]
    found = data.frames(video, list(range(video.length))).float()
    return found.mean((1, 2, 3)).tolist()


@needs_av
def test_a_video_file_becomes_a_data_set(tmp_path):
    out = tmp_path / "mine"
    film(tmp_path / "dog.mp4")
    done = run_cli("data", "from-video", tmp_path / "dog.mp4", "--out", out)
    assert done.stdout == f"{out}: 1 clip, 7 frames\n", done.stderr
    assert list(data_faults(out / "instances.json", out / "JPEGImages")) == []
    data = VideoDataset(out)
    assert [c.name for c in data.instances.categories] == ["object"]
    assert data.videos[0].file_names[:2] == ["dog/00000.jpg", "dog/00001.jpg"]
    assert means(data, 0) == pytest.approx([20 + 30 * n for n in range(7)], abs=4)
    write_clips([tmp_path / "dog.mp4"], tmp_path / "few", every=3)
    few = VideoDataset(tmp_path / "few")
    assert few.videos[0].file_names == ["dog/00000.jpg", "dog/00003.jpg", "dog/00006.jpg"]
    assert means(few, 0) == pytest.approx([20, 110, 200], abs=4)


def test_frames_and_masks_as_in_davis_become_a_data_set(tmp_path):
    """A frame without a mask has no instance; 255 is none, and frames are copied to the byte."""
    source = frames(tmp_path / "goat")
    masks = tmp_path / "masks" / "goat"
    masks.mkdir(parents=True)
    numbers = np.zeros(SIZE, np.uint8)
    numbers[:10, :20], numbers[30:, 40:], numbers[0, 0] = 1, 2, 255
    for name in ("000", "002"):
        Image.fromarray(numbers).save(masks / f"{name}.png")
    done = run_cli(
        "data", "from-video", source, "--out", tmp_path / "mine", "--masks", masks.parent,
        "--classes", "animal", "other",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = read_instances(tmp_path / "mine" / "instances.json")
    assert [c.name for c in found.categories] == ["animal", "other"]
    assert [[r is not None for r in a.rles] for a in found.annotations] == [
        [True, False, True, False]
    ] * 2
    assert decode(found.annotations[0].rles[0]).sum() == 199
    assert decode(found.annotations[1].rles[2]).sum() == 18 * 24
    copied = tmp_path / "mine" / "JPEGImages" / "goat" / "001.png"
    assert copied.read_bytes() == (source / "001.png").read_bytes()
    assert VideoDataset(tmp_path / "mine").sample(0, [0, 1]).masks.shape == (2, 2, *SIZE)


def test_masks_of_no_frame_are_refused(tmp_path):
    source = frames(tmp_path / "goat.v1")
    with pytest.raises(UserError, match=r"goat\.v1: has no mask of a frame; .* 000\.png"):
        write_clips([source], tmp_path / "out", masks=tmp_path / "typo")
    assert not (tmp_path / "out").exists()


def test_masks_are_of_frames_as_they_are_seen(tmp_path):
    """A phone's picture that is stored lying: its mask is upright, as its annotation is."""
    source, masks = tmp_path / "in" / "goat", tmp_path / "masks" / "goat"
    source.mkdir(parents=True)
    masks.mkdir(parents=True)
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (60, 40)).save(source / "0.jpg", exif=exif)
    upright = np.zeros((60, 40), np.uint8)
    upright[:6, :10] = 1
    Image.fromarray(upright).save(masks / "0.png")
    write_clips([source], tmp_path / "out", masks=masks.parent)
    data = VideoDataset(tmp_path / "out")
    assert (data.videos[0].height, data.videos[0].width) == (60, 40)
    assert data.sample(0, [0]).masks.sum() == 60


def test_classes_have_names_of_their_own(tmp_path):
    source = frames(tmp_path / "goat")
    with pytest.raises(UserError, match="--classes: a, a: each class needs a name of its own"):
        write_clips([source], tmp_path / "out", classes=["a", "a"])


FAULTS = {
    "gone": (lambda place: place / "none.mp4", "no such video, nor directory of frames"),
    "empty": (lambda place: frames(place / "empty", 0), "has no frames"),
    "sizes": (lambda place: mixed(place), "frame 9.png is 5x6, others are 48x64"),
    "text": (lambda place: written(place / "a.png", b"no image"), "not a readable image of JPEG"),
}


def mixed(place: Path) -> Path:
    folder = frames(place / "mixed")
    Image.new("RGB", (6, 5)).save(folder / "9.png")
    return folder


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path.parent


@pytest.mark.parametrize(("make", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_no_clip_is_one_line_and_leaves_nothing(make, message, tmp_path):
    source = make(tmp_path / "in" if message.startswith("not a") else tmp_path)
    done = run_cli("data", "from-video", source, "--out", tmp_path / "out")
    assert message in one_line_error(done)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


@needs_av
def test_a_damaged_video_is_one_line(tmp_path):
    (tmp_path / "dog.mp4").write_bytes(b"no video at all")
    with pytest.raises(UserError, match=r"dog\.mp4: not a readable video \(") as caught:
        write_clips([tmp_path / "dog.mp4"], tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_without_pyav_its_name_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "dog.mp4").write_bytes(b"")
    with pytest.raises(UserError, match="needs PyAV: pip install av, or name a directory"):
        write_clips([tmp_path / "dog.mp4"], tmp_path / "out")


def test_used_directories_and_equal_names_are_refused(tmp_path):
    source, other = frames(tmp_path / "goat"), frames(tmp_path / "more" / "goat")
    with pytest.raises(UserError, match="another clip has the name goat"):
        write_clips([source, other], tmp_path / "out")
    with pytest.raises(UserError, match="already exists; choose another directory"):
        write_clips([source], source)


def test_the_smallest_file_of_the_docs_is_whole(tmp_path):
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    path = tmp_path / "instances.json"
    path.write_text(text.partition("```json\n")[2].partition("```")[0])
    for name in ("0", "1"):
        (tmp_path / "JPEGImages" / "dog").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(tmp_path / "JPEGImages" / "dog" / f"{name}.jpg")
    assert list(data_faults(path, tmp_path / "JPEGImages")) == []
    [annotation] = read_instances(path).annotations
    assert [rle is None for rle in annotation.rles] == [True, False]
    assert decode(annotation.rles[1]).nonzero()[1].tolist() == [1, 1], "of the second column"


def test_what_is_a_clip(data_folder, tmp_path):
    assert is_clip(Path("a.MP4"))
    assert is_clip(frames(tmp_path / "goat"))
    assert not is_clip(data_folder / "valid")
    assert not is_clip(data_folder / "valid" / "instances.json")
    assert not is_clip(tmp_path)


@pytest.mark.parametrize("kind", [pytest.param("film", marks=needs_av), "frames"])
def test_predict_takes_a_clip_as_it_is(kind, tmp_path, monkeypatch):
    """And says how to look at the results; the same command again takes the same frames."""
    monkeypatch.chdir(tmp_path)
    torch.save({"model": released_checkpoint()}, tmp_path / "ifc.pth")
    clip = film(tmp_path / "dog.mp4", 3) if kind == "film" else frames(tmp_path / "dog", 3)
    given = ("predict", clip.name, "--checkpoint=ifc.pth", "--window=2", "--device=cpu")
    done = run_cli(*given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "dog.results.json: " in done.stdout
    look = "visualize --data dog.results-frames --predictions dog.results.json"
    assert f"to look at them: {look} --out dog.results-pictures --gif" in done.stdout
    truth = read_instances(Path("dog.results-frames/instances.json"))
    assert [c.name for c in truth.categories][::39] == ["class 1", "class 40"]
    first = Path("dog.results.json").read_text()
    assert {entry["video_id"] for entry in json.loads(first)} <= {1}
    assert run_cli(*given, cwd=tmp_path).returncode == 0
    assert Path("dog.results.json").read_text() == first
    if kind == "frames":
        Image.new("RGB", SIZE[::-1], (9, 9, 9)).save(clip / "001.png")
        other = run_cli(*given, cwd=tmp_path)
        assert "already exists" in one_line_error(other), "frames of the clip as it was"
    drawn = run_cli(
        "visualize", "--data", "dog.results-frames", "--predictions", "dog.results.json",
        "--out", "pictures", "--threshold=0.01", cwd=tmp_path,
    )  # fmt: skip
    assert drawn.returncode == 0, drawn.stderr
    shutil.rmtree("dog.results-frames")
    Path("dog.results-frames").mkdir()
    Path("dog.results-frames/other").touch()
    assert "already exists; choose another directory" in one_line_error(
        run_cli(*given, cwd=tmp_path)
    )
