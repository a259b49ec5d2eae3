"""Accuracies from the detections in a record: of any videos, resampled, or with errors mended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifc_bench.evaluation.result import unpack_thresholds
from ifc_bench.evaluation.video_ap import RECALL_POINTS, interpolated_precision
from ifc_bench.records import EvaluationResult

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_RESAMPLES = 500
ERRORS = (
    "classification", "localisation", "association", "both", "duplicate", "background", "missed"
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Detections and ground truth behind an evaluation; `hits` and `ignored` are [T, D].

    `truth` is -1 for a detection without a ground truth. Crowds are left out.
    """

    video: NDArray[np.int64]
    category: NDArray[np.int64]
    score: Floats
    hits: Flags
    ignored: Flags
    error: NDArray[np.str_]
    truth: NDArray[np.int64]
    truth_id: NDArray[np.int64]
    truth_video: NDArray[np.int64]
    truth_category: NDArray[np.int64]
    truth_found: Flags  # at IoU 0.5


def detection_table(result: EvaluationResult) -> Table | None:
    """The table of an evaluation; None where its record has none."""
    found, truths = result.detections, result.truths
    if found is None or truths is None:
        return None
    real = ~np.array(truths.crowd, bool)
    return Table(
        video=np.array(found.video, np.int64),
        category=np.array(found.category, np.int64),
        score=np.array(found.score, float),
        hits=unpack_thresholds(found.hits),
        ignored=unpack_thresholds(found.ignored),
        error=np.array(found.error, np.str_),
        truth=np.array([-1 if t is None else t for t in found.truth], np.int64),
        truth_id=np.array(truths.id, np.int64)[real],
        truth_video=np.array(truths.video, np.int64)[real],
        truth_category=np.array(truths.category, np.int64)[real],
        truth_found=unpack_thresholds(truths.hits)[0, real],
    )


def of_videos(table: Table, chosen: NDArray[np.int64]) -> Table:
    """The part of `table` that is of the `chosen` videos."""
    found, true = np.isin(table.video, chosen), np.isin(table.truth_video, chosen)
    return _with(
        table,
        video=table.video[found],
        category=table.category[found],
        score=table.score[found],
        hits=table.hits[:, found],
        ignored=table.ignored[:, found],
        error=table.error[found],
        truth=table.truth[found],
        truth_id=table.truth_id[true],
        truth_video=table.truth_video[true],
        truth_category=table.truth_category[true],
        truth_found=table.truth_found[true],
    )


def average_precision(
    table: Table,
    weights: Floats | None = None,
    ids: NDArray[np.int64] | None = None,
    at: int | None = None,
) -> Floats:
    """AP over IoU thresholds (or at one, by its index), for each of several weightings of videos.

    Args:
        table: of one evaluation.
        weights: how often each video counts, [B, V] for `ids`; None: once.
        ids: sorted, with all of `table`; None: those of `videos`.
        at: an index of `IOU_THRESHOLDS`; None: the mean over all.

    Returns:
        Fractions [B]; NaN where no truth is left.
    """
    ids = videos(table) if ids is None else ids
    counts = np.ones((1, len(ids))) if weights is None else weights
    hits, ignored = table.hits, table.ignored
    if at is not None:
        hits, ignored = hits[at : at + 1], ignored[at : at + 1]
    sums, defined = np.zeros(len(counts)), np.zeros(len(counts))
    for category in np.unique(table.truth_category):
        of_truth = np.searchsorted(ids, table.truth_video[table.truth_category == category])
        truths = counts[:, of_truth].sum(1)
        mine = np.flatnonzero(table.category == category)
        order = mine[np.argsort(-table.score[mine], kind="mergesort")]
        each = counts[:, np.searchsorted(ids, table.video[order])]
        values = _interpolated(each, hits[:, order], ignored[:, order], truths)
        sums += np.where(truths > 0, values, 0.0)
        defined += truths > 0
    return np.divide(sums, defined, out=np.full(len(counts), np.nan), where=defined > 0)


def bootstrap_over_videos(table: Table, resamples: int = _RESAMPLES) -> Floats:
    """AP of `resamples` draws of the videos with replacement, the same draws for every model."""
    count = len(videos(table))
    rng = np.random.default_rng([count, 7])
    weights = rng.multinomial(count, [1 / count] * count, size=resamples).astype(float)
    return average_precision(table, weights)


def videos(table: Table) -> NDArray[np.int64]:
    """Ids of all videos with a truth or a detection, ascending."""
    return np.union1d(table.video, table.truth_video)


def by_video(table: Table) -> dict[int, float]:
    """AP of each video alone; NaN where it has no truth."""
    ids = videos(table)
    values = average_precision(table, np.eye(len(ids)))
    return dict(zip(ids.tolist(), values.tolist(), strict=True))


def error_costs(table: Table) -> dict[str, float]:
    """Cost of each kind of error: AP50 with that kind mended, less AP50.

    A classification, localisation or association error becomes a hit if its annotation is still
    free, else it is dropped; the other errors are dropped; missed annotations do not count.
    """
    base = average_precision(table, at=0)[0]
    return {kind: float(average_precision(_mended(table, kind), at=0)[0] - base) for kind in ERRORS}


def error_counts(table: Table) -> dict[str, int]:
    """Number of detections (or annotations) with each kind of error."""
    counts = {kind: int((table.error == kind).sum()) for kind in ERRORS}
    return {**counts, "missed": int(_missed(table).sum())}


def _mended(table: Table, kind: str) -> Table:
    if kind == "missed":
        kept = ~_missed(table)
        return _with(
            table,
            truth_id=table.truth_id[kept],
            truth_video=table.truth_video[kept],
            truth_category=table.truth_category[kept],
            truth_found=table.truth_found[kept],
        )
    wrong = table.error == kind
    hits, category = table.hits.copy(), table.category.copy()
    dropped = wrong.copy()
    if kind in ("classification", "localisation", "association"):
        free = dict(zip(table.truth_id.tolist(), (~table.truth_found).tolist(), strict=True))
        classes = dict(zip(table.truth_id.tolist(), table.truth_category.tolist(), strict=True))
        for index in sorted(np.flatnonzero(wrong), key=lambda i: -table.score[i]):
            truth = int(table.truth[index])
            if free.get(truth):
                free[truth], dropped[index] = False, False
                hits[0, index], category[index] = True, classes[truth]
    kept = ~dropped
    return _with(
        table,
        video=table.video[kept],
        category=category[kept],
        score=table.score[kept],
        hits=hits[:, kept],
        ignored=table.ignored[:, kept],
        error=table.error[kept],
        truth=table.truth[kept],
    )


def _missed(table: Table) -> Flags:
    """Annotations without a hit and without an error that could be mended."""
    mendable = np.isin(table.error, ("classification", "localisation", "association"))
    return ~table.truth_found & ~np.isin(table.truth_id, table.truth[mendable])


def _with(table: Table, **changes: NDArray[np.generic]) -> Table:
    return Table(**{**vars(table), **changes})


def _interpolated(each: Floats, hits: Flags, ignored: Flags, truths: Floats) -> Floats:
    """Mean interpolated precision [B] of one class; `each` [B, D], `hits` [T, D], `truths` [B].

    Precision is best where a detection hits, so only these places are kept of each threshold.
    """
    curves = np.empty((len(each), len(hits), len(RECALL_POINTS)))
    seen = np.cumsum(each, 1)
    for threshold, (hit, out) in enumerate(zip(hits & ~ignored, ignored, strict=True)):
        places = np.flatnonzero(hit)
        true = np.cumsum(each[:, places], 1)
        false = seen[:, places] - true
        if out.any():
            before = np.searchsorted(np.flatnonzero(out), places)
            false -= np.cumsum(np.insert(each[:, out], 0, 0.0, axis=1), 1)[:, before]
        recall = true / np.maximum(truths, np.spacing(1))[:, None]
        curves[:, threshold] = interpolated_precision(true, false, recall)
    return curves.mean((1, 2))
