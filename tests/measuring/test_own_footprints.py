"""Memory of a user's own network: predicted as it is measured, or not, with the reason."""

import re

import pytest

from ifc_bench.config import Footprint
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import gpu_model
from ifc_bench.hardware.device import describe_device
from ifc_bench.measuring.footprints import check_all, measure_footprint, predict_footprint
from ifc_bench.models.own_network import own_network
from ifc_bench.provenance import provenance
from ifc_bench.records import Record
from ifc_bench.report.footprints import render_check, render_fits
from ifc_bench.report.frames import footprints_frame
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli
from tests.measuring.test_footprints import half_precision_without_copies
from tests.measuring.test_own_network import LAST, MASK_RCNN, TINY, VIDEOMT

ATTENDS = """
import torch
import torch.nn.functional as F
from torch import nn


class Attends(nn.Module):
    \"\"\"Attention over all cells of a clip, beside tensors that are no parameter or buffer.\"\"\"

    def __init__(self):
        super().__init__()
        self.body, self.scale = nn.Conv2d(3, 32, 8, stride=8), [torch.tensor(255.0)]
        self.rate = torch.linspace(0, 1, 3)[1].item()

    def forward(self, clip):
        maps = self.body(clip / self.scale[0]).relu() * self.rate
        cells = maps.flatten(2).transpose(1, 2).reshape(1, -1, 32)
        weights = (cells @ cells.transpose(1, 2)).softmax(-1)
        mixed = (weights @ cells).view(len(clip), -1, 32).transpose(1, 2).view_as(maps)
        return mixed.mean((0, 2, 3))[:6].softmax(0).expand(5, 6), mixed[:, :5].transpose(0, 1)
"""


def clip(source: str, **changes: object) -> Footprint:
    work = Footprint(
        model=own_network(source), frames=5, height=192, width=288, allocator="cpu", version=2
    )
    return work.model_copy(update=changes)


@pytest.mark.parametrize(
    ("code", "name", "precision"),
    [
        (TINY, "Tiny", "fp32"),
        pytest.param(TINY, "Tiny", "bf16", marks=half_precision_without_copies),
        (ATTENDS, "Attends", "fp32"),  # in bf16 a CPU's product of matrices has a workspace
    ],
)
def test_the_prediction_is_within_1_percent_of_the_allocators_peak(write, code, name, precision):
    """Only the part above the weights is compared; both trackers are given ten instances."""
    work = clip(write(code) + name, precision=precision)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    assert expected.weights_bytes == measured.weights_bytes
    rises = [result.peak_bytes - result.weights_bytes for result in (expected, measured)]
    assert rises[0] == pytest.approx(rises[1], rel=0.01)


def test_attention_over_a_clip_is_seen(write):
    """By hand: scores and weights of all pairs of cells."""
    work = clip(write(ATTENDS) + "Attends", allocator="cuda")
    assert predict_footprint(work).peak_bytes > 2 * 4 * (5 * 24 * 36) ** 2


def test_nothing_of_it_is_allocated(write):
    """A clip whose weights of attention take 60 GB."""
    work = clip(write(ATTENDS) + "Attends", frames=36, height=768, width=1280, allocator="cuda")
    assert predict_footprint(work).peak_bytes > 2 * 4 * (36 * 96 * 160) ** 2 / 2 > 60e9


def test_videomt_of_transformers(write):
    pytest.importorskip("transformers", reason="pip install ifc-bench[networks] adds VidEoMT")
    resized = 'F.interpolate(clip / 255, (side, side), mode="bilinear")'
    assert resized in VIDEOMT
    code = VIDEOMT.replace(resized, "clip / 255")  # a CPU's resizing has copies within the kernel
    work = clip(write(code) + "VidEoMT", height=96, width=96)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    rises = [result.peak_bytes - result.weights_bytes for result in (expected, measured)]
    assert rises[0] == pytest.approx(rises[1], rel=0.05)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("maps = maps * len(maps.nonzero())", "aten::nonzero cannot run without the values"),
        ("maps = maps * maps.max().item()", "cannot run without the values of its tensors"),
        ("maps = undefined_name", "NameError: name 'undefined_name' is not defined"),
    ],
)
def test_the_reason_for_no_prediction_is_told(write, tmp_path, body, reason):
    code = TINY.replace("        scores =", f"        {body}\n        scores =")
    work, store = clip(write(code) + "Tiny"), Store(tmp_path, tmp_path)
    result = predict_footprint(work)
    assert result.peak_bytes is None
    assert result.weights_bytes > 0
    assert reason in (result.not_predicted or "")
    record = Record.of(work, provenance("cpu", 1), result)
    store.save(record)
    read = next(iter(store.records("footprint")))
    assert read == record
    shown = render_fits([read], [gpu_model("v100-16gb")], "github")
    assert f"Tiny: not predicted: {result.not_predicted}" in shown
    assert re.search(r"\| Tiny +\| own .*\| – +\| – +\|", shown)


def test_an_answer_in_another_form_is_refused(write):
    code = TINY.replace(LAST, "        return scores, maps[0]")
    with pytest.raises(UserError, match=r"mask_logits .*; return .class_probabilities"):
        predict_footprint(clip(write(code) + "Tiny"))


def test_what_cannot_be_predicted_is_measured_all_the_same(write, tmp_path):
    """A detector frame by frame: suppression of boxes needs their values."""
    few = "box_detections_per_img=10, rpn_post_nms_top_n_test=10"
    source = write(MASK_RCNN.replace("box_detections_per_img=10", few)) + "MaskRCNN"
    work = clip(source, frames=1, height=32, width=48)
    store, here = Store(tmp_path, tmp_path), describe_device("cpu", 1)
    store.prepare()
    pairs = check_all([work], store, "cpu", here, lambda done, total: None)
    (predicted, measured), *rest = pairs
    assert not rest
    assert predicted.status == measured.status == "ok"
    assert measured.result.peak_bytes > 150e6, "44 M parameters"
    assert measured.work.measured_on == here.name
    shown = render_check(pairs, "the allocator", "github")
    assert "MaskRCNN: not predicted: " in shown
    frame = footprints_frame(store)
    assert set(frame["communication"]) == {source}
    assert list(frame["variant"]) == ["MaskRCNN"] * 2
    assert frame["peak_bytes"].isna().sum() == 1


def test_the_command_has_it_beside_the_built_in_networks(write, tmp_path):
    source = write(TINY) + "Tiny"
    done = run_cli(
        "fit", "--model", source, "--communication", "none", "--window", "2", "--device", "cpu",
        "--frame-size", "32x48", "--check", "--results", str(tmp_path / "r"),
        "--attention", "materialised",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fits, check = done.stdout.split("Prediction against")
    assert [line.split("|")[1].strip() for line in fits.splitlines() if "32x48" in line] == [
        "none", "Tiny",
    ]  # fmt: skip
    assert re.search(r"\| Tiny +\| own .* \| fits +\| fits +\| fits +\|", fits)
    assert re.search(r"\| Tiny +\| own .*[+-]\d+\.\d\d% +\|", check)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--for", "training"), "--for: a training step of --model is not predicted"),
        (("--attention", "flash"), "--attention: is of the built-in networks"),
        (("--forecast", "results"), "--forecast: is of the built-in networks"),
    ],
)
def test_what_it_has_not_is_refused(write, tmp_path, options, message):
    where = ("--results", str(tmp_path / "r"), "--device", "cpu")
    refused = run_cli("fit", "--model", write(TINY) + "Tiny", *options, *where)
    assert message in one_line_error(refused)
    assert not (tmp_path / "r").exists()
