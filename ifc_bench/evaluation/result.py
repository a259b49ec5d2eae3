"""From scores to what a record keeps."""

from __future__ import annotations

from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.evaluation.image_ap import ImageScores
from ifc_bench.evaluation.video_ap import VideoScores
from ifc_bench.records import EvaluationResult


def as_result(
    scores: VideoScores | ImageScores, truth: VideoInstances, tracks: int, seconds: float
) -> EvaluationResult:
    """All views of `scores`, with null where no ground truth defines one (the API's -1)."""
    return EvaluationResult(
        metrics=_defined(scores.summary()),
        by_class=_defined(scores.by_class()),
        by_situation={name: _defined(part) for name, part in scores.by_situation().items()},
        videos=len(truth.videos),
        frames=sum(video.length for video in truth.videos),
        tracks=tracks,
        wall_seconds=seconds,
    )


def _defined(scores: dict[str, float]) -> dict[str, float | None]:
    return {name: None if value < 0 else value for name, value in scores.items()}
