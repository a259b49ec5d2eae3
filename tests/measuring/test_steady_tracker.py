"""The tracker's memory in a long video: assumed on fake tensors, and the real tracker's."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ifc_bench.measuring.fake_tensors import LiveBytes
from ifc_bench.measuring.steady_tracker import FakeTracker, SteadyTracker
from ifc_bench.tracking import ClipTracker

INSTANCES, QUERIES, GRID, SIZE = 10, 13, (16, 24), (64, 96)
MAP = GRID[0] * GRID[1] * 4  # bytes of one mask's logits


def run(tracker: ClipTracker, length: int, frames: int, stride: int) -> tuple[list[int], LiveBytes]:
    """Give a tracker the same masks in every window; live bytes after each, without inputs."""
    live, after = LiveBytes(), []
    classes = torch.zeros(QUERIES, 4)
    classes[:, 0] = 1
    classes[[1, 6, 11], 3] = 2  # no objects, so that instances are scattered and copied
    generator = None if isinstance(tracker, FakeTracker) else torch.Generator().manual_seed(0)
    masks = torch.randn(QUERIES, 1, *GRID, generator=generator)  # noise: each fills its frame
    logits = masks.expand(-1, frames, -1, -1).contiguous()
    for given in (classes, logits):
        live.hold(given)
    held = live.live
    with live, torch.inference_mode():
        for start in range(0, length - frames + 1, stride):
            tracker.update(range(start, start + frames), classes, logits)
            after.append(live.live - held)
        tracker.tracks()
    return after, live


def stand_in(length: int, frames: int, stride: int, on_gpu: bool = False):
    with FakeTensorMode():
        tracker = FakeTracker(SIZE, stride, INSTANCES, on_gpu)
        return run(tracker, length, frames, stride)


@pytest.mark.parametrize(("frames", "stride"), [(1, 1), (5, 1), (6, 2), (5, 3), (4, 4), (3, 5)])
def test_the_stand_in_keeps_and_peaks_as_the_real_tracker_does(frames, stride):
    """To 2%: indices and flags, which depend on content, are left out."""
    length = frames + 2 * stride
    real, live = run(SteadyTracker(SIZE, stride), length, frames, stride)
    fake, fake_live = stand_in(length, frames, stride)
    assert fake == pytest.approx(real, rel=0.02)
    assert fake_live.peak.bytes == pytest.approx(live.peak.bytes, rel=0.02)


@pytest.mark.parametrize(("frames", "stride"), [(5, 1), (6, 2), (5, 3), (4, 4)])
def test_two_windows_have_the_state_of_a_long_video(frames, stride):
    """Sums of T frames, and probabilities of the T / S windows that overlap, rounded up."""
    long, _ = run(ClipTracker(SIZE), frames + 3 * frames * stride, frames, stride)
    steady, _ = run(SteadyTracker(SIZE, stride), frames + stride, frames, stride)
    windows = -(-frames // stride)
    expected = (frames + windows * frames) * INSTANCES * MAP
    assert len(steady) == 2
    assert steady[1] == pytest.approx(long[-1], rel=0.02)
    assert steady[1] == pytest.approx(expected, rel=0.02)


def test_a_gpu_resizes_eight_masks_at_once():
    peaks = [stand_in(4, 2, 1, on_gpu)[1].peak.bytes for on_gpu in (False, True)]
    assert peaks[1] - peaks[0] == pytest.approx(7 * SIZE[0] * SIZE[1] * (4 + 1), rel=0.02)
