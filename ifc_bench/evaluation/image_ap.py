"""Image AP as COCO defines it, by pycocotools' own evaluator, for videos of one frame."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ifc_bench.data.youtube_vis import Annotation, VideoInstances
from ifc_bench.errors import UserError
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.evaluation.video_ap import SUMMARY
from ifc_bench.masks import areas


@dataclass(frozen=True)
class ImageScores:
    """The same views as `VideoScores`, of images; -1 without ground truth."""

    truth: VideoInstances
    evaluator: COCOeval

    def summary(self, images: Sequence[int] | None = None) -> dict[str, float]:
        """The twelve numbers of COCO, over all images or over some."""
        ids = sorted(self.evaluator.cocoGt.imgs) if images is None else sorted(images)
        evaluator = COCOeval(self.evaluator.cocoGt, self.evaluator.cocoDt, "segm")
        evaluator.params.imgIds = ids
        _run(evaluator)
        return dict(zip(SUMMARY, map(float, evaluator.stats), strict=True))

    def by_class(self) -> dict[str, float]:
        """AP of each class."""
        precision = self.evaluator.eval["precision"][:, :, :, 0, -1]
        names = {category.id: category.name for category in self.truth.categories}
        return {
            names[id]: _mean(precision[:, :, index])
            for index, id in enumerate(self.evaluator.params.catIds)
        }

    def by_situation(self) -> dict[str, dict[str, float]]:
        """The summary over the images of each situation that the data tags."""
        tagged = {v.situation for v in self.truth.videos if v.situation is not None}
        return {
            name: self.summary([v.id for v in self.truth.videos if v.situation == name])
            for name in sorted(tagged)
        }


def score_images(truth: VideoInstances, predictions: Sequence[PredictedTrack]) -> ImageScores:
    """Score one-frame tubes as instances of images.

    Raises:
        UserError: where a video has more than one frame.
    """
    for video in truth.videos:
        if video.length != 1:
            raise UserError(
                f"video {video.id}: has {video.length} frames; the image protocol scores videos of "
                "one frame, use the video protocol"
            )
    found = [_detection(p) for p in predictions if p.rles[0] is not None]
    with contextlib.redirect_stdout(io.StringIO()):
        present = [a for a in truth.annotations if a.rles[0]]
        reference = _coco(truth, [_annotation(a, n) for n, a in enumerate(present, 1)])
        detected = reference.loadRes(found) if found else _coco(truth, [])
    evaluator = COCOeval(reference, detected, "segm")
    _run(evaluator)
    return ImageScores(truth, evaluator)


def _run(evaluator: COCOeval) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its steps and its table
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()


def _coco(truth: VideoInstances, annotations: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": v.id, "height": v.height, "width": v.width} for v in truth.videos],
        "categories": [{"id": c.id, "name": c.name} for c in truth.categories],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _annotation(annotation: Annotation, number: int) -> dict[str, Any]:
    """As COCO writes it, with ids from 1: to the evaluator a match with id 0 is none."""
    given = annotation.areas[0] if annotation.areas else None
    return {
        "id": number,
        "image_id": annotation.video_id,
        "category_id": annotation.category_id,
        "segmentation": annotation.rles[0],
        "iscrowd": annotation.iscrowd,
        "area": float(areas(annotation.rles)[0]) if given is None else given,
        "bbox": [0, 0, 0, 0],
    }


def _detection(track: PredictedTrack) -> dict[str, Any]:
    return {
        "image_id": track.video_id,
        "category_id": track.category_id,
        "segmentation": track.rles[0],
        "score": track.score,
    }


def _mean(values: np.ndarray[Any, Any]) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0
