"""Video AP and image AP on run-length masks. No torch."""

from ifc_bench.evaluation.coverage import Coverage, coverage
from ifc_bench.evaluation.image_ap import ImageScores, score_images
from ifc_bench.evaluation.predictions import PredictedTrack, read_predictions
from ifc_bench.evaluation.result import as_result
from ifc_bench.evaluation.video_ap import SUMMARY, VideoScores, score_videos

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
