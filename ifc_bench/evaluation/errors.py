"""The error of a detection, in the manner of TIDE (Bolya et al., ECCV 2020), for tubes.

At a space-time IoU of 0.5 a detection is a hit, or has one error, the first of these that holds:

- classification: IoU of at least 0.5 with a ground truth of another class;
- localisation: IoU of 0.1 to 0.5 with a ground truth of its class, its frames being wrong too;
- association: the same, but the best IoU of each frame, with any instance, averages 0.5 or more:
  the masks are right, the identity is wrong;
- both: IoU of 0.1 to 0.5 with a ground truth of another class;
- duplicate: IoU of at least 0.5 with a ground truth of its class that a higher score has taken;
- background: none of these.

A ground truth is missed if no detection hits it and no classification, localisation or association
error falls on it. The cost of each kind is derived from the record (`ifc_bench.report.detections`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from ifc_bench.data.youtube_vis import Annotation
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.masks import measured_tube_ious

FOREGROUND, BACKGROUND = 0.5, 0.1


def classify_errors(
    tracks: Sequence[PredictedTrack], truths: Sequence[Annotation], hits: Sequence[bool]
) -> list[tuple[str, int | None]]:
    """Return the error of each detection of one video, "" for a hit, and its annotation's id.

    `hits` are the detections that are matched at IoU 0.5.
    """
    ious = _ious(tracks, truths)
    same = np.array([[a.category_id == t.category_id for a in truths] for t in tracks], bool)
    same = same.reshape(len(tracks), len(truths))
    return [
        ("", _best(ious[row], same[row], truths))
        if hit
        else _error(tracks[row], truths, ious[row], same[row])
        for row, hit in enumerate(hits)
    ]


def _ious(tracks: Sequence[PredictedTrack], truths: Sequence[Annotation]) -> NDArray[np.float64]:
    if not (tracks and truths):
        return np.zeros((len(tracks), len(truths)))
    detected, true = (np.array([tube.pixels for tube in tubes]) for tubes in (tracks, truths))
    return measured_tube_ious([t.rles for t in tracks], [a.rles for a in truths], detected, true)


def _error(
    track: PredictedTrack,
    truths: Sequence[Annotation],
    ious: NDArray[np.float64],
    same: NDArray[np.bool_],
) -> tuple[str, int | None]:
    own = float(np.max(ious, where=same, initial=0.0))
    other = float(np.max(ious, where=~same, initial=0.0))
    if other >= FOREGROUND:
        return "classification", _best(ious, ~same, truths)
    if own >= FOREGROUND:
        return "duplicate", _best(ious, same, truths)
    if own >= BACKGROUND:
        joined = _frame_by_frame(track, truths) >= FOREGROUND
        return "association" if joined else "localisation", _best(ious, same, truths)
    if other >= BACKGROUND:
        return "both", _best(ious, ~same, truths)
    return "background", None


def _best(
    ious: NDArray[np.float64], among: NDArray[np.bool_], truths: Sequence[Annotation]
) -> int | None:
    if not among.any():
        return None
    return truths[int(np.where(among, ious, -1.0).argmax())].id


def _frame_by_frame(track: PredictedTrack, truths: Sequence[Annotation]) -> float:
    """Mean over its frames of the best IoU with any instance in that frame."""
    best = []
    for frame, rle in enumerate(track.rles):
        if rle is None or not track.pixels[frame]:
            continue
        there = [mask for truth in truths if (mask := truth.rles[frame]) is not None]
        best.append(float(coco.iou([rle], there, [0] * len(there)).max()) if there else 0.0)
    return float(np.mean(best)) if best else 0.0
