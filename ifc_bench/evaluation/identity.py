"""The identity oracle: what could better association between frames still win?

In every frame each predicted mask is given to the ground truth that it covers best, at an IoU of
0.5 at least. What a ground truth got is joined to one track, the best mask of each frame; the rest
stays where it was. Masks, classes and scores are the method's own, so the difference in AP is that
of identities alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ifc_bench.data.youtube_vis import Annotation, VideoInstances
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.masks import Rle, frame_ious

Floats = NDArray[np.float64]
Masks = list[Rle | None]

COVERED = 0.5


@dataclass(frozen=True)
class Rejoined:
    """Tracks with the identities of the ground truth.

    Attributes:
        tracks: of all videos.
        breaks: for each annotation that is no crowd, by its id, how often the track that covers it
            gives way to another one, from one covered frame to the next.
    """

    tracks: list[PredictedTrack]
    breaks: dict[int, int]


def rejoined(truth: VideoInstances, predictions: Sequence[PredictedTrack]) -> Rejoined:
    """Join the tracks of every video by its ground truth."""
    annotations: dict[int, list[Annotation]] = defaultdict(list)
    entries: dict[int, list[PredictedTrack]] = defaultdict(list)
    for annotation in truth.annotations:
        if not annotation.iscrowd:
            annotations[annotation.video_id].append(annotation)
    for entry in predictions:
        entries[entry.video_id].append(entry)
    tracks: list[PredictedTrack] = []
    breaks: dict[int, int] = {}
    for video in truth.videos:
        found, broken = _of_video(annotations[video.id], entries[video.id])
        tracks += found
        breaks |= broken
    return Rejoined(tracks, breaks)


def _of_video(
    annotations: Sequence[Annotation], entries: Sequence[PredictedTrack]
) -> tuple[list[PredictedTrack], dict[int, int]]:
    none = {annotation.id: 0 for annotation in annotations}
    if not (annotations and entries):
        return list(entries), none
    tubes, scores = _identities(entries)
    owner = _owners(tubes, annotations)  # [L, G], the tube that covers each truth, or -1
    video, found, breaks = entries[0].video_id, [], {}
    left = [list(tube) for tube in tubes]
    for column, annotation in enumerate(annotations):
        chosen = owner[:, column]
        covered = chosen[chosen >= 0]
        breaks[annotation.id] = int((np.diff(covered) != 0).sum())
        if not covered.size:
            continue
        masks: Masks = [None] * len(chosen)
        for frame in np.flatnonzero(chosen >= 0).tolist():
            masks[frame] = tubes[chosen[frame]][frame]
            left[chosen[frame]][frame] = None
        found += _entries(video, masks, _mean_scores(scores, covered.tolist()))
    for number, masks in enumerate(left):
        if any(mask is not None for mask in masks):
            found += _entries(video, masks, scores[number])
    return found, breaks


def _identities(entries: Sequence[PredictedTrack]) -> tuple[list[Masks], list[dict[int, float]]]:
    """The different tubes, and the scores of each by class: a track has one entry for each."""
    tubes: list[Masks] = []
    scores: list[dict[int, float]] = []
    places: dict[tuple[str | None, ...], int] = {}
    for entry in entries:
        key = tuple(None if rle is None else rle["counts"] for rle in entry.rles)
        place = places.setdefault(key, len(tubes))
        if place == len(tubes):
            tubes.append(entry.rles)
            scores.append({})
        known = scores[place].get(entry.category_id, 0.0)
        scores[place][entry.category_id] = max(known, entry.score)
    return tubes, scores


def _owners(tubes: Sequence[Masks], annotations: Sequence[Annotation]) -> NDArray[np.int64]:
    """The tube whose mask covers each truth best in each frame [L, G]; -1 where none does.

    A mask belongs to the truth that it covers best.
    """
    truths = [annotation.rles for annotation in annotations]
    owner = np.full((len(truths[0]), len(truths)), -1, np.int64)
    for frame in range(len(truths[0])):
        ious = frame_ious(tubes, truths, frame)  # [D, G]
        mine = ious == ious.max(1, keepdims=True)
        ious = np.where(mine & (ious >= COVERED), ious, 0.0)
        best = ious.argmax(0)
        owner[frame] = np.where(ious.max(0) > 0, best, -1)
    return owner


def _mean_scores(scores: Sequence[dict[int, float]], covered: Sequence[int]) -> dict[int, float]:
    """The score of each class, averaged over the frames that tubes give."""
    if len(set(covered)) == 1:
        return scores[covered[0]]  # not rounded
    classes = {category for tube in set(covered) for category in scores[tube]}
    return {
        category: fmean(scores[tube].get(category, 0.0) for tube in covered)
        for category in sorted(classes)
    }


def _entries(video: int, masks: Masks, scores: dict[int, float]) -> list[PredictedTrack]:
    return [PredictedTrack(video, category, score, masks) for category, score in scores.items()]
