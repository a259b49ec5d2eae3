"""Runs a network that takes whole clips over a video in windows; nothing is shared by windows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ifc_bench.structures import Track
from ifc_bench.tracking.video import FrameReader, Tracking, of_length
from ifc_bench.tracking.watch import Watch, unwatched
from ifc_bench.tracking.windows import windows

Answer = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A clip [T, 3, H, W] to class probabilities [I, K + 1] and mask logits [I, T, h, w]."""


@torch.inference_mode()
def track_whole_clips(
    answer: Answer,
    read: FrameReader,
    length: int,
    way: Tracking,
    watch: Watch = unwatched,
) -> list[Track]:
    """Track the instances of one video of `length` frames; `answer` takes each window's clip.

    A frame passes the network once for every window that contains it. `read` returns frames
    [F, 3, H, W] by index. `watch` opens the scope "tracker".
    """
    for frames in windows(length, way.window, way.stride):
        probabilities, logits = answer(read(list(frames)))
        with watch("tracker"):
            way.tracker.update(frames, probabilities, logits)
    return [of_length(track, length) for track in way.tracker.tracks()]
