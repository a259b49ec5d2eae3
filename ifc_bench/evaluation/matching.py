"""Greedy matching of detections to ground truth, for all IoU thresholds and strata at once.

Axis names: T IoU thresholds, A strata (the API's area ranges first), D detections, G annotations.
A cell is one video and class: detections are matched with annotations of their own cell only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.youtube_vis import Annotation
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.evaluation.strata import Stratum, outside
from ifc_bench.masks import measured_tube_ious

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]
Entry = TypeVar("Entry", PredictedTrack, Annotation)

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST_DETECTIONS = 100  # that count in a cell


@dataclass(frozen=True)
class Matches:
    """The outcome of each detection and annotation.

    Attributes:
        tracks: [D], by video, class and falling score.
        annotations: [G], by video and class.
        cells: [D, 2], the video and the class of each detection.
        true_cells: [G, 2], of each annotation.
        scores: [D].
        rank: [D], the place of a detection by score in its cell, from 0.
        hit: [A, T, D].
        ignored: [A, T, D], neither true nor false positive.
        counted: [A, G], annotations that count.
        found: [T, G], hit by a detection, over all areas.
    """

    tracks: list[PredictedTrack]
    annotations: list[Annotation]
    cells: Integers
    true_cells: Integers
    scores: Array
    rank: Integers
    hit: Flags
    ignored: Flags
    counted: Flags
    found: Flags


def match(
    truths: Sequence[Annotation], predictions: Sequence[PredictedTrack], strata: Sequence[Stratum]
) -> Matches:
    """Match each detection, best score first; the first of `strata` holds all areas.

    At most 100 count in a cell, and crowds are ignored annotations with ordinary IoU.
    """
    tracks, rank = _ranked(predictions)
    annotations = sorted(truths, key=_cell)
    crowd = np.array([bool(a.iscrowd) for a in annotations], bool)
    counted = ~(outside(annotations, strata) | crowd)
    shape = (len(strata), len(IOU_THRESHOLDS))
    hit, ignored = np.zeros((2, *shape, len(tracks)), bool)
    found = np.zeros((len(IOU_THRESHOLDS), len(annotations)), bool)
    rows = _cells(tracks)
    for cell, columns in _cells(annotations).items():
        if row := rows.get(cell):
            ious = _ious(tracks[row], annotations[columns])
            matched = _match_cell(ious, counted[:, columns], crowd[columns])
            hit[:, :, row], ignored[:, :, row], found[:, columns] = matched
    ignored |= ~hit & outside(tracks, strata)[:, None]
    return Matches(
        tracks=tracks,
        annotations=annotations,
        cells=_columns(tracks),
        true_cells=_columns(annotations),
        scores=np.array([track.score for track in tracks], float),
        rank=rank,
        hit=hit,
        ignored=ignored,
        counted=counted,
        found=found,
    )


def _cell(entry: PredictedTrack | Annotation) -> tuple[int, int]:
    return entry.video_id, entry.category_id


def _columns(entries: Sequence[Entry]) -> Integers:
    """The cell of each entry, [N, 2]."""
    return np.array([_cell(entry) for entry in entries], np.int64).reshape(-1, 2)


def _cells(entries: Sequence[Entry]) -> dict[tuple[int, int], slice]:
    """The slice of each cell in sorted entries."""
    cells, first = {}, 0
    for cell, members in groupby(entries, key=_cell):
        end = first + len(list(members))
        cells[cell], first = slice(first, end), end
    return cells


def _ranked(predictions: Sequence[PredictedTrack]) -> tuple[list[PredictedTrack], Integers]:
    """The best detections of each cell in order, and their ranks."""
    cells = _columns(predictions)
    scores = np.array([track.score for track in predictions], float)
    order = np.lexsort((-scores, cells[:, 1], cells[:, 0]))
    begins = np.append(True, (np.diff(cells[order], axis=0) != 0).any(1))[: len(order)]
    rank = np.arange(len(order)) - np.flatnonzero(begins)[np.cumsum(begins) - 1]
    counts = rank < MOST_DETECTIONS
    return [predictions[index] for index in order[counts].tolist()], rank[counts]


def _ious(tracks: Sequence[PredictedTrack], annotations: Sequence[Annotation]) -> Array:
    """IoU [D, G]; 0 for detections below the lowest threshold with every annotation."""
    return measured_tube_ious(
        [track.rles for track in tracks],
        [annotation.rles for annotation in annotations],
        np.array([track.pixels for track in tracks]),
        np.array([annotation.pixels for annotation in annotations]),
        least=float(IOU_THRESHOLDS[0]),
    )


def _match_cell(ious: Array, counted: Flags, crowd: Flags) -> tuple[Flags, Flags, Flags]:
    """`hit` and `ignored` [A, T, D] and `found` [T, G] of a cell with `ious` [D, G].

    A detection takes the free annotation of highest IoU (the later one of equals), and an ignored
    one only if no counting one qualifies; crowds can be taken several times.
    """
    count = ious.shape[1]
    enough = ious[:, None] >= np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # [D, T, G]
    order = ious.argsort(1, kind="stable").argsort(1)  # [D, G]
    worth = (
        order[:, None] + count * counted + 2
    )  # [D, A, G], from 2; no two annotations have the same
    free = np.ones((len(counted), *enough.shape[1:]), bool)  # [A, T, G]
    best = np.ones((*free.shape[:2], len(ious)), np.int64)  # [A, T, D], of worth; 1 for none
    found = np.zeros(enough.shape[1:], bool)
    for index in np.flatnonzero(enough.any((1, 2))).tolist():
        offers = np.where(free & enough[index], worth[index][:, None], 0)
        best[:, :, index] = offers.max(2, initial=1)
        taken = offers == best[:, :, index, None]
        free &= ~taken | crowd
        found |= taken[0]
    hit = best > 1
    return hit, hit & (best < count + 2), found
