"""Predictions in the YouTube-VIS results format: a list of scored, classified tubes of masks.

A file without faults is read in a few passes over all its masks. Any other file is read again,
entry by entry: this either names the fault, or accepts an unusual file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat

from ifc_bench.data.faults import tube_faults
from ifc_bench.data.fields import Id, Lenient
from ifc_bench.data.json_files import collector_paused, read_json
from ifc_bench.data.youtube_vis import RawRle, Video, VideoInstances, validated
from ifc_bench.errors import UserError, refuse_irregular
from ifc_bench.masks import Rle, areas
from ifc_bench.run_lengths import sound_areas

_QUOTES = {"entry": 8, "mask": 6}  # quotation marks around field names and around `counts`


@dataclass(frozen=True)
class PredictedTrack:
    """One entry of a results file: one compressed mask or None for each frame [L]."""

    video_id: int
    category_id: int
    score: float
    segmentations: list[Rle | None]

    @property
    def rles(self) -> list[Rle | None]:
        """The masks, under the name of the same property of an annotation."""
        return self.segmentations

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Pixels of the mask in each frame [L]; 0 where it has none."""
        return areas(self.segmentations)

    @cached_property
    def area(self) -> float:
        """Mean area over the frames with a mask that is not empty."""
        return float(self.pixels.sum() / max(1, np.count_nonzero(self.pixels)))

    def entry(self) -> dict[str, Any]:
        """The entry of a results file."""
        return {
            "video_id": self.video_id,
            "category_id": self.category_id,
            "score": self.score,
            "segmentations": self.segmentations,
        }


class _Entry(Lenient):
    """An entry that may have a fault, or raw run lengths."""

    video_id: Id
    category_id: Id
    score: FiniteFloat
    segmentations: list[RawRle | None]

    def track(self) -> PredictedTrack:
        rles = [None if s is None else s.compressed() for s in self.segmentations]
        return PredictedTrack(self.video_id, self.category_id, self.score, rles)


class _Entries(Lenient):
    entries: list[_Entry]


def read_predictions(path: Path, truth: VideoInstances) -> list[PredictedTrack]:
    """Read a results file and check it against its ground truth.

    Raises:
        UserError: one line that names the file, the entry, the value and the fix.
    """
    refuse_irregular(path)
    with collector_paused():
        tracks = _read_plain(path)
        if tracks is not None and _measure(tracks, truth):
            return tracks
        return checked_predictions(read_json(path), truth, path)


def checked_predictions(content: Any, truth: VideoInstances, path: Path) -> list[PredictedTrack]:
    """Check predictions in a JSON value read from `path`, as `read_predictions` does."""
    if not isinstance(content, list):
        raise UserError(
            f"{path}: top level: expected a list of predictions, found {type(content).__name__}"
        )
    tracks = _convert(content)
    if tracks is not None and _measure(tracks, truth):
        return tracks
    return _read_each(content, truth, path)


def _convert(content: list[Any]) -> list[PredictedTrack] | None:
    """Convert a JSON value whose fields have the types of the format; None for any other."""
    scores = [entry.get("score") for entry in content if isinstance(entry, dict)]
    if not all(isinstance(score, float) for score in scores):
        return None  # msgspec before 0.22 takes a whole number that fits no float for -1.0
    try:
        return msgspec.convert(content, list[PredictedTrack])
    except (msgspec.ValidationError, RecursionError):
        return None


def _read_plain(path: Path) -> list[PredictedTrack] | None:
    """Read a file with exactly the fields of the format; None for any other."""
    try:
        text = path.read_bytes()
        tracks = msgspec.json.decode(text, type=list[PredictedTrack])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    masks = sum(len(t.segmentations) - t.segmentations.count(None) for t in tracks)
    expected = _QUOTES["entry"] * len(tracks) + _QUOTES["mask"] * masks
    return tracks if text.count(b'"') == expected else None  # a repeated field has more


def _measure(tracks: Sequence[PredictedTrack], truth: VideoInstances) -> bool:
    """Check that all tracks fit the ground truth, and set their areas."""
    by_video: dict[int, list[PredictedTrack]] = defaultdict(list)
    for track in tracks:
        by_video[track.video_id].append(track)
    videos = {video.id: video for video in truth.videos}
    categories = {category.id for category in truth.categories}
    return (
        by_video.keys() <= videos.keys()
        and categories.issuperset(track.category_id for track in tracks)
        and bool(np.isfinite([track.score for track in tracks]).all())
        and all(_measure_video(found, videos[number]) for number, found in by_video.items())
    )


def _measure_video(tracks: Sequence[PredictedTrack], video: Video) -> bool:
    """`_measure` for the masks of one video."""
    if any(len(track.segmentations) != video.length for track in tracks):
        return False
    masks = [mask for track in tracks for mask in track.segmentations]
    present = [mask for mask in masks if mask is not None]
    size = [video.height, video.width]
    if [mask["size"] for mask in present].count(size) < len(present):
        return False
    found = sound_areas([mask["counts"] for mask in present], video.height * video.width)
    if found is None:
        return False
    for mask in present:
        mask["size"] = size  # one list for all, where each had its own
    pixels = np.zeros((len(tracks), video.length))
    pixels[np.reshape([mask is not None for mask in masks], pixels.shape)] = found
    means = pixels.sum(1) / np.maximum(1, np.count_nonzero(pixels, axis=1))
    for track, row, mean in zip(tracks, pixels, means.tolist(), strict=True):
        vars(track).update(pixels=row, area=mean)  # the values of the cached_property
    return True


def _read_each(content: Any, truth: VideoInstances, path: Path) -> list[PredictedTrack]:
    """Check tracks one by one; raise `UserError` for the first fault."""
    entries = validated(_Entries, {"entries": content}, path).entries
    videos = {video.id: video for video in truth.videos}
    categories = {category.id for category in truth.categories}
    for index, entry in enumerate(entries):
        where = f"{path}: entry {index}"
        if entry.video_id not in videos:
            raise _unknown(
                where, "video_id", entry.video_id, [e.video_id in videos for e in entries]
            )
        if entry.category_id not in categories:
            known = [e.category_id in categories for e in entries]
            raise _unknown(where, "category_id", entry.category_id, known)
        for fault in tube_faults(entry.segmentations, videos[entry.video_id]):
            raise UserError(f"{where}: {fault}")
    return [entry.track() for entry in entries]


def _unknown(where: str, field: str, value: int, known: list[bool]) -> UserError:
    """An error with the first id that is not in the ground truth, and the number of such ids."""
    return UserError(
        f"{where}: {field} {value} is not in the ground truth ({known.count(False)} of "
        f"{len(known)} entries have such ids)"
    )
