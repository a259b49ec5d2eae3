"""Video average precision and recall, to the numbers that the YouTube-VIS API defines.

Work is split in two: `_match_cell` meets the detections and truths of one video and class once,
for all IoU thresholds and area ranges together; `VideoScores` accumulates any subset of videos
from these matches, so that scores by situation cost no second matching.

Axis names: T IoU thresholds, A strata (the API's area ranges first), D detections, G truths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.youtube_vis import Annotation, VideoInstances
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.evaluation.strata import AREA_RANGES, ATTRIBUTES, Stratum, Tube, thirds
from ifc_bench.masks import tube_ious

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = (1, 10, 100)
SUMMARY = (
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
)  # fmt: skip


@dataclass(frozen=True)
class _Cell:
    """One video and class: what became of each detection and how many truths counted."""

    tracks: list[PredictedTrack]  # [D], by descending score
    annotations: list[Annotation]  # [G]
    scores: Array  # [D]
    hit: Flags  # [A, T, D]
    ignored: Flags  # [A, T, D]
    truths: NDArray[np.int64]  # [A]
    found: Flags  # [T, G], in all areas


@dataclass(frozen=True)
class VideoScores:
    """Matches of all videos; every score is a fraction, or -1 where no truth defines it."""

    category_names: dict[int, str]
    situations: dict[str, list[int]]
    strata: list[Stratum]
    cells: dict[tuple[int, int], _Cell]

    def summary(self, videos: Sequence[int] | None = None) -> dict[str, float]:
        """The twelve numbers of the API, over all videos or over some."""
        precision, recall = self._curves(videos)
        at = {"50": 0, "75": 5}
        values = [_mean(precision[:, :, :, 0, 2])]
        values += [_mean(precision[at[t], :, :, 0, 2]) for t in ("50", "75")]
        values += [_mean(precision[:, :, :, area, 2]) for area in (1, 2, 3)]
        values += [_mean(recall[:, :, 0, limit]) for limit in range(3)]
        values += [_mean(recall[:, :, area, 2]) for area in (1, 2, 3)]
        return dict(zip(SUMMARY, values, strict=True))

    def by_class(self) -> dict[str, float]:
        """AP of each class."""
        precision, _ = self._curves(None)
        return {
            name: _mean(precision[:, :, index, 0, 2])
            for index, (_, name) in enumerate(sorted(self.category_names.items()))
        }

    def by_situation(self) -> dict[str, dict[str, float]]:
        """The summary over the videos of each situation that the data tags."""
        return {name: self.summary(ids) for name, ids in self.situations.items()}

    def by_stratum(self) -> list[tuple[Stratum, int, float]]:
        """Truths and AP of each stratum beyond the API's own."""
        found = []
        for index in range(len(AREA_RANGES), len(self.strata)):
            truths = sum(int(cell.truths[index]) for cell in self.cells.values())
            found.append((self.strata[index], truths, self._average(index)))
        return found

    def _average(self, stratum: int) -> float:
        """AP of one stratum."""
        values = []
        for category in sorted(self.category_names):
            cells = [self.cells[key] for key in sorted(self.cells) if key[1] == category]
            curve = _accumulate(cells, stratum, MAX_DETECTIONS[-1])
            if curve is not None:
                values.append(curve[0].mean())
        return float(np.mean(values)) if values else -1.0

    def _curves(self, videos: Sequence[int] | None) -> tuple[Array, Array]:
        """Precision [T, R, K, A, L] and recall [T, K, A, L]; -1 where there is no truth."""
        classes, limits = sorted(self.category_names), len(MAX_DETECTIONS)
        shape = (len(IOU_THRESHOLDS), len(classes), len(AREA_RANGES), limits)
        precision = np.full((shape[0], len(RECALL_POINTS), *shape[1:]), -1.0)
        recall = np.full(shape, -1.0)
        wanted = None if videos is None else set(videos)
        keys = sorted(key for key in self.cells if wanted is None or key[0] in wanted)
        for k, category in enumerate(classes):
            cells = [self.cells[key] for key in keys if key[1] == category]
            for limit, most in enumerate(MAX_DETECTIONS):
                for area in range(len(AREA_RANGES)):
                    curve = _accumulate(cells, area, most)
                    if curve is not None:
                        precision[:, :, k, area, limit], recall[:, k, area, limit] = curve
        return precision, recall


def score_videos(truth: VideoInstances, predictions: Sequence[PredictedTrack]) -> VideoScores:
    """Match predictions to ground truth.

    At most 100 predictions count for each video and class; crowds are ignored truths with
    ordinary IoU; a class without truth is left out of the means.
    """
    truths: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    found: dict[tuple[int, int], list[PredictedTrack]] = defaultdict(list)
    for annotation in truth.annotations:
        truths[annotation.video_id, annotation.category_id].append(annotation)
    for track in predictions:
        found[track.video_id, track.category_id].append(track)
    strata = [*AREA_RANGES, *thirds([a for a in truth.annotations if not a.iscrowd])]
    cells = {
        key: _match_cell(truths.get(key, []), found.get(key, []), strata)
        for key in truths.keys() | found.keys()
    }
    situations: dict[str, list[int]] = defaultdict(list)
    for video in truth.videos:
        if video.situation is not None:
            situations[video.situation].append(video.id)
    names = {category.id: category.name for category in truth.categories}
    return VideoScores(names, dict(situations), strata, cells)


def _match_cell(
    truths: list[Annotation], found: list[PredictedTrack], strata: list[Stratum]
) -> _Cell:
    """Greedy matching, best score first, for every stratum and threshold at once.

    A detection takes the free truth of highest IoU (the later one of equals), and an ignored
    truth only where no counting one qualifies; ignored truths that are crowds are never used up.
    """
    order = np.argsort([-track.score for track in found], kind="mergesort")
    tracks = [found[i] for i in order[: MAX_DETECTIONS[-1]]]
    ious = tube_ious([t.rles for t in tracks], [a.rles for a in truths])
    crowd = np.array([bool(a.iscrowd) for a in truths], bool)
    outside = _outside(truths, strata)  # [A, G]
    ignored_truth = outside | crowd
    shape = (len(strata), len(IOU_THRESHOLDS), len(tracks))
    hit, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    taken = np.zeros((*shape[:2], len(truths)), bool)
    floor = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[None, :, None]
    for index in range(len(tracks) if truths else 0):
        free = (~taken | crowd) & (ious[index] >= floor)
        counting = free & ~ignored_truth[:, None]
        pool = np.where(counting.any(2, keepdims=True), counting, free)
        quality = np.where(pool, ious[index], -1.0)
        best = len(truths) - 1 - quality[:, :, ::-1].argmax(2)
        found_one = pool.any(2)
        hit[:, :, index] = found_one
        ignored[:, :, index] = found_one & np.take_along_axis(ignored_truth, best, 1)
        a, t = np.nonzero(found_one)
        taken[a, t, best[a, t]] = True
    ignored |= ~hit & _outside(tracks, strata)[:, None]
    return _Cell(
        tracks=tracks,
        annotations=truths,
        scores=np.array([t.score for t in tracks], float),
        hit=hit,
        ignored=ignored,
        truths=(~ignored_truth).sum(1),
        found=taken[0],
    )


def _outside(tubes: Sequence[Tube], strata: Sequence[Stratum]) -> Flags:
    """Which tubes lie outside each stratum, [A, len(tubes)]."""
    values = {
        name: np.array([attribute(tube) for tube in tubes], float)
        for name, attribute in ATTRIBUTES.items()
        if any(stratum.attribute == name for stratum in strata)
    }
    rows = [
        (values[stratum.attribute] < stratum.low) | (values[stratum.attribute] > stratum.high)
        for stratum in strata
    ]
    return np.array(rows).reshape(len(strata), len(tubes))


def _accumulate(cells: list[_Cell], area: int, most: int) -> tuple[Array, Array] | None:
    """Interpolated precision [T, R] and final recall [T] of one class; None without truths."""
    truths = sum(int(cell.truths[area]) for cell in cells)
    if not truths:
        return None
    scores = np.concatenate([cell.scores[:most] for cell in cells])
    order = np.argsort(-scores, kind="mergesort")
    hit = np.concatenate([cell.hit[area, :, :most] for cell in cells], 1)[:, order]
    ignored = np.concatenate([cell.ignored[area, :, :most] for cell in cells], 1)[:, order]
    true = np.cumsum(hit & ~ignored, 1).astype(float)
    false = np.cumsum(~hit & ~ignored, 1).astype(float)
    recall = true / truths
    final = recall[:, -1] if recall.shape[1] else np.zeros(len(IOU_THRESHOLDS))
    return interpolated_precision(true, false, recall), final


def interpolated_precision(true: Array, false: Array, recall: Array) -> Array:
    """Precision [..., R] at `RECALL_POINTS`, from counts of detections by falling score [..., D].

    At each recall it is the best precision at that recall or beyond, as in COCO's evaluation.
    """
    precision = true / (true + false + np.spacing(1))
    precision = np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]
    found = np.zeros((*true.shape[:-1], len(RECALL_POINTS)))
    for place in np.ndindex(true.shape[:-1]):
        positions = np.searchsorted(recall[place], RECALL_POINTS, side="left")
        reached = positions < recall.shape[-1]
        found[(*place, reached)] = precision[place][positions[reached]]
    return found


def _mean(values: Array) -> float:
    """The mean of the defined values; -1 where none is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0
