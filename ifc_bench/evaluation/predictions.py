"""Predictions in the YouTube-VIS results format: a list of scored, classified tubes of masks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat

from ifc_bench.data.fields import Id
from ifc_bench.data.json_files import read_json
from ifc_bench.data.youtube_vis import RawRle, VideoInstances, tube_faults, validated
from ifc_bench.errors import UserError
from ifc_bench.masks import Rle, areas


class PredictedTrack(BaseModel):
    """One entry of a results file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    video_id: Id
    category_id: Id
    score: FiniteFloat
    segmentations: list[RawRle | None]

    @cached_property
    def rles(self) -> list[Rle | None]:
        """One compressed mask or None for each frame."""
        return [None if s is None else s.compressed() for s in self.segmentations]

    @cached_property
    def area(self) -> float:
        """Mean area over the frames with a mask that is not empty."""
        sizes = [a for a in areas(self.rles).tolist() if a]
        return sum(sizes) / len(sizes) if sizes else 0.0


class _Predictions(BaseModel):
    entries: list[PredictedTrack]


def read_predictions(path: Path, truth: VideoInstances) -> list[PredictedTrack]:
    """Read a results file and check it against the ground truth that it answers.

    Raises:
        UserError: one line that names the file, the entry, the value and the mend.
    """
    return checked_predictions(read_json(path), truth, path)


def checked_predictions(content: Any, truth: VideoInstances, path: Path) -> list[PredictedTrack]:
    """The predictions in a JSON value that came from `path`, checked as `read_predictions` does."""
    if not isinstance(content, list):
        raise UserError(
            f"{path}: top level: expected a list of predictions, found {type(content).__name__}"
        )
    tracks = validated(_Predictions, {"entries": content}, path).entries
    videos = {video.id: video for video in truth.videos}
    categories = {category.id for category in truth.categories}
    for index, track in enumerate(tracks):
        where = f"{path}: entry {index}"
        if track.video_id not in videos:
            raise _unknown(
                where, "video_id", track.video_id, [t.video_id in videos for t in tracks]
            )
        if track.category_id not in categories:
            known = [t.category_id in categories for t in tracks]
            raise _unknown(where, "category_id", track.category_id, known)
        for fault in tube_faults(track.segmentations, videos[track.video_id]):
            raise UserError(f"{where}: {fault}")
    return tracks


def _unknown(where: str, field: str, value: int, known: list[bool]) -> UserError:
    """The first id that the ground truth does not have, and how many entries have such a one."""
    return UserError(
        f"{where}: {field} {value} is not in the ground truth ({known.count(False)} of "
        f"{len(known)} entries have such ids)"
    )
