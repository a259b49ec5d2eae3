"""The same numbers on a GPU: the released network's, and those of the CPU."""

import pytest
import torch

from ifc_bench.config import InterFrame, LossConfig
from ifc_bench.models.arithmetic import arithmetic
from ifc_bench.models.build import build_model
from ifc_bench.models.checkpoint import load_released_checkpoint
from ifc_bench.models.criterion import losses
from ifc_bench.structures import Target
from ifc_bench.tracking import ClipTracker
from tests.conftest import tiny_model
from tests.models.test_release import CASES, distances, inputs
from tests.released import released_checkpoint

CLASS_LIMIT, MASK_LIMIT = 1e-3, 4e-3  # those of a CPU that sums in another order than the recording


@pytest.fixture(scope="module")
def released():
    return {d: load_released_checkpoint(released_checkpoint(d)).to("cuda:0") for d in (50, 101)}


@pytest.mark.parametrize("name", CASES)
def test_the_released_network_in_float32(name, released, gpu):
    clips, sizes = inputs(name)
    with torch.inference_mode():
        found = released[101 if name == "r101" else 50](
            clips.to(gpu), None if sizes is None else sizes.to(gpu)
        )
    found = type(found)(found.class_logits.cpu(), found.mask_logits.cpu())
    classes, masks = distances(found, name)
    print(f"{name}: class logits {classes:.1e}, mask logits {masks:.1e}")
    assert classes < CLASS_LIMIT
    assert masks < MASK_LIMIT


def step(device: torch.device):
    """Loss and gradients of one training step of a small network."""
    torch.manual_seed(0)
    network = build_model(tiny_model(InterFrame(memory_tokens=2))).train().to(device)
    generator = torch.Generator().manual_seed(1)
    clips = torch.randint(0, 256, (2, 3, 3, 64, 96), dtype=torch.uint8, generator=generator)
    masks = (torch.rand(2, 2, 3, 16, 24, generator=generator) > 0.7).float()
    targets = [Target(torch.tensor([0, 2]), masks[i]).to(device) for i in range(2)]
    parts = losses(network(clips.to(device)), targets, LossConfig())
    torch.stack(list(parts.values())).sum().backward()
    gradients = {name: p.grad.cpu() for name, p in network.named_parameters() if p.grad is not None}
    return {name: value.item() for name, value in parts.items()}, gradients


def test_losses_and_gradients_are_those_of_the_cpu(gpu):
    ours, theirs = step(gpu), step(torch.device("cpu"))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-4)
    for name, gradient in theirs[1].items():
        distance = (ours[1][name] - gradient).norm() / gradient.norm().clamp(min=1e-8)
        assert distance < 1e-2, name


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_near_float32(precision, released, gpu):
    if precision == "bf16" and torch.cuda.get_device_capability(gpu) < (8, 0):
        pytest.skip("this GPU has no bfloat16")
    clips, _ = inputs("T5")
    with torch.inference_mode():
        exact = released[50](clips.to(gpu)).class_logits.float().softmax(-1)
        with arithmetic(gpu, precision):
            rough = released[50](clips.to(gpu)).class_logits.float().softmax(-1)
    assert (exact - rough).abs().max() < 0.1


def tracked(device: torch.device):
    """Tracks of ten windows of slowly moving blobs, and the windows' assignments."""
    generator = torch.Generator().manual_seed(0)
    start = 3 * torch.randn(6, 1, 12, 20, generator=generator)
    drift = torch.randn(6, 14, 12, 20, generator=generator).cumsum(1) / 4
    logits, classes = start + drift, torch.rand(6, 4, generator=generator)
    classes[4, 3] = 2.0
    tracker = ClipTracker((48, 80))
    assigned = [
        tracker.update(range(f, f + 5), classes.to(device), logits[:, f : f + 5].to(device))
        for f in range(10)
    ]
    return assigned, tracker.tracks()


def test_tracks_are_those_of_the_cpu(gpu):
    (ours, found), (theirs, expected) = tracked(gpu), tracked(torch.device("cpu"))
    assert ours == theirs
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.class_probabilities, other.class_probabilities)
        assert [m is None for m in one.segmentations] == [m is None for m in other.segmentations]


def test_a_window_waits_twice(gpu):
    """Once for class probabilities, once for similarities; each drawn frame waits once more."""
    tracker = ClipTracker((48, 80))
    generator = torch.Generator().manual_seed(0)
    classes = torch.rand(6, 4, generator=generator).to(gpu)
    logits = torch.randn(6, 9, 12, 20, generator=generator).to(gpu)
    tracker.update(range(5), classes, logits[:, :5])
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchronizing") as waits:
            tracker.update(range(1, 6), classes, logits[:, 1:6])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) <= 3


def test_the_network_waits_nowhere(released, gpu):
    clip = inputs("T5")[0][0].to(gpu)
    network = released[50]
    with torch.inference_mode():
        network(clip[None])
        torch.cuda.synchronize(gpu)
        torch.cuda.set_sync_debug_mode("error")
        try:
            network(clip[None])
        finally:
            torch.cuda.set_sync_debug_mode("default")
