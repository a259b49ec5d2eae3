"""Predicted peak memory, compared with the CPU's allocator."""

import pytest

from ifc_bench.config import (
    DecompTHW,
    Footprint,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
    RandomWeights,
)
from ifc_bench.measuring import footprints
from ifc_bench.measuring.footprints import measure_footprint, predict_footprint
from ifc_bench.measuring.subject import random_network
from tests.conftest import tiny_model

VARIANTS = [NoComm(), FullTHW(), DecompTHW(), InterFrame()]


def clip(model: ModelConfig, frames: int, **changes: object) -> Footprint:
    work = Footprint(model=model, frames=frames, height=64, width=96, allocator="cpu")
    return work.model_copy(update=changes)


@pytest.mark.parametrize("attention", ["materialised", "flash"])
@pytest.mark.parametrize("frames", [5, 20])
@pytest.mark.parametrize("talk", VARIANTS, ids=lambda talk: talk.kind)
def test_the_prediction_is_within_5_percent_of_the_allocators_peak(talk, frames, attention):
    """Only the part above the weights is compared, because weights would hide an error."""
    model = ModelConfig(communication=talk, attention=attention)
    height = 192 if frames == 5 else 128  # oneDNN's copies of weights are left out (see below)
    work = clip(model, frames, height=height, width=height * 3 // 2)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    assert expected.weights_bytes == measured.weights_bytes
    assert expected.peak_bytes is not None
    assert measured.peak_bytes is not None
    rises = [result.peak_bytes - result.weights_bytes for result in (expected, measured)]
    assert rises[0] == pytest.approx(rises[1], rel=0.05)


def test_frames_so_small_that_copies_of_weights_count():
    """oneDNN copies the weights of a convolution, which the prediction leaves out."""
    work = clip(ModelConfig(), 5)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    assert expected.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.05)


@pytest.mark.parametrize("talk", [FullTHW(), InterFrame()], ids=lambda talk: talk.kind)
def test_training_too(talk):
    work = clip(ModelConfig(communication=talk), 3, purpose="training", clips=2)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    assert expected.peak_bytes == pytest.approx(measured.peak_bytes, rel=0.02)
    assert expected.peak_bytes > 4 * expected.weights_bytes, "weights, gradients, two moments"


def test_fused_attention_saves_what_full_attention_materialises():
    peaks = [
        predict_footprint(
            Footprint(
                model=ModelConfig(communication=FullTHW(), attention=attention),
                frames=36,
                height=360,
                width=640,
            )
        ).peak_bytes
        for attention in ("materialised", "efficient")
    ]
    weights_of_one_layer = 8 * (36 * 240) ** 2 * 4
    assert peaks[0] - peaks[1] > weights_of_one_layer


def test_half_precision_takes_less():
    """At small frames autocast's copies of the weights cost more than the maps save."""
    full, half = (
        predict_footprint(clip(ModelConfig(), 5, height=192, width=288, precision=p)).peak_bytes
        for p in ("fp32", "bf16")
    )
    assert half < full


def test_random_weights_find_as_many_objects_as_asked():
    import torch

    model, frames = tiny_model(), torch.randint(0, 256, (3, 3, 32, 48), dtype=torch.uint8)
    network = random_network(RandomWeights(model=model, instances=4), torch.device("cpu"), frames)
    with torch.inference_mode():
        best = network(frames[None]).class_logits[0].argmax(-1)
    assert int((best < model.classes).sum()) == 4


def test_out_of_memory_is_a_result(monkeypatch):
    import torch

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(footprints, "_peak", full)
    found = measure_footprint(clip(tiny_model(), 2), "cpu")
    assert found.peak_bytes is None
    assert found.asked_bytes == 2 << 30
