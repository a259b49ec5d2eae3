"""Real clips through everything: load, track, write, check, score, draw, train, measure."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests import released
from tests.conftest import ROOT, one_line_error, run_cli, run_process

CLIPS = ROOT.parent / "shared" / "data" / "davis-mini"
pytestmark = pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips of davis-mini are not here")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint in the released format for one class, by the weight rule."""
    folder = tmp_path_factory.mktemp("clips")
    filled = dict(released.released_checkpoint())
    for leaf, shape in (("weight", [2, 256]), ("bias", [2])):
        key = f"detr.class_embed.layers.1.{leaf}"
        filled[key] = torch.from_numpy(np.asarray(released._entry(key, shape)))
    filled["criterion.empty_weight"] = torch.ones(2)
    torch.save({"model": filled}, folder / "ifc.pth")
    return folder


def predict(folder, name: str, *options: str):
    return run_process(
        "predict", f"--data={CLIPS}", f"--checkpoint={folder / 'ifc.pth'}", "--short-edge=64",
        f"--out={folder / name}", "--device=cpu", *options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def predicted(folder):
    for name, options in (
        ("near.json", ["--window=5", "--stride=4"]),
        ("offline.json", ["--offline"]),
    ):
        done = predict(folder, name, *options)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["near.json", "offline.json"])
def test_results_are_whole_and_pass_the_check(name, predicted):
    entries = json.loads((predicted / name).read_text())
    assert {e["video_id"] for e in entries} == {1, 2}
    lengths = {1: 40, 2: 35}
    for entry in entries:
        assert len(entry["segmentations"]) == lengths[entry["video_id"]]
        assert entry["score"] > 0.01
        sizes = {tuple(s["size"]) for s in entry["segmentations"] if s}
        assert sizes == {(240, 432)}
    checked = run_cli(
        "data", "validate", str(CLIPS), f"--predictions={predicted / name}"
    )  # fmt: skip
    assert f"{len(entries)} entries, no faults" in checked.stdout


def test_results_are_scored(predicted):
    done = run_cli(
        "evaluate", f"--ground-truth={CLIPS / 'instances.json'}",
        f"--predictions={predicted / 'near.json'}", "--format=json",
    )  # fmt: skip
    assert 0 <= json.loads(done.stdout)["AP"] <= 1


def test_strips_are_drawn(predicted):
    """A row for the truth and one for each results file; the truth differs from the bare frames."""
    out = predicted / "pictures"
    done = run_cli(
        "visualize", f"--data={CLIPS}", f"--predictions={predicted / 'near.json'}",
        f"--predictions={predicted / 'offline.json'}", f"--out={out}", "--columns=3",
        "--threshold=0.7",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open(out / "video-2.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    coloured = np.ptp(pixels, axis=2) > 60  # these clips are greyer than the colours of tracks
    truth, near, offline = np.array_split(coloured, 3)
    assert min(truth.sum(), near.sum(), offline.sum()) > 500
    assert (truth[: len(offline)] != offline).mean() > 0.01


def test_attention_is_drawn(folder):
    out = folder / "attention.png"
    done = run_cli(
        "attention", f"--data={CLIPS}", f"--checkpoint={folder / 'ifc.pth'}", "--video=1",
        "--short-edge=96", f"--out={out}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of 8 tokens" in done.stdout
    with Image.open(out) as picture:
        assert picture.width > 5 * 100, "five frames side by side"


def test_another_number_of_classes_is_one_line(folder):
    torch.save({"model": released.released_checkpoint()}, folder / "forty.pth")
    done = run_process(
        "predict", f"--data={CLIPS}", f"--checkpoint={folder / 'forty.pth'}",
        f"--out={folder / 'x.json'}",
    )  # fmt: skip
    assert "categories: has 1, the model has 40 classes" in one_line_error(done)
    assert not (folder / "x.json").exists()


def test_neither_or_both_models_is_one_line(folder):
    done = run_process("predict", f"--data={CLIPS}", f"--out={folder / 'x.json'}")
    assert "give exactly one of the two" in one_line_error(done)


def test_the_clips_have_no_faults():
    done = run_cli("data", "validate", str(CLIPS))
    assert done.returncode == 0, done.stdout


def test_training_evaluation_and_profile_run_on_the_clips(tmp_path):
    """The smoke preset on clips of 40 and 35 frames, at 64 pixels of height."""
    done = run_process(
        "run", "decoder", "--preset=smoke", "--seeds=1", "--window=5", "--short-edge=64",
        f"--data={CLIPS}", f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "incomplete" not in done.stdout
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| Unified", "| Decomp"))]
    assert all("–" not in row for row in rows)
