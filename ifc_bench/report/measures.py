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
    results: Sequence[EvaluationResult], measure: Measure, videos: Integers
) -> Scores | None:
    """One measure of each of `results` (one a seed), on `videos`; None where a record lacks it."""
    if not results:
        return None
    count = len(videos)
    rng = np.random.default_rng([count, 11])  # the same draws for every row
    drawn = rng.multinomial(count, [1 / count] * count, size=DRAWS).astype(float)
    weights = np.vstack([np.ones(count), drawn])
    found = [_MEASURES[measure](result, videos, weights) for result in results]
    values = [value for value in found if value is not None]
    if len(values) < len(found):
        return None
    stacked = np.array(values)
    return Scores(stacked[:, 0], stacked[:, 1:])


def videos_of(results: Sequence[EvaluationResult], situation: str | None) -> Integers | None:
    """Ids of all videos that any of `results` names, ascending, or of those of a situation.

    None where there are none. Videos without annotations count where something was found in them.
    """
    found: set[int] = set()
    for result in results:
        if situation is not None:
            found.update(result.situations.get(situation, ()))
            continue
        for ids in result.situations.values():
            found.update(ids)
        for columns in (result.truths, result.detections):
            found.update(columns.video if columns is not None else ())
    return np.array(sorted(found), np.int64) if found else None


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
    values = [float(category == true[id_]) for id_, category in pairs]  # no track: not right
    return _mean(result, np.array(values), videos, weights)


def _mean(
    result: EvaluationResult, values: Floats, videos: Integers, weights: Floats
) -> Floats | None:
    """The mean over instances that have a value, for each weighting of the videos [B].

    NaN for a weighting without any, as of `average_precision`.
    """
    assert result.marked is not None
    assert result.truths is not None
    video_of = dict(zip(result.truths.id, result.truths.video, strict=True))
    owner = np.array([video_of[id_] for id_ in result.marked.id], np.int64)
    taken = np.isin(owner, videos) & ~np.isnan(values)
    if not taken.any():
        return None
    each = weights[:, np.searchsorted(videos, owner[taken])]
    totals = each.sum(1)
    return np.divide(
        each @ values[taken], totals, out=np.full(len(totals), np.nan), where=totals > 0
    )


_MEASURES: dict[Measure, _Weighted] = {
    "AP": _precision,
    "marked IoU": _marked_iou,
    "class accuracy": _class_accuracy,
}
