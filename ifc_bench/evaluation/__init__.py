"""Video AP and image AP on run-length masks. No torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ifc_bench.evaluation.coverage import Coverage, coverage
from ifc_bench.evaluation.predictions import PredictedTrack, read_predictions
from ifc_bench.evaluation.video_ap import SUMMARY, VideoScores, score_videos

if TYPE_CHECKING:
    from ifc_bench.evaluation.image_ap import ImageScores, score_images
    from ifc_bench.evaluation.result import as_result

_LATER = {"ImageScores": "image_ap", "score_images": "image_ap", "as_result": "result"}

__all__ = [
    "SUMMARY",
    "Coverage",
    "ImageScores",
    "PredictedTrack",
    "VideoScores",
    "as_result",
    "coverage",
    "read_predictions",
    "score_images",
    "score_videos",
]


def __getattr__(name: str) -> Any:
    """Import COCO's evaluator and the records when they are asked for: video AP needs neither."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
