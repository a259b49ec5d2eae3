"""Predicted peak memory, compared with the CPU's allocator."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.config import (
    DecompTHW,
    Footprint,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
    RandomWeights,
)
from ifc_bench.hardware.catalogue import gpu_model
from ifc_bench.measuring import footprints, two_steps
from ifc_bench.measuring.cuda_autocast import cuda_autocast
from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.footprints import measure_footprint, predict_footprint
from ifc_bench.measuring.subject import random_network
from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.report.footprints import verdict
from tests.conftest import cpu_flags, tiny_model

VARIANTS = [NoComm(), FullTHW(), DecompTHW(), InterFrame()]

# Elsewhere torch's own convolution takes oneDNN's place, and copies (docs/measuring.md).
half_precision_without_copies = pytest.mark.skipif(
    "avx512bw" not in cpu_flags(), reason="oneDNN has bfloat16 convolutions with AVX-512 alone"
)


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


def large(precision: str, attention: str = "materialised") -> int:
    """The predicted peak of Full THW at 720x1280 and T = 20 on a GPU."""
    model = ModelConfig(communication=FullTHW(), attention=attention)
    work = Footprint(model=model, frames=20, height=720, width=1280, precision=precision, version=2)
    return predict_footprint(work).peak_bytes


def test_half_precision_does_not_halve_materialised_attention_on_a_gpu():
    """CUDA's softmax is in float32, and its result is cast again for the product."""
    length = 20 * 23 * 40
    peak = large("fp16")
    assert peak > 8 * 8 * length**2 > 21e9, "8 heads, 8 bytes a weight"
    assert verdict(peak, gpu_model("v100-16gb")) == "does not fit"
    assert large("bf16") > 8 * 10 * length**2, "torch copies bfloat16 scores before its softmax"


def test_half_precision_halves_fused_attention_on_a_gpu():
    full, half = large("fp32", "efficient"), large("bf16", "efficient")
    assert half < 0.65 * full < 3e9


@pytest.mark.parametrize(
    ("context", "bytes_of_a_weight"),
    [
        (torch.no_grad(), 4 + 4),
        (cuda_autocast(torch.float16), 2 + 4 + 2),
        (cuda_autocast(torch.bfloat16), 2 + 4 + 4),
        (torch.autocast("cpu", torch.bfloat16), 2 + 2),
    ],
    ids=["fp32", "fp16", "bf16", "bf16 on a CPU"],
)
def test_the_weights_of_attention_that_live_at_once(context, bytes_of_a_weight):
    """By hand. fp32: scores and weights. fp16: scores, float32 weights, their copy for the product.

    bf16: scores, their float32 copy and the weights, since only float16 scores are read as such.
    On a CPU scores and weights, both in half precision.
    """
    heads, length, width = 2, 1024, 8
    with FakeTensorMode(), torch.no_grad():
        attention = MultiHeadAttention(width, heads, 0.0, "materialised").eval()
        x, live = torch.zeros(1, length, width), LiveBytes()
        with live, context:
            attention(x, x, x)
    linear = 40 * 4 * length * width  # what grows with `length` alone is less
    least = bytes_of_a_weight * heads * length**2
    assert least <= live.peak.bytes <= least + linear < 1.2 * least


@half_precision_without_copies
@pytest.mark.parametrize("talk", [FullTHW(), InterFrame()], ids=lambda talk: talk.kind)
def test_half_precision_on_a_cpu_goes_by_its_own_list(talk):
    """bf16 alone: oneDNN has no fp16 convolution for most CPUs, and what takes its place copies."""
    model = ModelConfig(communication=talk)
    work = clip(model, 5, height=192, width=288, precision="bf16", version=2)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    rises = [result.peak_bytes - result.weights_bytes for result in (expected, measured)]
    assert rises[0] == pytest.approx(rises[1], rel=0.05)


@pytest.mark.parametrize(
    ("purpose", "peak"), [("inference", 398_115_772), ("training", 3403054164)]
)
def test_predictions_of_released_works_are_those_of_old_records(purpose, peak):
    """In fp32, without the tracker: to the byte what was predicted before version 2."""
    model = ModelConfig(communication=FullTHW())
    work = Footprint(model=model, purpose=purpose, frames=5, height=360, width=640)
    assert predict_footprint(work).peak_bytes == peak


def test_the_trackers_state_is_in_the_prediction():
    """Where attention is the peak: T windows of probabilities and one of sums, of 10 instances."""
    model = ModelConfig(communication=FullTHW())
    old, new = (
        predict_footprint(
            Footprint(model=model, frames=20, height=360, width=640, version=version)
        ).peak_bytes
        for version in (1, 2)
    )
    masks = 10 * 20 * 45 * 80 * 4
    assert new - old == pytest.approx(21 * masks, rel=0.01)


@pytest.mark.parametrize("frames", [5, 20])
def test_with_the_tracker_the_prediction_is_within_a_percent(frames):
    height = 192 if frames == 5 else 128
    work = clip(ModelConfig(), frames, height=height, width=height * 3 // 2, version=2)
    expected, measured = predict_footprint(work), measure_footprint(work, "cpu")
    rises = [result.peak_bytes - result.weights_bytes for result in (expected, measured)]
    assert rises[0] == pytest.approx(rises[1], rel=0.01)


def test_the_loss_is_outside_mixed_precision(monkeypatch):
    """As in the trainer: logits come in half precision, and losses are taken in float32."""
    seen = []

    def losses(prediction, *others, **named):
        seen.append((prediction.mask_logits.dtype, torch.is_autocast_enabled("cpu")))
        return real(prediction, *others, **named)

    real = two_steps.losses
    monkeypatch.setattr(two_steps, "losses", losses)
    predict_footprint(clip(tiny_model(), 2, purpose="training", precision="fp16", allocator="cuda"))
    assert seen == [(torch.float16, False)] * 2, "two steps"


def test_a_training_step_in_half_precision_goes_by_the_gpus_list():
    """By hand: softmax in float32 is kept for the backward pass, with its copy for the product."""
    model = ModelConfig(communication=FullTHW())
    work = clip(model, 6, height=192, width=288, precision="fp16", purpose="training", version=2)
    gpu, cpu = (
        predict_footprint(work.model_copy(update={"allocator": kind})).peak_bytes
        for kind in ("cuda", "cpu")
    )
    weights = 8 * (6 * 6 * 9) ** 2
    assert gpu - cpu > 3 * 2 * weights, "in each of three layers"


def test_half_precision_takes_less():
    """At small frames autocast's copies of the weights cost more than the maps save."""
    full, half = (
        predict_footprint(clip(ModelConfig(), 5, height=192, width=288, precision=p)).peak_bytes
        for p in ("fp32", "bf16")
    )
    assert half < full


def test_random_weights_find_as_many_objects_as_asked():
    model, frames = tiny_model(), torch.randint(0, 256, (3, 3, 32, 48), dtype=torch.uint8)
    network = random_network(RandomWeights(model=model, instances=4), torch.device("cpu"), frames)
    with torch.inference_mode():
        best = network(frames[None]).class_logits[0].argmax(-1)
    assert int((best < model.classes).sum()) == 4


def test_out_of_memory_is_a_result(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(footprints, "_peak", full)
    found = measure_footprint(clip(tiny_model(), 2), "cpu")
    assert found.peak_bytes is None
    assert found.asked_bytes == 2 << 30
