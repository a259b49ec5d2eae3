"""Counts the videos that predictions cover, because part of a results file scores low."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.evaluation.predictions import PredictedTrack


@dataclass(frozen=True)
class Coverage:
    """Counts of tracks, videos, videos with a track, and videos without track and annotation."""

    tracks: int
    videos: int
    predicted: int
    empty: int

    def told(self) -> str:
        """The counts in one line."""
        text = f"{self.tracks} tracks: predictions for {self.predicted} of {self.videos} videos"
        other = self.videos - self.predicted
        if not other:
            return text
        nothing = f", except {self.empty} without instances" if self.empty else ""
        return f"{text}; the other {other} count as missed{nothing}"


def coverage(truth: VideoInstances, tracks: Sequence[PredictedTrack]) -> Coverage:
    """Count the videos of `truth` that `tracks` cover; all their videos must be in it."""
    predicted = {track.video_id for track in tracks}
    annotated = {annotation.video_id for annotation in truth.annotations}
    videos = {video.id for video in truth.videos}
    return Coverage(
        tracks=len(tracks),
        videos=len(videos),
        predicted=len(predicted),
        empty=len(videos - predicted - annotated),
    )
