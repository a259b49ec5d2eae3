"""Scores as the result of a record."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.evaluation.errors import classify_errors
from ifc_bench.evaluation.identity import rejoined
from ifc_bench.evaluation.image_ap import ImageScores
from ifc_bench.evaluation.marked import marked_truths
from ifc_bench.evaluation.video_ap import IOU_THRESHOLDS, VideoScores, score_videos
from ifc_bench.records import (
    Detections,
    EvaluationResult,
    IdentityOracle,
    MarkedTruths,
    StratumResult,
    Truths,
)

_DIGITS = 6  # of an IoU that is kept for each ground truth


def as_result(
    scores: VideoScores | ImageScores, truth: VideoInstances, tracks: int, seconds: float
) -> EvaluationResult:
    """Convert all views of `scores`; None for a score without ground truth (-1 in the API)."""
    details = _details(scores, truth) if isinstance(scores, VideoScores) else {}
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


def _details(scores: VideoScores, truth: VideoInstances) -> dict[str, Any]:
    """Strata, detections and annotations, from which accuracies can be computed again."""
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
        "marked": _marked(scores, truth),
        "oracle": _oracle(scores, truth),
    }


def _detections(scores: VideoScores) -> Detections:
    matches = scores.matches
    hits = matches.hit[0]
    errors: list[tuple[str, int | None]] = []
    for _, members in groupby(enumerate(matches.tracks), lambda member: member[1].video_id):
        indices, tracks = zip(*members, strict=True)
        truths = [
            a for a in matches.annotations if a.video_id == tracks[0].video_id and not a.iscrowd
        ]
        errors += classify_errors(tracks, truths, hits[0, list(indices)].tolist())
    return Detections(
        video=matches.cells[:, 0].tolist(),
        category=matches.cells[:, 1].tolist(),
        score=matches.scores.tolist(),
        hits=pack_thresholds(hits),
        ignored=pack_thresholds(matches.ignored[0]),
        error=[error for error, _ in errors],
        truth=[truth for _, truth in errors],
    )


def _truths(scores: VideoScores) -> Truths:
    matches = scores.matches
    return Truths(
        id=[a.id for a in matches.annotations],
        video=matches.true_cells[:, 0].tolist(),
        category=matches.true_cells[:, 1].tolist(),
        crowd=[bool(a.iscrowd) for a in matches.annotations],
        hits=pack_thresholds(matches.found),
    )


def _marked(scores: VideoScores, truth: VideoInstances) -> MarkedTruths | None:
    found = marked_truths(truth, scores.matches.tracks)
    if not found:
        return None
    return MarkedTruths(
        id=[one.id for one in found],
        iou=[_rounded(one.iou) for one in found],
        clear_iou=[round(one.clear_iou, _DIGITS) for one in found],
        clear_area=[_rounded(one.clear_area) for one in found],
        category=[one.category for one in found],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _oracle(scores: VideoScores, truth: VideoInstances) -> IdentityOracle:
    found = rejoined(truth, scores.matches.tracks)
    summary = score_videos(truth, found.tracks).summary()
    kept = ("AP", "AP50", "AP75")
    return IdentityOracle(
        metrics=_defined({name: summary[name] for name in kept}),
        breaks=[found.breaks[id_] for id_ in sorted(found.breaks)],
    )


def pack_thresholds(flags: NDArray[np.bool_]) -> list[int]:
    """Pack each column of [T, N] into a number; the lowest bit is the first IoU threshold."""
    numbers: list[int] = (flags * (1 << np.arange(len(flags)))[:, None]).sum(0).tolist()
    return numbers


def unpack_thresholds(numbers: list[int]) -> NDArray[np.bool_]:
    """Unpack the N numbers of a record into flags [T, N]."""
    shifts = np.arange(len(IOU_THRESHOLDS))[:, None]
    return (np.array(numbers, np.int64)[None] >> shifts & 1).astype(bool)


def _defined(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value < 0 else value for name, value in scores.items()}
