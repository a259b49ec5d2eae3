"""Runs a model over a video in windows, near-online or offline."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Track
from ifc_bench.tracking.clip_tracker import ClipTracker
from ifc_bench.tracking.watch import Watch, unwatched
from ifc_bench.tracking.windows import windows

FrameReader = Callable[[list[int]], Tensor]


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
    """Track the instances of one video.

    Each frame passes the backbone once (as in the released code); its features are kept while a
    later window can contain it. `read` returns frames [F, 3, H, W] by index. `watch` opens the
    scope "tracker". The backbone takes `together` new frames at a time; None: two on a CPU, whose
    caches hold no more, and all of a window's on a GPU.
    """
    device = next(model.parameters()).device
    together = together or (2 if device.type == "cpu" else window or length)
    features: dict[int, list[Tensor]] = {}
    for frames in windows(length, window, stride):
        for past in [index for index in features if index < frames.start]:
            del features[past]
        fresh = [index for index in frames if index not in features]
        for first in range(0, len(fresh), together):
            some = fresh[first : first + together]
            maps = model.features(read(some).to(device))
            for position, index in enumerate(some):
                features[index] = [m[position : position + 1] for m in maps]
        clip = [  # cat keeps the memory format, and stack does not
            torch.cat(level)[None] for level in zip(*(features[i] for i in frames), strict=True)
        ]
        prediction = model.decode(clip)
        with watch("tracker"):
            tracker.update(
                frames, prediction.class_logits[0].softmax(-1), prediction.mask_logits[0]
            )
    return [_of_length(track, length) for track in tracker.tracks()]


def _of_length(track: Track, length: int) -> Track:
    """Pad with None for frames after the last window, which a stride longer than T can leave."""
    unseen = [None] * (length - len(track.segmentations))
    return Track(track.class_probabilities, [*track.segmentations, *unseen])
