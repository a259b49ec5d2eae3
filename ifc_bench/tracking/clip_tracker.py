"""Joins the instances of overlapping windows into tracks (paper, Section 3.3).

The tracker is streaming: it stores mask logits only for the frames of the last window, and mask
probabilities only for windows that overlap it. A frame that no later window contains is averaged,
thresholded and stored as an RLE. The number of tracks is not limited.

On a GPU a window waits for the device twice: for its class probabilities and for its similarities.
All else is enqueued, with one copy of row numbers to the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ifc_bench.errors import UserError
from ifc_bench.masks import Rle
from ifc_bench.structures import Track
from ifc_bench.tracking.full_size import full_size_masks
from ifc_bench.tracking.watch import Watch, unwatched

Draw = Callable[[Tensor, tuple[int, int], Watch], Sequence[Rle | None]]
"""Draws logits [n, h, w] at the size of the frame; see `full_size_masks`."""

_TINY = 1e-18  # of probabilities; products of smaller ones are denormal, and slow on a CPU
_NOT_FINITE = (
    "predictions: not all finite; the weights are damaged, or too large for this precision"
)


@dataclass(frozen=True)
class _Window:
    """A past window: its frames, the track of each instance, and mask probabilities [I, T, h*w]."""

    frames: list[int]
    tracks: list[int]
    probabilities: Tensor


class ClipTracker:
    """Takes windows in temporal order and returns tracks.

    Args:
        image_size: height and width of the output masks in pixels.
        match_threshold: minimum space-time soft IoU of a match (the paper: 0.05).
        watch: opens the scope "output" while full-size masks are drawn, "run_lengths" within it.
        draw: draws the masks of a frame that no later window contains. Replace it to take them in
            another form than run lengths.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        match_threshold: float = 0.05,
        watch: Watch = unwatched,
        draw: Draw = full_size_masks,
    ) -> None:
        self.image_size = image_size
        self.match_threshold = match_threshold
        self.watch = watch
        self.draw = draw
        self._windows: deque[_Window] = deque()
        self._class_sums: list[Tensor] = []
        self._class_counts: list[int] = []
        self._finished: list[dict[int, Rle]] = []
        self._frames: list[int] = []  # the live frames, ascending
        self._rows: list[int] = []  # the live tracks: row -> track
        self._sums: Tensor | None = None  # mask logits [rows, frames, h, w]
        self._counts = torch.zeros(0, 0, dtype=torch.int64)
        self._length = 0

    def update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        """Match the instances of one window with tracks.

        Args:
            frame_indices: the window's T frames, ascending, none before the last window's first.
            class_probabilities: [I, K + 1]; an instance whose best class is "no object" (the last)
                is ignored.
            mask_logits: [I, T, h, w]; added up in float32 whatever their type.

        Returns:
            The track of each instance that was not ignored, in their order.

        Raises:
            UserError: if frames are out of order, or predictions are not finite.
        """
        with torch.autocast(mask_logits.device.type, enabled=False):  # sums pass the range of fp16
            return self._update(frame_indices, class_probabilities, mask_logits)

    def _update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        frames = self._checked(frame_indices, mask_logits)
        found = class_probabilities.float().cpu()
        if not found.isfinite().all():
            raise UserError(_NOT_FINITE)
        counts = (found.argmax(-1) < found.shape[-1] - 1).nonzero()[:, 0].tolist()
        mask_logits = _rows(mask_logits, counts).float()
        probabilities = F.threshold(mask_logits.sigmoid(), _TINY, 0.0).flatten(2)
        self._advance(frames, mask_logits)
        rows = self._assign(self._similarity(frames, probabilities))
        self._add(rows, frames, found[counts], mask_logits)
        tracks = [self._rows[row] for row in rows]
        self._windows.append(_Window(frames, tracks, probabilities))
        return tracks

    def tracks(self) -> list[Track]:
        """Return the tracks so far, in order of appearance, over all frames so far."""
        finished = [dict(masks) for masks in self._finished]
        with self.watch("output"):
            self._write(self._frames, finished)
        return [
            Track(
                class_probabilities=total / count,
                segmentations=[masks.get(frame) for frame in range(self._length)],
            )
            for total, count, masks in zip(
                self._class_sums, self._class_counts, finished, strict=True
            )
        ]

    def _checked(self, frame_indices: Sequence[int], mask_logits: Tensor) -> list[int]:
        frames = [int(f) for f in frame_indices]
        if len(frames) != mask_logits.shape[1] or frames != sorted(set(frames)) or not frames:
            raise UserError(
                f"frame_indices: {frames} must be ascending and one for each of the "
                f"{mask_logits.shape[1]} frames of mask_logits"
            )
        if self._frames and frames[0] < self._frames[0]:
            raise UserError(
                f"frame_indices: starts at {frames[0]}, before the last window's {self._frames[0]};"
                " windows must come in temporal order"
            )
        return frames

    def _advance(self, frames: list[int], mask_logits: Tensor) -> None:
        """Finish the frames before this window, drop ended tracks, and add the new frames."""
        past = [frame for frame in self._frames if frame < frames[0]]
        with self.watch("output"):
            self._write(past, self._finished)
        old = (
            mask_logits.new_zeros(0, 0, *mask_logits.shape[2:])
            if self._sums is None
            else self._sums
        )
        old, counts = old[:, len(past) :], self._counts[:, len(past) :]
        alive = (counts > 0).any(1).nonzero()[:, 0].tolist()
        self._rows = [self._rows[row] for row in alive]
        kept = self._frames[len(past) :]
        self._frames = sorted({*kept, *frames})
        self._sums = old.new_zeros(len(self._rows), len(self._frames), *old.shape[2:])
        self._counts = counts.new_zeros(len(self._rows), len(self._frames))
        for column, frame in enumerate(kept):
            self._sums[:, self._frames.index(frame)] = _rows(old[:, column], alive)
            self._counts[:, self._frames.index(frame)] = counts[alive, column]
        self._length = max(self._length, frames[-1] + 1)
        while self._windows and (
            self._windows[0].frames[-1] < frames[0] or len(self._windows) > len(frames)
        ):
            self._windows.popleft()

    def _similarity(self, frames: list[int], probabilities: Tensor) -> NDArray[np.float32]:
        """Compute the space-time soft IoU of live tracks with instances, [rows, I].

        It is computed with each of the last T windows on the shared frames, and averaged over the
        windows that contain the track on a shared frame.
        """
        total = np.zeros((len(self._rows), probabilities.shape[0]), np.float32)
        seen = np.zeros((len(self._rows), 1), np.float32)
        ious, rows = self._overlaps(frames, probabilities)
        if not ious:
            return total
        together = torch.cat(ious).cpu().numpy()  # one copy, for it waits for the device
        ends = np.cumsum([len(some) for some in rows])[:-1]
        for some, iou in zip(rows, np.split(together, ends), strict=True):
            total[some] += iou
            seen[some] += 1
        return total / (seen + np.float32(1e-6))

    def _overlaps(
        self, frames: list[int], probabilities: Tensor
    ) -> tuple[list[Tensor], list[list[int]]]:
        """Compute the soft IoU of each past window's instances with these, and their rows."""
        row_of = {track: row for row, track in enumerate(self._rows)}
        ious: list[Tensor] = []
        rows: list[list[int]] = []
        for window in list(self._windows)[-len(frames) :]:
            shared = [frame for frame in frames if frame in window.frames]
            if not shared or not window.tracks:
                continue
            then = _at(window.probabilities, [window.frames.index(f) for f in shared])
            now = _at(probabilities, [frames.index(f) for f in shared])
            overlap = then @ now.T
            union = then.sum(1)[:, None] + now.sum(1)[None] - overlap
            ious.append(overlap / (union + 1e-6))
            rows.append([row_of[track] for track in window.tracks])
        return ious, rows

    def _assign(self, similarity: NDArray[np.float32]) -> list[int]:
        """Assign a row to each instance by Hungarian matching; below the threshold, a new track."""
        scores = similarity * (similarity > np.float32(self.match_threshold))
        if not np.isfinite(scores).all():
            raise UserError(_NOT_FINITE)
        assigned = {
            int(instance): int(row)
            for row, instance in zip(*linear_sum_assignment(scores, maximize=True), strict=True)
            if scores[row, instance] > 0
        }
        rows = []
        for instance in range(similarity.shape[1]):
            if instance not in assigned:
                assigned[instance] = len(self._rows)
                self._rows.append(len(self._class_sums))
                self._class_sums.append(torch.zeros(()))
                self._class_counts.append(0)
                self._finished.append({})
            rows.append(assigned[instance])
        return rows

    def _add(
        self, rows: list[int], frames: list[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> None:
        """Add a window to the sums of its tracks."""
        assert self._sums is not None
        new = len(self._rows) - self._sums.shape[0]
        self._sums = torch.cat((self._sums, self._sums.new_zeros(new, *self._sums.shape[1:])))
        self._counts = torch.cat((self._counts, self._counts.new_zeros(new, self._counts.shape[1])))
        columns = [self._frames.index(frame) for frame in frames]
        of_rows = torch.tensor(rows, dtype=torch.int64)
        self._counts[of_rows[:, None], torch.tensor(columns)[None]] += 1
        there = _moved(of_rows, self._sums.device)
        for position, column in enumerate(columns):
            self._sums[:, column].index_add_(0, there, mask_logits[:, position])
        for row, probabilities in zip(rows, class_probabilities, strict=True):
            self._class_sums[self._rows[row]] = self._class_sums[self._rows[row]] + probabilities
            self._class_counts[self._rows[row]] += 1

    def _write(self, frames: list[int], finished: list[dict[int, Rle]]) -> None:
        """Average, resize and threshold `frames`, and store their masks in `finished`."""
        if self._sums is None:
            return
        for frame in frames:
            column = self._frames.index(frame)
            present = (self._counts[:, column] > 0).nonzero()[:, 0].tolist()
            if not present:
                continue
            sums = _rows(self._sums[:, column], present)
            mean = (
                sums
                / _moved(self._counts[present, column].to(sums.dtype), sums.device)[:, None, None]
            )
            masks = self.draw(mean, self.image_size, self.watch)
            for row, rle in zip(present, masks, strict=True):
                if rle is not None:
                    finished[self._rows[row]][frame] = rle


def _rows(tensor: Tensor, places: list[int]) -> Tensor:
    """The rows at `places`, ascending; a view where they are next to each other."""
    if places and places[-1] - places[0] + 1 == len(places):
        return tensor[places[0] : places[-1] + 1]
    return tensor.index_select(0, _moved(torch.tensor(places, dtype=torch.int64), tensor.device))


def _moved(numbers: Tensor, device: torch.device) -> Tensor:
    """Copy a few numbers to a GPU without waiting for it."""
    return numbers if device.type == "cpu" else numbers.pin_memory().to(device, non_blocking=True)


def _at(probabilities: Tensor, places: list[int]) -> Tensor:
    """The masks [I, T, P] in the frames at `places`, as [I, P of all]; without a copy if it can."""
    if places[-1] - places[0] + 1 == len(places):
        return probabilities[:, places[0] : places[-1] + 1].flatten(1)
    return probabilities[:, places].flatten(1)
