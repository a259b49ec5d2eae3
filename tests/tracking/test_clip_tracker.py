"""Parity with the released tracker, and what it could not do."""

import math
from contextlib import contextmanager
from itertools import zip_longest

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ifc_bench.errors import UserError
from ifc_bench.masks import decode
from ifc_bench.tracking import ClipTracker
from ifc_bench.tracking.windows import windows
from tests.conftest import GOLDEN


@pytest.fixture(scope="module")
def reference():
    return dict(np.load(GOLDEN / "tracker_L20_T5_s1.npz"))


def replay(reference) -> tuple[ClipTracker, list[list[int]]]:
    tracker = ClipTracker(tuple(int(s) for s in reference["out_size"]))
    assigned = [
        tracker.update(
            reference[f"clip{k}_frames"].tolist(),
            torch.from_numpy(reference[f"clip{k}_cls"]),
            torch.from_numpy(reference[f"clip{k}_logits"]),
        )
        for k in range(int(reference["n_clips"]))
    ]
    return tracker, assigned


def test_assignments_equal_the_release(reference):
    _, assigned = replay(reference)
    for k, tracks in enumerate(assigned):
        assert tracks == reference[f"clip{k}_assigned_row"].tolist()


def test_masks_and_scores_equal_the_release(reference):
    tracker, _ = replay(reference)
    tracks = tracker.tracks()
    classes = torch.stack([track.class_probabilities for track in tracks]).numpy()
    np.testing.assert_allclose(classes, reference["out_cls"], atol=1e-6)
    shape = tuple(reference["out_masks_shape"])
    expected = np.unpackbits(reference["out_masks"], axis=-1)[..., : shape[-1]].astype(bool)
    empty = np.zeros(shape[-2:], bool)
    masks = [[empty if r is None else decode(r) for r in t.segmentations] for t in tracks]
    np.testing.assert_array_equal(np.array(masks), expected)
    seen = np.array([[r is not None for r in t.segmentations] for t in tracks])
    assert not (seen & (reference["valid_count"] == 0)).any()
    rows, labels = np.where(classes[:, :-1] > 0.01)
    np.testing.assert_array_equal(labels, reference["video_labels"])
    np.testing.assert_allclose(classes[rows, labels], reference["video_scores"], atol=1e-6)


def test_asking_for_tracks_changes_nothing(reference):
    tracker, _ = replay(reference)
    first, second = tracker.tracks(), tracker.tracks()
    assert [t.segmentations for t in first] == [t.segmentations for t in second]


SMALL = np.load(GOLDEN / "released_tracker_small.npz")
SETTINGS = {name.removesuffix("_windows") for name in SMALL.files if name.endswith("_windows")}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_any_stride_offline_short_and_empty_videos_equal_the_release(name):
    """Strides 3 of 5, 8 of 15 and 5 of 3, offline, shorter than T, one frame, empty windows."""
    case = {key.removeprefix(f"{name}_"): SMALL[key] for key in SMALL.files if name in key}
    size, length = tuple(case["size"].tolist()), int(case["length"])
    tracker = ClipTracker(size)
    for k in range(int(case["windows"])):
        tracker.update(
            case[f"w{k}_frames"].tolist(),
            torch.from_numpy(case[f"w{k}_probabilities"]),
            torch.from_numpy(case[f"w{k}_logits"]),
        )
    tracks = tracker.tracks()
    assert len(tracks) == len(case["classes"])
    expected = np.unpackbits(case["masks"], axis=-1)[..., : size[1]].astype(bool)
    for track, classes, masks in zip(tracks, case["classes"], expected, strict=True):
        np.testing.assert_allclose(track.class_probabilities.numpy(), classes, atol=1e-6)
        seen = len(track.segmentations)  # frames after the last window are unknown to a tracker
        assert seen == length or (name == "apart" and seen == length - 1)
        for rle, mask in zip_longest(track.segmentations, masks):
            assert (rle is None) == (not mask.any())
            assert rle is None or (decode(rle) == mask).all()


def test_the_recorded_cases_hold_something():
    assert {n for n in SETTINGS if not len(SMALL[f"{n}_classes"])} == {"empty"}
    assert len(SETTINGS) == 8


def one_instance(frames: int, size: int = 8, classes: int = 2):
    probabilities = torch.zeros(1, classes + 1)
    probabilities[0, 0] = 1.0
    logits = torch.full((1, frames, size, size), -8.0)
    logits[..., 2:6, 2:6] = 8.0
    return probabilities, logits


def test_an_empty_video_has_no_tracks():
    assert ClipTracker((8, 8)).tracks() == []


def test_no_object_never_counts():
    tracker = ClipTracker((8, 8))
    probabilities, logits = one_instance(2)
    assert tracker.update([0, 1], probabilities.flip(1), logits) == []
    assert tracker.tracks() == []


def test_a_track_that_ends_keeps_its_frames_and_a_later_one_is_new():
    tracker = ClipTracker((8, 8))
    probabilities, logits = one_instance(2)
    none = (probabilities[:0], logits[:0])
    tracker.update([0, 1], probabilities, logits)
    tracker.update([1, 2], *none)
    tracker.update([2, 3], *none)
    assert tracker.update([3, 4], probabilities, logits) == [1]
    seen = [[r is not None for r in t.segmentations] for t in tracker.tracks()]
    assert seen == [[True, True, False, False, False], [False, False, False, True, True]]


def test_pairs_under_the_threshold_are_refused():
    tracker = ClipTracker((8, 8), match_threshold=0.05)
    probabilities, logits = one_instance(2)
    elsewhere = torch.full_like(logits, -8.0)
    elsewhere[..., 7:, 7:] = 8.0
    assert tracker.update([0, 1], probabilities, logits) == [0]
    assert tracker.update([1, 2], probabilities, elsewhere) == [1]


def test_more_than_fifty_tracks():
    """The release fails beyond 50."""
    tracker = ClipTracker((8, 8))
    probabilities, logits = one_instance(1)
    for frame in range(0, 160, 2):
        tracker.update([frame], probabilities, logits)
    assert len(tracker.tracks()) == 80


@pytest.mark.parametrize(
    ("frames", "message"), [([1, 0], "ascending"), ([0], "one for each"), ([0, 0], "ascending")]
)
def test_bad_frames_are_refused(frames, message):
    with pytest.raises(UserError, match=message):
        ClipTracker((8, 8)).update(frames, *one_instance(2))


def test_windows_must_come_in_order():
    tracker = ClipTracker((8, 8))
    tracker.update([4, 5], *one_instance(2))
    with pytest.raises(UserError, match="in temporal order"):
        tracker.update([3, 4], *one_instance(2))


@pytest.mark.parametrize(
    ("length", "window", "stride", "expected"),
    [
        (7, 5, 1, [(0, 5), (1, 6), (2, 7)]),
        (7, 5, 3, [(0, 5), (2, 7)]),
        (4, 5, 1, [(0, 4)]),
        (5, 5, 5, [(0, 5)]),
        (12, 5, 5, [(0, 5), (5, 10), (7, 12)]),
        (9, None, 1, [(0, 9)]),
        (0, 5, 1, []),
    ],
)
def test_windows(length, window, stride, expected):
    assert [(w.start, w.stop) for w in windows(length, window, stride)] == expected


def live_bytes(tracker: ClipTracker) -> int:
    assert tracker._sums is not None
    held = [w.probabilities for w in tracker._windows]
    return sum(t.numel() * t.element_size() for t in [*held, tracker._sums, tracker._counts])


def test_memory_does_not_grow_with_the_video():
    """2,000 frames hold no more than 100 do, but for the finished run lengths."""
    probabilities, logits = one_instance(5, size=32)
    tracker = ClipTracker((32, 32))
    held = {}
    for start in range(1996):
        tracker.update(range(start, start + 5), probabilities, logits)
        if start in (95, 1995):
            held[start] = live_bytes(tracker)
    assert held[95] == held[1995] > 0
    finished = tracker._finished[0]
    assert len(finished) == 1995
    assert max(len(rle["counts"]) for rle in finished.values()) < 100


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_predictions_that_are_not_finite_are_refused_by_name(value):
    """Not in the words of what would have matched them."""
    masks = torch.zeros(2, 2, 4, 4)
    classes = torch.tensor([[0.9, 0.1], [0.9, 0.1]])
    with pytest.raises(
        UserError, match=r"^predictions: not all finite; the weights are damaged, or"
    ):
        ClipTracker((4, 4)).update([0, 1], torch.full_like(classes, value), masks)
    tracker = ClipTracker((4, 4))
    tracker.update([0, 1], classes, masks)
    with pytest.raises(
        UserError, match=r"^predictions: not all finite; the weights are damaged, or"
    ):
        tracker.update([1, 2], classes, torch.full_like(masks, math.nan))


def logit(*probabilities: float) -> torch.Tensor:
    """One instance of one row of pixels in one frame, with these probabilities."""
    return torch.logit(torch.tensor(probabilities)).reshape(1, 1, 1, -1)


def joined(threshold: float, windows: list[torch.Tensor]) -> bool:
    """Whether the last of `windows`, all of frame 0, continues the track of those before it."""
    tracker = ClipTracker((1, windows[0].shape[-1]), threshold)
    classes = torch.tensor([[0.9, 0.1]])
    found = [tracker.update([0], classes, window) for window in windows]
    assert found[:-1] == [[0]] * (len(windows) - 1)
    return found[-1] == [0]


def test_two_masks_are_joined_by_their_soft_iou():
    """Products of probabilities over what is in either: 0.42 / (0.9 + 0.8 - 0.42)."""
    first, second = logit(0.6, 0.3), logit(0.6, 0.2)
    iou = (0.6 * 0.6 + 0.3 * 0.2) / (0.9 + 0.8 - (0.6 * 0.6 + 0.3 * 0.2))
    assert joined(iou - 1e-5, [first, second])
    assert not joined(iou + 1e-5, [first, second])


def test_faint_masks_are_compared_too():
    """The released code adds 1e-6 to the union, and nothing larger."""
    faint = logit(1e-6, 1e-6)
    iou = 2e-12 / (4e-6 - 2e-12 + 1e-6)
    assert joined(iou * 0.999, [faint, faint])
    assert not joined(iou * 1.001, [faint, faint])


def test_the_threshold_itself_is_refused():
    """The released code asks for more than it."""
    certain = torch.full((1, 1, 1, 1), 100.0)
    one = torch.ones(())
    iou = (one / (one + 1e-6) / (one + 1e-6)).item()
    assert not joined(iou, [certain, certain])
    assert joined(iou - 1e-6, [certain, certain])


def test_windows_may_share_frames_with_a_gap():
    """Of the first window's three frames the second sees the two outer ones."""
    first = torch.cat((logit(0.6, 0.3), logit(0.9, 0.9), logit(0.4, 0.2)), 1)
    second = torch.cat((logit(0.6, 0.2), logit(0.4, 0.2)), 1)
    overlap = 0.6 * 0.6 + 0.3 * 0.2 + 0.4 * 0.4 + 0.2 * 0.2
    iou = overlap / (0.9 + 0.6 + 0.8 + 0.6 - overlap)
    classes = torch.tensor([[0.9, 0.1]])
    for threshold, track in ((iou - 1e-4, 0), (iou + 1e-4, 1)):
        tracker = ClipTracker((1, 2), threshold)
        tracker.update([0, 1, 2], classes, first)
        assert tracker.update([0, 2], classes, second) == [track]


class Waits(TorchDispatchMode):
    """Counts operations that would wait for a GPU, or copy indices to it."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "index_put_", "index.Tensor")

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).removeprefix("aten.")
        large = isinstance(args[0], torch.Tensor) and args[0].dim() > 2
        if large and name.startswith(self.NAMES):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_a_window_waits_for_masks_nowhere():
    """Masks are neither indexed with lists or masks, nor read: only small tensors come to the host.

    Of 12 instances three are no objects and one track is new each window, so rows are selected.
    """
    tracker = ClipTracker((32, 32))
    torch.manual_seed(0)
    with Waits() as waits:
        for first in range(6):
            classes = torch.rand(12, 4)
            classes[[1, 5, 9], 3] = 2.0
            tracker.update(range(first, first + 4), classes, 8 * torch.randn(12, 4, 8, 8))
    assert waits.found == []
    assert tracker.tracks()


def test_sums_and_overlaps_do_not_overflow_in_half_precision():
    """A mask of 90,000 pixels: its soft IoU in float16 would be that of infinite areas."""
    logits = torch.full((1, 1, 300, 300), 9.0, dtype=torch.float16)
    classes = torch.tensor([[0.9, 0.1]], dtype=torch.float16)
    tracker = ClipTracker((300, 300))
    with torch.autocast("cpu", torch.bfloat16):
        found = [tracker.update([0], classes, logits) for _ in range(3)]
    assert found == [[0], [0], [0]]
    assert tracker._sums.dtype == torch.float32
    assert tracker._windows[0].probabilities.dtype == torch.float32


def test_the_time_of_masks_is_told_apart():
    scopes: list[str] = []

    @contextmanager
    def watch(scope: str):
        scopes.append(scope)
        yield

    tracker = ClipTracker((8, 8), watch=watch)
    tracker.update([0, 1], *one_instance(2))
    tracker.tracks()
    assert scopes == ["output", "output", "run_lengths", "run_lengths"]


def test_similarity_is_the_mean_over_the_last_windows_that_share_a_frame():
    """T = 2: the two windows before, both of the same frames, and not the one before them."""

    def pair(*probabilities: float) -> torch.Tensor:
        return logit(*probabilities).expand(-1, 2, -1, -1)

    def iou(a: list[float], b: list[float]) -> float:
        overlap = sum(x * y for x, y in zip(a, b, strict=True))
        return overlap / (sum(a) + sum(b) - overlap)

    shapes = [[0.9, 0.2], [0.8, 0.3], [0.6, 0.5], [0.3, 0.9]]
    mean = (iou(shapes[1], shapes[3]) + iou(shapes[2], shapes[3])) / 2
    classes = torch.tensor([[0.9, 0.1]])
    for threshold, track in ((mean - 1e-4, 0), (mean + 1e-4, 1)):
        tracker = ClipTracker((1, 2), threshold)
        found = [tracker.update([0, 1], classes, pair(*shape)) for shape in shapes]
        assert found == [[0], [0], [0], [track]]


def test_a_frame_without_a_mask_hides_no_later_one():
    """A window of frames apart, then one between them that holds nothing."""
    tracker = ClipTracker((8, 8))
    probabilities, logits = one_instance(2)
    tracker.update([0, 3], probabilities, logits)
    tracker.update([1, 2], probabilities[:0], logits[:0])
    [track] = tracker.tracks()
    assert [r is not None for r in track.segmentations] == [True, False, False, True]


def test_tracks_that_ended_take_no_memory():
    tracker = ClipTracker((8, 8))
    probabilities, logits = one_instance(1)
    for frame in range(0, 20, 2):
        tracker.update([frame], probabilities, logits)
        assert live_bytes(tracker) == 2 * logits.numel() * 4 + 8, "sums, probabilities, one count"


def test_a_track_that_no_live_frame_has_takes_no_memory():
    tracker = ClipTracker((8, 8))
    probabilities, logits = one_instance(2)
    tracker.update([0, 1], probabilities, logits)
    for start in (1, 2):
        tracker.update([start, start + 1], probabilities[:0], logits[:0])
    assert tracker._sums is not None
    assert len(tracker._sums) == 0


def test_a_window_may_start_where_the_last_one_did():
    tracker = ClipTracker((8, 8))
    tracker.update([4, 5], *one_instance(2))
    assert tracker.update([4, 5, 6], *one_instance(3)) == [0]


def test_the_messages_name_what_was_given():
    tracker = ClipTracker((8, 8))
    with pytest.raises(UserError) as wrong:
        tracker.update([7, 9, 8], *one_instance(2))
    assert str(wrong.value) == (
        "frame_indices: [7, 9, 8] must be ascending and one for each of the 2 frames of mask_logits"
    )
    tracker.update([4, 5], *one_instance(2))
    with pytest.raises(UserError) as early:
        tracker.update([3, 4], *one_instance(2))
    assert str(early.value) == (
        "frame_indices: starts at 3, before the last window's 4; windows must come in temporal "
        "order"
    )


def test_probabilities_too_small_to_multiply_are_zero():
    """Their products are denormal numbers, which take a CPU many times as long."""
    tracker = ClipTracker((1, 3))
    tracker.update([0], torch.tensor([[0.9, 0.1]]), torch.tensor([[[[3.0, -41.0, -42.0]]]]))
    kept = tracker._windows[0].probabilities.flatten()
    assert (kept > 0).tolist() == [True, True, False]
