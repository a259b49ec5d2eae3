"""IoU over the frames that hide the scene, which the data marks (generator 3).

The track of a ground truth is the one that covers it best in the frames that are not marked, of any
class. So the frames that are asked about do not choose who answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ifc_bench.data.youtube_vis import Annotation, Video, VideoInstances
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.masks import Rle, tube_ious


@dataclass(frozen=True)
class MarkedTruth:
    """One ground truth.

    Attributes:
        id: of the annotation.
        iou: of its track over the marked frames together, 0 without a track; None where the
            annotation has no mask in a marked frame.
        clear_iou: the same over the other frames.
        clear_area: pixels of its track over its own pixels, in the other frames; None without a
            track.
        category: of its track, by the highest score; None without a track.
    """

    id: int
    iou: float | None
    clear_iou: float
    clear_area: float | None
    category: int | None


def marked_truths(
    truth: VideoInstances, predictions: Sequence[PredictedTrack]
) -> list[MarkedTruth]:
    """Judge each ground truth that is no crowd; empty where no video of `truth` has marks."""
    if not any(video.marked for video in truth.videos):
        return []
    annotations: dict[int, list[Annotation]] = defaultdict(list)
    tracks: dict[int, list[PredictedTrack]] = defaultdict(list)
    for annotation in truth.annotations:
        if not annotation.iscrowd:
            annotations[annotation.video_id].append(annotation)
    for track in sorted(predictions, key=lambda track: -track.score):
        tracks[track.video_id].append(track)
    found = [
        one
        for video in truth.videos
        for one in _of_video(video, annotations[video.id], tracks[video.id])
    ]
    return sorted(found, key=lambda one: one.id)


def _of_video(
    video: Video, annotations: Sequence[Annotation], tracks: Sequence[PredictedTrack]
) -> list[MarkedTruth]:
    """Judge the annotations of one video; `tracks` are sorted by falling score."""
    marked = sorted(set(video.marked or ()))
    clear = sorted(set(range(video.length)) - set(marked))
    truths = [annotation.rles for annotation in annotations]
    tubes = [track.rles for track in tracks]
    over_clear = tube_ious(_at(tubes, clear), _at(truths, clear))
    over_marked = tube_ious(_at(tubes, marked), _at(truths, marked))
    found = []
    for column, annotation in enumerate(annotations):
        best = int(np.argmax(over_clear[:, column])) if tracks else 0  # the first has most score
        clear_iou = float(over_clear[best, column]) if tracks else 0.0
        has_track, asked = clear_iou > 0, bool(marked) and annotation.pixels[marked].any()
        iou = (float(over_marked[best, column]) if has_track else 0.0) if asked else None
        category = tracks[best].category_id if has_track else None
        area = None
        if has_track:
            area = float(tracks[best].pixels[clear].sum() / annotation.pixels[clear].sum())
        found.append(MarkedTruth(annotation.id, iou, clear_iou, area, category))
    return found


def _at(tubes: Sequence[Sequence[Rle | None]], frames: Sequence[int]) -> list[list[Rle | None]]:
    return [[tube[frame] for frame in frames] for tube in tubes]
