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

    def clip(self, frames: range) -> list[Tensor]:
        """The levels of `frames`, each [1, T, ...]."""
        levels = zip(*(self.of_frame[index] for index in frames), strict=True)
        return [torch.cat(level)[None] for level in levels]  # stack changes the memory format


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
        _decode(model, features, frames, tracker, watch)
    return [of_length(track, length) for track in tracker.tracks()]


@torch.inference_mode()
def track_in_one_pass(
    model: IFC,
    read: FrameReader,
    length: int,
    ways: Sequence[Tracking],
    together: int | None = None,
) -> list[list[Track]]:
    """Track the instances of one video in several `ways`, which share the features of each frame.

    Returns the tracks of each way. The backbone takes frames 0 to `together` - 1, then the next
    ones, whatever the windows are: so the tracks of a way are to the last bit those that it has
    alone. `together` None: two on a CPU, eight on a GPU. Windows are taken in the order of their
    last frame.
    """
    taken = sorted(
        (
            (frames, number)
            for number, way in enumerate(ways)
            for frames in windows(length, way.window, way.stride)
        ),
        key=lambda one: (one[0].stop, one[1]),
    )
    first_needed = list(accumulate((frames.start for frames, _ in reversed(taken)), min))[::-1]
    features = _Features(model, read)
    together = together or (_ON_CPU if features.device.type == "cpu" else _ON_GPU)
    for (frames, number), first in zip(taken, first_needed, strict=True):
        features.drop_before(first)
        for index in frames:
            if index not in features.of_frame:
                start = index - index % together
                features.add(list(range(start, min(start + together, length))))
        _decode(model, features, frames, ways[number].tracker, unwatched)
    return [[of_length(track, length) for track in way.tracker.tracks()] for way in ways]


@torch.inference_mode()
def predict_clip(model: IFC, frames: Tensor) -> Prediction:
    """Predict one clip [T, 3, H, W] on the model's device, as a window of a video is predicted.

    The backbone takes as many frames at a time as in `track_video`.
    """
    together = _ON_CPU if frames.device.type == "cpu" else len(frames)
    maps = [model.features(some) for some in frames.split(together)]
    return model.decode([torch.cat(level)[None] for level in zip(*maps, strict=True)])


def _decode(
    model: IFC, features: _Features, frames: range, tracker: ClipTracker, watch: Watch
) -> None:
    """Decode one window, and match its instances with the tracks."""
    prediction = model.decode(features.clip(frames))
    with watch("tracker"):
        tracker.update(frames, prediction.class_logits[0].softmax(-1), prediction.mask_logits[0])


def of_length(track: Track, length: int) -> Track:
    """Pad with None for frames after the last window, which a stride longer than T can leave."""
    unseen = [None] * (length - len(track.segmentations))
    return Track(track.class_probabilities, [*track.segmentations, *unseen])
