"""The order of frames: unknown to the paper's network, known with `time_positions`."""

import math

import pytest
import torch

from ifc_bench.config import DecompTHW, FullTHW, InterFrame, NoComm
from ifc_bench.models.build import build_model
from ifc_bench.models.inference_form import inference_form
from ifc_bench.models.position import time_positions
from tests.conftest import tiny_model

VARIANTS = [NoComm(), FullTHW(), DecompTHW(), InterFrame(memory_tokens=3)]


def network(talk, **changes):
    torch.manual_seed(3)
    return build_model(tiny_model(talk, **changes)).double().eval()


def clip(frames: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, frames, 3, 32, 48), generator=generator).double()


@pytest.mark.parametrize("timed", [False, True], ids=["paper", "+time"])
@pytest.mark.parametrize("talk", VARIANTS, ids=lambda talk: talk.kind)
@torch.no_grad()
def test_only_with_time_does_the_order_of_frames_matter(talk, timed):
    order, made = [3, 0, 4, 1, 2], network(talk, time_positions=timed)
    there, moved = made(clip()), made(clip()[:, order])
    classes = (there.class_logits - moved.class_logits).abs().max()
    masks = (there.mask_logits[:, :, order] - moved.mask_logits).abs().max()
    if timed:
        assert classes > 1e-6
        assert masks > 1e-6
    else:
        assert max(classes, masks) < 1e-10


@pytest.mark.parametrize("talk", VARIANTS, ids=lambda talk: talk.kind)
@torch.no_grad()
def test_without_time_equal_grey_frames_of_a_window_get_the_same_drawing(talk):
    frames = clip(6)
    frames[:, [1, 2, 4]] = 127.0
    drawn = network(talk)(frames).mask_logits
    for other in (2, 4):
        torch.testing.assert_close(drawn[:, :, 1], drawn[:, :, other], rtol=0, atol=1e-10)
    if talk.kind != "none":
        timed = network(talk, time_positions=True)(frames).mask_logits
        assert (timed[:, :, 1] - timed[:, :, 4]).abs().max() > 1e-6


@pytest.mark.parametrize("talk", VARIANTS, ids=lambda talk: talk.kind)
@torch.no_grad()
def test_the_shared_form_is_the_same_function(talk):
    made = network(talk, time_positions=True)
    expected = made(clip())
    found = inference_form(made, "shared")(clip())
    torch.testing.assert_close(found.mask_logits, expected.mask_logits, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.class_logits, expected.class_logits, rtol=0, atol=1e-9)


def test_values_by_hand():
    """Four channels: periods 1, 1, 10, 10; sine on even ones, cosine on odd ones."""
    found = time_positions(torch.tensor([0, 7]), 2, 4)
    assert found.shape == (2, 2, 4)
    for number, row in zip((0, 1, 7, 8), found.flatten(0, 1).tolist(), strict=True):
        wanted = [math.sin(number), math.cos(number), math.sin(number / 10), math.cos(number / 10)]
        assert row == pytest.approx(wanted, abs=1e-6)


def test_a_training_clip_begins_anywhere_and_a_tested_one_at_zero(monkeypatch):
    """So that a window of 20 has only positions that clips of 5 were trained with."""
    from ifc_bench.models import ifc

    begun: list[int] = []

    def recorded(first, frames, width):
        begun.extend(first.tolist())
        return time_positions(first, frames, width)

    monkeypatch.setattr(ifc, "time_positions", recorded)
    made = build_model(tiny_model(NoComm(), time_positions=True))
    with torch.no_grad():
        made.eval()(clip().float())
        assert begun == [0]
        for _ in range(60):
            made.train()(clip(2)[..., :8, :8].float())
    assert set(begun) <= set(range(35))
    assert len(set(begun)) > 20
    assert max(begun) > 28
