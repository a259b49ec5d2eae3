"""Video average precision and recall, to the numbers that the YouTube-VIS API defines.

Detections are matched once (`ifc_bench.evaluation.matching`); any subset of videos is accumulated
from these matches, so that scores by situation cost no second matching.

Axis names: T IoU thresholds, A strata (the API's area ranges first), D detections, K classes,
R recalls, L limits of detections.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.evaluation.matching import IOU_THRESHOLDS as IOU_THRESHOLDS
from ifc_bench.evaluation.matching import MOST_DETECTIONS, Matches, match
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.evaluation.strata import AREA_RANGES, OCCLUSION_RANGES, Stratum, thirds

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = (1, 10, MOST_DETECTIONS)
SUMMARY = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip


@dataclass(frozen=True)
class VideoScores:
    """Matches of all videos; every score is a fraction, or -1 without ground truth."""

    category_names: dict[int, str]
    situations: dict[str, list[int]]
    strata: list[Stratum]
    matches: Matches

    def summary(self, videos: Sequence[int] | None = None) -> dict[str, float]:
        """The twelve numbers of the API, over all videos or over some."""
        precision, recall = self.curves(videos)
        at = {"50": 0, "75": 5}
        values = [_mean(precision[:, :, :, 0, 2])]
        values += [_mean(precision[at[t], :, :, 0, 2]) for t in ("50", "75")]
        values += [_mean(precision[:, :, :, area, 2]) for area in (1, 2, 3)]
        values += [_mean(recall[:, :, 0, limit]) for limit in range(3)]
        values += [_mean(recall[:, :, area, 2]) for area in (1, 2, 3)]
        return dict(zip(SUMMARY, values, strict=True))

    def by_occlusion(self) -> dict[str, float]:
        """AP and AR by light, medium and heavy occlusion, as OVIS reports them; none elsewhere."""
        first, *_ = OCCLUSION_RANGES.values()
        if first not in self.strata:
            return {}
        begin = self.strata.index(first)
        some = slice(begin, begin + len(OCCLUSION_RANGES))
        curves = zip(("AP", "AR"), self._accumulate(some, MAX_DETECTIONS[-1], None), strict=True)
        return {
            f"{metric} {name}": _mean(values[place])
            for metric, values in curves
            for place, name in enumerate(OCCLUSION_RANGES)
        }

    def by_class(self) -> dict[str, float]:
        """AP of each class."""
        precision, _ = self.curves()
        return {
            name: _mean(precision[:, :, index, 0, 2])
            for index, (_, name) in enumerate(sorted(self.category_names.items()))
        }

    def by_situation(self) -> dict[str, dict[str, float]]:
        """The summary over the videos of each situation that the data tags."""
        return {name: self.summary(ids) for name, ids in self.situations.items()}

    def by_stratum(self) -> list[tuple[Stratum, int, float]]:
        """Number of annotations and AP of each stratum beyond the API's own."""
        own = slice(len(AREA_RANGES), len(self.strata))
        precision, _ = self._accumulate(own, MAX_DETECTIONS[-1], None)
        strata, thresholds, classes, recalls = precision.shape
        curves = precision.transpose(0, 2, 1, 3)
        means = curves.reshape(strata, classes, thresholds * recalls).mean(2)
        truths = self.matches.counted[own].sum(1).tolist()
        return list(zip(self.strata[own], truths, map(_mean, means), strict=True))

    def curves(self, videos: Sequence[int] | None = None) -> tuple[Array, Array]:
        """Precision [T, R, K, A, L] and recall [T, K, A, L]; -1 without ground truth."""
        curves = [
            self._accumulate(slice(len(AREA_RANGES)), most, videos) for most in MAX_DETECTIONS
        ]
        precision = np.stack([p.transpose(1, 3, 2, 0) for p, _ in curves], -1)
        return precision, np.stack([r.transpose(1, 2, 0) for _, r in curves], -1)

    def _accumulate(
        self, strata: slice, most: int, videos: Sequence[int] | None
    ) -> tuple[Array, Array]:
        """Interpolated precision [A, T, K, R] and final recall [A, T, K] of some strata.

        The `most` best detections of each video and class count; -1 without ground truth.
        """
        matches, classes = self.matches, sorted(self.category_names)
        true_label, taken = _labels(matches.true_cells, classes, videos)
        counted = matches.counted[strata] & taken
        truths = np.array(
            [np.bincount(true_label[row], minlength=len(classes)) for row in counted]
        ).reshape(-1, 1, len(classes))
        label, taken = _labels(matches.cells, classes, videos)
        chosen = np.flatnonzero(taken & (matches.rank < most))
        chosen = chosen[np.lexsort((-matches.scores[chosen], label[chosen]))]
        known = ~matches.ignored[strata][:, :, chosen]
        right = matches.hit[strata][:, :, chosen] & known
        return _class_curves(right, known, label[chosen], truths)


def score_videos(truth: VideoInstances, predictions: Sequence[PredictedTrack]) -> VideoScores:
    """Match predictions to ground truth.

    At most 100 predictions count for each video and class; crowds are ignored annotations
    with ordinary IoU; means leave out a class without ground truth.
    """
    strata = [*AREA_RANGES, *thirds([a for a in truth.annotations if not a.iscrowd])]
    if any(annotation.occluded is not None for annotation in truth.annotations):
        strata += OCCLUSION_RANGES.values()
    situations: dict[str, list[int]] = defaultdict(list)
    for video in truth.videos:
        if video.situation is not None:
            situations[video.situation].append(video.id)
    names = {category.id: category.name for category in truth.categories}
    matches = match(truth.annotations, predictions, strata)
    return VideoScores(names, dict(situations), strata, matches)


def _labels(
    cells: Integers, classes: Sequence[int], videos: Sequence[int] | None
) -> tuple[Integers, Flags]:
    """Place among `classes` of each of `cells` [N, 2], and whether it is of `videos`."""
    among = np.array(classes, np.int64)
    taken = np.isin(cells[:, 1], among)
    if videos is not None:
        taken &= np.isin(cells[:, 0], np.array(videos, np.int64))
    return np.searchsorted(among, cells[:, 1]), taken


def _class_curves(
    right: Flags, known: Flags, label: Integers, truths: Integers
) -> tuple[Array, Array]:
    """Interpolated precision [A, T, K, R] and final recall [A, T, K]; -1 without ground truth.

    `right` and `known` (right or wrong, not ignored) [A, T, D] and `label` [D] are sorted by class,
    and then by falling score; `truths` is [A, 1, K].
    """
    edges = np.searchsorted(label, np.arange(truths.shape[-1] + 1))
    true, all_known = (_counts(flags) for flags in (right, known))  # [A, T, D + 1]
    total = np.diff(true[..., edges])  # [A, T, K]
    a, t, d = right.nonzero()
    k = label[d]
    before = edges[k]  # of the same class
    hits = (true[a, t, d + 1] - true[a, t, before]).astype(float)
    precision = hits / (all_known[a, t, d + 1] - all_known[a, t, before] + np.spacing(1))
    recall = hits / truths[a, 0, k]
    curves = _interpolated(total.shape, (a, t, k), precision, recall)
    none = np.broadcast_to(truths == 0, total.shape)
    curves[none] = -1.0
    return curves, np.where(none, -1.0, total / np.maximum(truths, 1))


def _counts(flags: Flags) -> Integers:
    """Number of flags set before each position of the last axis, and in total."""
    counts = np.zeros((*flags.shape[:-1], flags.shape[-1] + 1), np.int64)
    np.cumsum(flags, -1, out=counts[..., 1:])
    return counts


def interpolated_precision(true: Array, false: Array, recall: Array) -> Array:
    """Precision [..., R] at `RECALL_POINTS`, from counts of detections by falling score [..., D].

    At each recall it is the best precision at that recall or beyond, as in COCO's evaluation.
    """
    hit = (np.diff(true, axis=-1, prepend=0) > 0).nonzero()  # precision falls between hits
    precision = true[hit] / (true[hit] + false[hit] + np.spacing(1))
    return _interpolated(true.shape[:-1], hit[:-1], precision, recall[hit])


def _interpolated(
    shape: tuple[int, ...], places: tuple[Integers, ...], precision: Array, recall: Array
) -> Array:
    """Curves [*shape, R] through the points of the hits; `places` is the curve of each hit."""
    best = np.zeros((*shape, len(RECALL_POINTS) + 1))
    reached = np.searchsorted(RECALL_POINTS, recall, side="right")
    np.maximum.at(best, (*places, reached), precision)
    return np.maximum.accumulate(best[..., :0:-1], -1)[..., ::-1].copy()


def _mean(values: Array) -> float:
    """The mean of the defined values; -1 if there is none."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0
