"""The tracker's memory within a long video, with two windows of the network.

A tracker keeps the mask logits of the last window's frames, and mask probabilities of all windows
that overlap it: T / S of them, rounded up. A short video never has that many, so the windows
before the first one are copies of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ifc_bench.masks import Rle
from ifc_bench.tracking.clip_tracker import _TINY, ClipTracker, _Window
from ifc_bench.tracking.full_size import (
    _AT_ONCE,
    _COPIED_AT_ONCE,
    _exact_in_parts,
    _resized,
    drawn_on_gpu,
)


class SteadyTracker(ClipTracker):
    """A tracker that, from its first window on, has the state of one in a long video."""

    def __init__(self, image_size: tuple[int, int], stride: int) -> None:
        super().__init__(image_size)
        self.stride = stride

    def update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        tracks = super().update(frame_indices, class_probabilities, mask_logits)
        self._remember()
        return tracks

    def _remember(self) -> None:
        """Put copies of the first window before it, as many as overlap it."""
        if len(self._windows) > 1:
            return
        first = self._windows[0]
        for back in range(self.stride, len(first.frames), self.stride):
            earlier = [frame - back for frame in first.frames]
            copied = first.probabilities.clone()
            self._windows.appendleft(replace(first, frames=earlier, probabilities=copied))


class FakeTracker(SteadyTracker):
    """The same on fake tensors, where all content that decides a shape is assumed.

    The first `instances` queries are instances in every window, and each continues its track. It
    allocates the tensors of `ClipTracker.update`, in that order; a test compares the two.
    """

    def __init__(
        self, image_size: tuple[int, int], stride: int, instances: int, on_gpu: bool
    ) -> None:
        super().__init__(image_size, stride)
        self.instances, self.on_gpu = instances, on_gpu

    def update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        frames = list(frame_indices)
        chosen = torch.arange(min(self.instances, len(class_probabilities)))
        with torch.autocast("cpu", enabled=False):
            found = class_probabilities.float()[chosen]
            mask_logits = mask_logits.index_select(0, chosen).float()
            probabilities = F.threshold(mask_logits.sigmoid(), _TINY, 0.0).flatten(2)
            self._advance(frames, mask_logits)
            ious, _ = self._overlaps(frames, probabilities)
            if ious:
                torch.cat(ious)
            rows = self._continued(len(chosen))
            self._add(rows, frames, found, mask_logits)
        self._windows.append(_Window(frames, rows, probabilities))
        self._remember()
        return rows

    def _advance(self, frames: list[int], mask_logits: Tensor) -> None:
        """Finish the frames before this window and add the new ones; every track stays."""
        past = [frame for frame in self._frames if frame < frames[0]]
        self._write(past, self._finished)
        empty = mask_logits.new_zeros(0, 0, *mask_logits.shape[2:])
        old = (empty if self._sums is None else self._sums)[:, len(past) :]
        kept = self._frames[len(past) :]
        self._frames = sorted({*kept, *frames})
        self._sums = old.new_zeros(len(self._rows), len(self._frames), *old.shape[2:])
        for column, frame in enumerate(kept):
            self._sums[:, self._frames.index(frame)] = old[:, column]
        self._counts = self._counts.new_zeros(len(self._rows), len(self._frames))
        while self._windows and self._windows[0].frames[-1] < frames[0]:
            self._windows.popleft()

    def _continued(self, count: int) -> list[int]:
        """Give each instance the track of its number; the first window begins the tracks."""
        for track in range(len(self._rows), count):
            self._rows.append(track)
            self._class_sums.append(torch.zeros(()))
            self._class_counts.append(0)
            self._finished.append({})
        return list(range(count))

    def _write(self, frames: list[int], finished: list[dict[int, Rle]]) -> None:
        """Average and draw the masks of `frames`, as many at a time as `drawn_masks` does."""
        if self._sums is None:
            return
        for frame in frames:
            counts = self._sums.new_ones(len(self._rows))
            mean = self._sums[:, self._frames.index(frame)] / counts[:, None, None]
            if self.on_gpu:
                for some in mean.split(_COPIED_AT_ONCE):
                    drawn_on_gpu(some, self.image_size)
                continue
            alone = _exact_in_parts(mean.shape[1:], self.image_size)
            for some in mean.split(1 if alone else _AT_ONCE):
                _resized(some, self.image_size).gt(0)
