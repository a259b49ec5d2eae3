"""From scores to what a record keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.evaluation.errors import classify_errors
from ifc_bench.evaluation.image_ap import ImageScores
from ifc_bench.evaluation.video_ap import IOU_THRESHOLDS, VideoScores
from ifc_bench.records import Detections, EvaluationResult, StratumResult, Truths


def as_result(
    scores: VideoScores | ImageScores, truth: VideoInstances, tracks: int, seconds: float
) -> EvaluationResult:
    """All views of `scores`, with null where no ground truth defines one (the API's -1)."""
    details = _details(scores) if isinstance(scores, VideoScores) else {}
    return EvaluationResult(
        metrics=_defined(scores.summary()),
        by_class=_defined(scores.by_class()),
        by_situation={name: _defined(part) for name, part in scores.by_situation().items()},
        videos=len(truth.videos),
        frames=sum(video.length for video in truth.videos),
        tracks=tracks,
        wall_seconds=seconds,
        **details,
    )


def _details(scores: VideoScores) -> dict[str, Any]:
    """Strata, and the rows that accuracies are made of."""
    strata = [
        StratumResult(
            attribute=stratum.attribute,  # type: ignore[arg-type]
            low=stratum.low,
            high=stratum.high,
            truths=truths,
            ap=None if value < 0 else value,
        )
        for stratum, truths, value in scores.by_stratum()
    ]
    return {
        "situations": scores.situations,
        "by_stratum": strata,
        "detections": _detections(scores),
        "truths": _truths(scores),
    }


def _detections(scores: VideoScores) -> Detections:
    errors: dict[tuple[int, int, int], tuple[str, int | None]] = {}
    for video in sorted({video for video, _ in scores.cells}):
        keys = [key for key in sorted(scores.cells) if key[0] == video]
        cells = [scores.cells[key] for key in keys]
        places = [
            (*key, i)
            for key, cell in zip(keys, cells, strict=True)
            for i in range(len(cell.tracks))
        ]
        tracks = [track for cell in cells for track in cell.tracks]
        truths = [a for cell in cells for a in cell.annotations if not a.iscrowd]
        hits = [bool(hit) for cell in cells for hit in cell.hit[0, 0]]
        errors |= dict(zip(places, classify_errors(tracks, truths, hits), strict=True))
    columns: dict[str, list[Any]] = {name: [] for name in Detections.model_fields}
    for (video, category), cell in sorted(scores.cells.items()):
        for index, track in enumerate(cell.tracks):
            error, truth = errors[video, category, index]
            columns["video"].append(video)
            columns["category"].append(category)
            columns["score"].append(track.score)
            columns["hits"].append(pack_thresholds(cell.hit[0, :, index]))
            columns["ignored"].append(pack_thresholds(cell.ignored[0, :, index]))
            columns["error"].append(error)
            columns["truth"].append(truth)
    return Detections(**columns)


def _truths(scores: VideoScores) -> Truths:
    columns: dict[str, list[Any]] = {name: [] for name in Truths.model_fields}
    for (video, category), cell in sorted(scores.cells.items()):
        for index, annotation in enumerate(cell.annotations):
            columns["id"].append(annotation.id)
            columns["video"].append(video)
            columns["category"].append(category)
            columns["crowd"].append(bool(annotation.iscrowd))
            columns["hits"].append(pack_thresholds(cell.found[:, index]))
    return Truths(**columns)


def pack_thresholds(flags: NDArray[np.bool_]) -> int:
    """One bit for each IoU threshold [T], the lowest for the first."""
    return sum(1 << index for index, flag in enumerate(flags.tolist()) if flag)


def unpack_thresholds(bits: list[int]) -> NDArray[np.bool_]:
    """The flags [T, n] behind the n numbers of a record."""
    shifts = np.arange(len(IOU_THRESHOLDS))[:, None]
    return (np.array(bits, np.int64)[None] >> shifts & 1).astype(bool)


def _defined(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value < 0 else value for name, value in scores.items()}
