"""COCO instance segmentation as videos of one frame (paper, Section 4: pretraining with T = 1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pycocotools import mask as coco
from pydantic import BaseModel, ConfigDict, PositiveInt

from ifc_bench.data.youtube_vis import (
    Annotation,
    Category,
    RawRle,
    Video,
    VideoInstances,
    validated,
)
from ifc_bench.errors import UserError

Polygons = list[list[float]]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Image(_Lenient):
    id: int
    file_name: str
    height: PositiveInt
    width: PositiveInt


class _Instance(_Lenient):
    id: int
    image_id: int
    category_id: int
    segmentation: Polygons | RawRle
    area: float | None = None
    iscrowd: int = 0


class _Images(_Lenient):
    images: list[_Image]
    categories: list[Category]
    annotations: list[_Instance]


def is_coco(content: Any) -> bool:
    """Whether a JSON value looks like COCO's annotations rather than YouTube-VIS's."""
    return isinstance(content, dict) and "images" in content and "videos" not in content


def as_videos(content: Any, path: Path) -> VideoInstances:
    """COCO's images and instances as videos of one frame; polygons become masks.

    Raises:
        UserError: one line that names the file, the entry, the value and the mend.
    """
    images = validated(_Images, content, path)
    listed = [
        Video(
            id=image.id,
            height=image.height,
            width=image.width,
            length=1,
            file_names=[image.file_name],
        )
        for image in images.images
    ]
    videos = {video.id: video for video in listed}
    annotations = []
    for instance in images.annotations:
        where = f"{path}: annotation {instance.id}"
        if instance.image_id not in videos:
            raise UserError(f"{where}: image_id {instance.image_id} is not among the images")
        video = videos[instance.image_id]
        annotations.append(
            Annotation.model_construct(
                id=instance.id,
                video_id=instance.image_id,
                category_id=instance.category_id,
                segmentations=[_mask(instance.segmentation, video, where)],
                areas=None if instance.area is None else [instance.area],
                iscrowd=instance.iscrowd,
            )
        )
    return VideoInstances.model_construct(
        videos=listed, categories=images.categories, annotations=annotations
    )


def _mask(segmentation: Polygons | RawRle, video: Video, where: str) -> RawRle:
    if isinstance(segmentation, RawRle):
        return segmentation
    for number, polygon in enumerate(segmentation):
        if len(polygon) < 6 or len(polygon) % 2:
            raise UserError(
                f"{where}: segmentation.{number}: has {len(polygon)} numbers; a polygon has at "
                "least three pairs x, y"
            )
    if not segmentation:
        raise UserError(
            f"{where}: segmentation: is empty; a polygon or a run-length mask is needed"
        )
    parts = coco.frPyObjects(segmentation, video.height, video.width)
    rle = coco.merge(parts)
    return RawRle(size=(video.height, video.width), counts=rle["counts"].decode("ascii"))
