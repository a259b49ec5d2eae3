"""Runs a model over a video in windows, near-online or offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Prediction, Track
from ifc_bench.tracking.clip_tracker import ClipTracker
from ifc_bench.tracking.watch import Watch, unwatched
from ifc_bench.tracking.windows import windows

FrameReader = Callable[[list[int]], Tensor]

_ON_CPU = 2  # frames that the backbone takes at a time: the caches of a CPU hold no more
_ON_GPU = 8


@dataclass(frozen=True)
class Tracking:
    """One way of tracking a video: its tracker, and the windows as in `windows`."""

    tracker: ClipTracker
    window: int | None
    stride: int = 1


class _Features:
    """The model's features of each frame, kept while a window needs them."""

    def __init__(self, model: IFC, read: FrameReader) -> None:
        self.model, self.read = model, read
        self.device = next(model.parameters()).device
        self.of_frame: dict[int, list[Tensor]] = {}

    def add(self, frames: list[int]) -> None:
        """Compute those of `frames`, together."""
        maps = self.model.features(self.read(frames).to(self.device, non_blocking=True))
        for position, index in enumerate(frames):
            self.of_frame[index] = [m[position : position + 1] for m in maps]

    def drop_before(self, frame: int) -> None:
        for past in [index for index in self.of_frame if index < frame]:
            del self.of_frame[past]

    def clips(self, several: Sequence[range]) -> list[Tensor]:
        """The levels of `several` clips of T frames, each [B, T, ...]."""
        frames = [self.of_frame[index] for clip in several for index in clip]
        levels = zip(*frames, strict=True)
        # stack changes the memory format
        return [torch.cat(level).unflatten(0, (len(several), -1)) for level in levels]


@torch.inference_mode()
def track_video(  # noqa: PLR0913 - public, older than the limit
    model: IFC,
    read: FrameReader,
    length: int,
    tracker: ClipTracker,
    window: int | None,
    stride: int = 1,
    watch: Watch = unwatched,
    together: int | None = None,
) -> list[Track]:
    """Track the instances of one video, reading no frame before a window needs it.

    Each frame passes the backbone once (as in the released code); its features are kept while a
    later window can contain it. `read` returns frames [F, 3, H, W] by index. `watch` opens the
    scope "tracker". The backbone takes `together` new frames at a time; None: two on a CPU, and all
    of a window's on a GPU.
    """
    features = _Features(model, read)
    together = together or (_ON_CPU if features.device.type == "cpu" else window or length)
    for frames in windows(length, window, stride):
        features.drop_before(frames.start)
        fresh = [index for index in frames if index not in features.of_frame]
        for first in range(0, len(fresh), together):
            features.add(fresh[first : first + together])
        _decode(model, features, [frames], tracker, watch)
    return [of_length(track, length) for track in tracker.tracks()]


@torch.inference_mode()
def track_in_one_pass(
    model: IFC,
    read: FrameReader,
    length: int,
    ways: Sequence[Tracking],
    together: int | None = None,
    decoded: int = 1,
) -> list[list[Track]]:
    """Track the instances of one video in several `ways`, which share the features of each frame.

    Returns the tracks of each way. The backbone takes frames 0 to `together` - 1, then the next
    ones, whatever the windows are, and windows of one way are decoded together, up to `decoded`
    frames of them: so the tracks of a way are to the last bit those that it has alone. `together`
    None: two on a CPU, eight on a GPU. Windows are taken in the order of their last frame.
    """
    taken = sorted(
        (
            (several, number)
            for number, way in enumerate(ways)
            for several in _in_groups(list(windows(length, way.window, way.stride)), decoded)
        ),
        key=lambda one: (one[0][-1].stop, one[1]),
    )
    first_needed = list(accumulate((several[0].start for several, _ in reversed(taken)), min))[::-1]
    features = _Features(model, read)
    together = together or (_ON_CPU if features.device.type == "cpu" else _ON_GPU)
    for (several, number), first in zip(taken, first_needed, strict=True):
        features.drop_before(first)
        for index in (index for frames in several for index in frames):
            if index not in features.of_frame:
                start = index - index % together
                features.add(list(range(start, min(start + together, length))))
        _decode(model, features, several, ways[number].tracker, unwatched)
    return [[of_length(track, length) for track in way.tracker.tracks()] for way in ways]


@torch.inference_mode()
def predict_clip(model: IFC, frames: Tensor) -> Prediction:
    """Predict one clip [T, 3, H, W] on the model's device, as a window of a video is predicted.

    The backbone takes as many frames at a time as in `track_video`.
    """
    together = _ON_CPU if frames.device.type == "cpu" else len(frames)
    maps = [model.features(some) for some in frames.split(together)]
    return model.decode([torch.cat(level)[None] for level in zip(*maps, strict=True)])


def _in_groups(several: list[range], frames: int) -> list[list[range]]:
    """Consecutive windows of one length in groups of up to `frames` frames, or of one window."""
    if not several:
        return []
    count = max(1, frames // len(several[0]))
    return [several[first : first + count] for first in range(0, len(several), count)]


def _decode(
    model: IFC, features: _Features, several: Sequence[range], tracker: ClipTracker, watch: Watch
) -> None:
    """Decode windows of one length, and match their instances with the tracks in turn."""
    prediction = model.decode(features.clips(several))
    with watch("tracker"):
        found = zip(prediction.class_logits.softmax(-1), prediction.mask_logits, strict=True)
        for frames, (classes, masks) in zip(several, found, strict=True):
            tracker.update(frames, classes, masks)


def of_length(track: Track, length: int) -> Track:
    """Pad with None for frames after the last window, which a stride longer than T can leave."""
    unseen = [None] * (length - len(track.segmentations))
    return Track(track.class_probabilities, [*track.segmentations, *unseen])
