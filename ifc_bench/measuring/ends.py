"""The two ends of a measured pass: final masks on the host, or the text of results.json.

To masks is the paper's FPS. The released network returns masks; run lengths are made later, by its
evaluator. A frame's masks are complete when no later window contains it. They are handed over then
and dropped, so that memory does not grow with the video.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from ifc_bench.inference import Predictions, results_json, scored
from ifc_bench.masks import Rle
from ifc_bench.measuring.equal_work import RecordedInstances
from ifc_bench.structures import Track
from ifc_bench.tracking import ClipTracker
from ifc_bench.tracking.full_size import drawn_masks, full_size_masks
from ifc_bench.tracking.watch import Watch, unwatched

_SCORE_THRESHOLD = 0.01  # of an entry of results.json, as in `Testing`


class ToMasks:
    """The end "masks": each frame's masks reach the host, and nothing else is made of them."""

    def given(self, frames: range, class_probabilities: Tensor, mask_logits: Tensor) -> None:
        """Take note of what the tracker is given for one window."""

    def draw(
        self, logits: Tensor, size: tuple[int, int], watch: Watch = unwatched
    ) -> Sequence[Rle | None]:
        """Draw the masks of one frame, as `full_size_masks` does, and drop them."""
        for _ in drawn_masks(logits, size):
            pass
        return [None] * len(logits)

    def finish(self, tracks: list[Track], watch: Watch = unwatched) -> object:
        """Take the tracks of a whole video."""
        return None


class ToResults(ToMasks):
    """The end "results": run lengths of all masks, and the text of the video's entries."""

    def draw(
        self, logits: Tensor, size: tuple[int, int], watch: Watch = unwatched
    ) -> Sequence[Rle | None]:
        return full_size_masks(logits, size, watch)

    def finish(self, tracks: list[Track], watch: Watch = unwatched) -> str:
        with watch("run_lengths"):
            classes = len(tracks[0].class_probabilities) - 1 if tracks else 0
            entries = scored(tracks, 1, list(range(1, classes + 1)), _SCORE_THRESHOLD)
            return results_json(Predictions(entries, len(tracks), 0.0))


class Fingerprint(ToResults):
    """Hashes all that tracker and output are given, for the proof of equal work."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    @property
    def text(self) -> str:
        """The hash so far, 16 digits."""
        return self._hash.hexdigest()[:16]

    def given(self, frames: range, class_probabilities: Tensor, mask_logits: Tensor) -> None:
        self._hash.update(repr(list(frames)).encode())
        self._add(class_probabilities)
        self._add(mask_logits)

    def draw(
        self, logits: Tensor, size: tuple[int, int], watch: Watch = unwatched
    ) -> Sequence[Rle | None]:
        self._hash.update(repr(size).encode())
        self._add(logits)
        return super().draw(logits, size, watch)

    def finish(self, tracks: list[Track], watch: Watch = unwatched) -> str:
        text = super().finish(tracks, watch)
        self._hash.update(text.encode())
        return text

    def _add(self, values: Tensor) -> None:
        self._hash.update(repr((tuple(values.shape), values.dtype)).encode())
        self._hash.update(values.to(torch.float32).cpu().numpy().tobytes())


class MeasuredTracker(ClipTracker):
    """A tracker that leads to one of the ends, and is given recorded instances if there are any.

    `length` is the number of frames of the video.
    """

    def __init__(
        self,
        size: tuple[int, int],
        length: int,
        end: ToMasks,
        recorded: RecordedInstances | None,
        watch: Watch = unwatched,
    ) -> None:
        super().__init__(size, watch=watch, draw=end.draw)
        self._length_of_video, self._end, self._recorded = length, end, recorded

    def update(
        self, frame_indices: Sequence[int], class_probabilities: Tensor, mask_logits: Tensor
    ) -> list[int]:
        assert isinstance(frame_indices, range)
        if self._recorded is not None:
            class_probabilities, mask_logits = self._recorded.window(
                frame_indices, self._length_of_video, mask_logits
            )
        self._end.given(frame_indices, class_probabilities, mask_logits)
        return super().update(frame_indices, class_probabilities, mask_logits)
