"""COCO instance segmentation as videos of one frame (paper, Section 4: pretraining with T = 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from ifc_bench.data.fields import MAX_SIDE, Area, FileName, Id, Lenient, Sized
from ifc_bench.data.youtube_vis import (
    Annotation,
    Category,
    Polygons,
    RawRle,
    Video,
    VideoInstances,
    schema_faults,
    validated,
)
from ifc_bench.errors import UserError
from ifc_bench.masks import Rle

_LONGEST = 2_000_000  # pixels of a polygon's outline


class Image(Sized):
    """An image."""

    id: Id
    file_name: FileName

    def video(self) -> Video:
        return Video.model_construct(
            id=self.id, height=self.height, width=self.width, length=1, file_names=[self.file_name]
        )


@dataclass(frozen=True)
class Instance:
    """One instance as the format writes it."""

    id: Id
    image_id: Id
    category_id: Id
    segmentation: Polygons | RawRle
    area: Area | None = None
    iscrowd: int = 0


@dataclass(frozen=True)
class ImageAnnotation(Annotation):
    """An instance of an image; most have polygons, which are drawn at any size on demand.

    `size` is the height and width of the image.
    """

    size: tuple[int, int] = (0, 0)
    polygons: Polygons | None = None

    @cached_property
    def rles(self) -> list[Rle | None]:
        """The mask at the size of the image."""
        if self.polygons is not None:
            return [drawn(self.polygons, self.size)]
        return [None if s is None else s.compressed() for s in self.segmentations]

    def shape(self, frame: int) -> Rle | Polygons | None:
        return super().shape(frame) if self.polygons is None else self.polygons


class _Images(Lenient):
    images: list[Image]
    categories: list[Category]
    annotations: list[Instance]


def is_coco(content: Any) -> bool:
    """Return whether a JSON value has COCO's format rather than that of YouTube-VIS."""
    return isinstance(content, dict) and "images" in content and "videos" not in content


def as_videos(content: Any, path: Path) -> VideoInstances:
    """Convert COCO's images and instances to videos of one frame, and polygons to masks.

    Raises:
        UserError: one line that names the file, the entry, the value and the fix.
    """
    images = validated(_Images, content, path)
    for fault in _instance_faults(images):
        raise UserError(f"{path}: {fault}")
    videos = [image.video() for image in images.images]
    size = {video.id: (video.height, video.width) for video in videos}
    annotations = [as_annotation(i, size[i.image_id]) for i in images.annotations]
    return VideoInstances(videos, images.categories, annotations)


def as_annotation(instance: Instance, size: tuple[int, int]) -> ImageAnnotation:
    """An instance of an image of `size` as that of a video of one frame."""
    given = instance.segmentation
    rle, polygons = (given, None) if isinstance(given, RawRle) else (None, given)
    return ImageAnnotation(
        id=instance.id,
        video_id=instance.image_id,
        category_id=instance.category_id,
        segmentations=[rle],
        areas=None if instance.area is None else [instance.area],
        iscrowd=instance.iscrowd,
        size=size,
        polygons=polygons,
    )


def coco_faults(content: Any) -> Iterator[str]:
    """Yield the faults of `content` as COCO annotations, one line each."""
    broken = list(schema_faults(_Images, content))
    yield from broken or _instance_faults(_Images.model_validate(content))


def _instance_faults(images: _Images) -> Iterator[str]:
    """Yield instances without an image, and polygons that are invalid or far outside the image."""
    known = {image.id: max(image.height, image.width) for image in images.images}
    if not images.images:
        yield "images: is empty; at least one is needed"
    for instance in images.annotations:
        where = f"annotation {instance.id}"
        if instance.image_id not in known:
            yield f"{where}: image_id {instance.image_id} is not among the images"
        if isinstance(instance.segmentation, RawRle):
            continue
        side = known.get(instance.image_id, MAX_SIDE)
        for fault in polygon_faults(instance.segmentation, side):
            yield f"{where}: {fault}"


def polygon_faults(polygons: Polygons, side: int) -> Iterator[str]:
    """Yield why polygons cannot be drawn on an image with a long edge of `side` pixels."""
    if not polygons:
        yield "segmentation: is empty; a polygon or an RLE is needed"
    for number, polygon in enumerate(polygons):
        if len(polygon) < 6 or len(polygon) % 2:
            yield (
                f"segmentation.{number}: has {len(polygon)} numbers; a polygon has at least three "
                "pairs x, y"
            )
        elif fault := _reach_fault(polygon, side):
            yield f"segmentation.{number}: {fault}"


def _reach_fault(polygon: list[float], side: int) -> str | None:
    """Describe why pycocotools cannot draw a polygon on an image with a long edge of `side` pixels.

    It clips polygons, but computes in 32 bits and allocates memory for every pixel of the outline:
    far points and very long outlines would crash the process.
    """
    if not math.isfinite(sum(map(abs, polygon))):
        return "has a number that is not finite; draw the polygon again"
    low, high = min(polygon), max(polygon)
    if low < -side or high > 2 * side:
        far = low if low < -side else high
        return f"reaches {far:g}, far outside its image of {side} pixels; draw the polygon again"
    if len(polygon) * 3 * side > _LONGEST:  # otherwise the outline cannot be longer
        corners = np.array(polygon).reshape(-1, 2)
        length = float(np.abs(corners - np.roll(corners, 1, axis=0)).sum())
        if length > _LONGEST:
            return f"has an outline of {length:.0f} pixels, more than {_LONGEST}; draw it again"
    return None


def drawn(polygons: Polygons, size: tuple[int, int]) -> Rle:
    """The mask of height and width `size` of everything inside of one of the polygons."""
    rle = coco.merge(coco.frPyObjects(polygons, *size))
    return Rle(size=list(size), counts=rle["counts"].decode("ascii"))
