"""COCO instance segmentation as videos of one frame (paper, Section 4: pretraining with T = 1)."""

from __future__ import annotations

from collections.abc import Iterator
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
    schema_faults,
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
    for fault in _instance_faults(images):
        raise UserError(f"{path}: {fault}")
    videos = [
        Video(
            id=image.id,
            height=image.height,
            width=image.width,
            length=1,
            file_names=[image.file_name],
        )
        for image in images.images
    ]
    size = {video.id: (video.height, video.width) for video in videos}
    annotations = [
        Annotation.model_construct(
            id=instance.id,
            video_id=instance.image_id,
            category_id=instance.category_id,
            segmentations=[_mask(instance.segmentation, size[instance.image_id])],
            areas=None if instance.area is None else [instance.area],
            iscrowd=instance.iscrowd,
        )
        for instance in images.annotations
    ]
    return VideoInstances.model_construct(
        videos=videos, categories=images.categories, annotations=annotations
    )


def coco_faults(content: Any) -> Iterator[str]:
    """What keeps `content` from being read as COCO's annotations, one line for each fault."""
    broken = list(schema_faults(_Images, content))
    yield from broken or _instance_faults(_Images.model_validate(content))


def _instance_faults(images: _Images) -> Iterator[str]:
    """Instances of no image, and polygons that are none."""
    known = {image.id for image in images.images}
    for instance in images.annotations:
        where = f"annotation {instance.id}"
        if instance.image_id not in known:
            yield f"{where}: image_id {instance.image_id} is not among the images"
        if isinstance(instance.segmentation, RawRle):
            continue
        if not instance.segmentation:
            yield f"{where}: segmentation: is empty; a polygon or a run-length mask is needed"
        for number, polygon in enumerate(instance.segmentation):
            if len(polygon) < 6 or len(polygon) % 2:
                yield (
                    f"{where}: segmentation.{number}: has {len(polygon)} numbers; a polygon has at "
                    "least three pairs x, y"
                )


def _mask(segmentation: Polygons | RawRle, size: tuple[int, int]) -> RawRle:
    if isinstance(segmentation, RawRle):
        return segmentation
    rle = coco.merge(coco.frPyObjects(segmentation, *size))
    return RawRle(size=size, counts=rle["counts"].decode("ascii"))
