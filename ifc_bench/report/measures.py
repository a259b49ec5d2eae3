"""Measures of a situation, of each seed, and on draws of its videos (`report/crossed.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ifc_bench.recipe.control import Measure
from ifc_bench.records import EvaluationResult
from ifc_bench.report.crossed import Scores
from ifc_bench.report.detections import average_precision, detection_table, of_videos

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_Weighted = Callable[[EvaluationResult, Integers, Floats], Floats | None]

DRAWS = 400


def scores(
    results: Sequence[EvaluationResult], measure: Measure, situation: str | None
) -> tuple[Scores, int] | None:
    """One measure of each of `results` (one a seed), on all videos or those of a situation.

    Returns the scores and the number of videos; None where a record lacks what it needs.
    """
    if not results:
        return None
    known = _videos(results[0], situation)
    if known is None:
        return None
    rng = np.random.default_rng([len(known), 11])  # the same draws for every row
    drawn = rng.multinomial(len(known), [1 / len(known)] * len(known), size=DRAWS).astype(float)
    weights = np.vstack([np.ones(len(known)), drawn])
    found = [_MEASURES[measure](result, known, weights) for result in results]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return None
    stacked = np.array(values)
    return Scores(stacked[:, 0], stacked[:, 1:]), len(known)


def _videos(result: EvaluationResult, situation: str | None) -> Integers | None:
    """Ids of the videos, ascending; None where the record names none."""
    if situation is not None:
        named = result.situations.get(situation)
        return np.array(sorted(named), np.int64) if named else None
    if result.truths is None:
        return None
    tagged = [video for ids in result.situations.values() for video in ids]
    return np.unique(np.array([*tagged, *result.truths.video], np.int64))


def _precision(result: EvaluationResult, videos: Integers, weights: Floats) -> Floats | None:
    table = detection_table(result)
    return None if table is None else average_precision(of_videos(table, videos), weights, videos)


def _marked_iou(result: EvaluationResult, videos: Integers, weights: Floats) -> Floats | None:
    if result.marked is None:
        return None
    values = np.array([np.nan if iou is None else iou for iou in result.marked.iou])
    return _mean(result, values, videos, weights)


def _class_accuracy(result: EvaluationResult, videos: Integers, weights: Floats) -> Floats | None:
    if result.marked is None or result.truths is None:
        return None
    true = dict(zip(result.truths.id, result.truths.category, strict=True))
    pairs = zip(result.marked.id, result.marked.category, strict=True)
    values = [
        np.nan if category is None else float(category == true[id_]) for id_, category in pairs
    ]
    return _mean(result, np.array(values), videos, weights)


def _mean(
    result: EvaluationResult, values: Floats, videos: Integers, weights: Floats
) -> Floats | None:
    """The mean over instances that have a value, for each weighting of the videos [B]."""
    assert result.marked is not None
    assert result.truths is not None
    video_of = dict(zip(result.truths.id, result.truths.video, strict=True))
    owner = np.array([video_of[id_] for id_ in result.marked.id], np.int64)
    taken = np.isin(owner, videos) & ~np.isnan(values)
    if not taken.any():
        return None
    each = weights[:, np.searchsorted(videos, owner[taken])]
    totals = each.sum(1)
    return np.divide(each @ values[taken], totals, out=np.zeros(len(totals)), where=totals > 0)


_MEASURES: dict[Measure, _Weighted] = {
    "AP": _precision,
    "marked IoU": _marked_iou,
    "class accuracy": _class_accuracy,
}
