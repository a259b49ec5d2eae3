"""A trained model over a split: tracks in the results format."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from ifc_bench.config import Testing
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.youtube_vis import RawRle, Video
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack
from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Track
from ifc_bench.sweep.partial import Partial
from ifc_bench.tracking import ClipTracker, track_video


@dataclass(frozen=True)
class Predictions:
    """Scored tubes, the number of tracks behind them, and the time it took."""

    tracks: list[PredictedTrack]
    count: int
    seconds: float


def predict(
    model: IFC,
    data: VideoDataset,
    how: Testing,
    tell: Callable[[int, int], None] | None = None,
    kept: Partial | None = None,
) -> Predictions:
    """Run `model` over every video of `data`, but those that are `kept` from an earlier try.

    Raises:
        UserError: where a video is shorter than the window and `how` refuses such videos.
    """
    for video in data.videos:
        if how.short_videos == "refuse" and how.window and video.length < how.window:
            raise UserError(
                f"{data.files.annotations}: video {video.id}: has {video.length} frames, "
                f"the window is T = {how.window}; ask for T <= {video.length}, or set "
                "short_videos to 'shrink'"
            )
    begun = time.monotonic()
    found: list[PredictedTrack] = []
    total = 0
    for done, video in enumerate(data.videos, 1):
        if kept is not None and video.id in kept.tracks:
            written, count = kept.tracks[video.id], kept.counts[video.id]
        else:
            tracks = tracks_of(model, data, video, how)
            best = how.protocol == "image"
            written = scored(tracks, video.id, data.category_ids, how.score_threshold, best)
            count = len(tracks)
            if kept is not None:
                kept.add(video.id, count, written)
        found += written
        total += count
        if tell:
            tell(done, len(data.videos))
    return Predictions(found, total, time.monotonic() - begun)


def tracks_of(model: IFC, data: VideoDataset, video: Video, how: Testing) -> list[Track]:
    """The tracks of one video."""
    tracker = ClipTracker((video.height, video.width), how.match_threshold)
    return track_video(
        model,
        lambda indices: data.frames(video, indices, how.size),
        video.length,
        tracker,
        how.window,
        how.stride,
    )


def scored(
    tracks: list[Track],
    video: int,
    category_ids: list[int],
    threshold: float,
    best_class: bool = False,
) -> list[PredictedTrack]:
    """Every (track, class) whose probability exceeds `threshold`, as the released code gives.

    For images the released code gives each instance its `best_class` alone.
    """
    found = []
    for track in tracks:
        masks = [None if rle is None else RawRle.model_validate(rle) for rle in track.segmentations]
        scores = track.class_probabilities[:-1].tolist()
        best = max(scores)
        for category, score in zip(category_ids, scores, strict=True):
            if score > threshold and not (best_class and score < best):
                found.append(
                    PredictedTrack.model_construct(
                        video_id=video, category_id=category, score=score, segmentations=masks
                    )
                )
    return found


def results_json(predictions: Predictions) -> str:
    """The text of a results.json."""
    return json.dumps([track.model_dump(mode="json") for track in predictions.tracks])
