"""The YouTube-VIS annotation format, and checks of it. No torch.

One JSON object with `videos`, `categories` and `annotations`; an annotation has one segmentation
(an RLE, or null) for each frame of its video. Optional extras: a video's `situation`, and `marked`,
its frames that hide the scene.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic import BaseModel, ValidationError

from ifc_bench.data.fields import (
    Area,
    FileName,
    FrameNumber,
    Id,
    Length,
    Lenient,
    Name,
    PositiveId,
    Situation,
    Sized,
)
from ifc_bench.data.json_files import shown
from ifc_bench.errors import UserError
from ifc_bench.masks import Rle, areas, compress, encode
from ifc_bench.run_lengths import run_lengths, sound_areas

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value", int, str)


class Category(Lenient):
    """A class; ids need not be contiguous."""

    id: Id
    name: Name


class Video(Sized):
    """A video of `length` frames; `file_names` are relative to the image directory."""

    id: Id
    length: Length
    file_names: list[FileName]
    situation: Situation | None = None
    marked: list[FrameNumber] | None = None


class RawRle(Lenient):
    """A mask as published: `counts` is text (compressed) or a list of run lengths."""

    size: tuple[int, int]
    counts: str | list[int]

    def compressed(self) -> Rle:
        if isinstance(self.counts, str):
            return Rle(size=list(self.size), counts=self.counts)
        return compress(self.size, self.counts)


class Annotation(Lenient):
    """One instance over a video."""

    id: PositiveId
    video_id: Id
    category_id: Id
    segmentations: list[RawRle | None]
    areas: list[Area | None] | None = None
    iscrowd: int = 0

    @cached_property
    def rles(self) -> list[Rle | None]:
        """One compressed mask or None for each frame."""
        return [None if s is None else s.compressed() for s in self.segmentations]

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Pixels of the mask in each frame [L]; 0 where it has none."""
        return areas(self.rles)

    @cached_property
    def area(self) -> float:
        """Mean area over the frames with a mask, as the YouTube-VIS API takes it."""
        given = self.pixels.tolist() if self.areas is None else self.areas
        sizes = [a for a in given if a]
        return sum(sizes) / len(sizes) if sizes else 0.0


class VideoInstances(Lenient):
    """A validated annotation file."""

    videos: list[Video]
    categories: list[Category]
    annotations: list[Annotation]


def written_annotation(
    number: int, video: int, category: int, tube: NDArray[np.bool_]
) -> dict[str, Any]:
    """An instance with masks `tube` [L, H, W] as the format writes it; null where it has none."""
    rles = [rle if mask.any() else None for mask, rle in zip(tube, encode(tube), strict=True)]
    return {
        "id": number,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "segmentations": rles,
        "areas": [size or None for size in areas(rles).tolist()],
        "bboxes": [None if rle is None else coco.toBbox(rle).tolist() for rle in rles],
    }


def schema_faults(model: type[BaseModel], content: Any) -> Iterator[str]:
    """Faults of `content` as a `model`, one line for each field."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            field = ".".join(str(part) for part in fault["loc"]) or "top level"
            said = "Input should be an object" if fault["type"] == "model_type" else fault["msg"]
            yield f"{field}: {said}, found {shown(fault['input'])}"


def validated(model: type[Model], content: Any, path: Path) -> Model:
    """`content` as `model`; the first fault becomes one clear line."""
    try:
        return model.model_validate(content)
    except ValidationError:
        first, *others = schema_faults(model, content)
        also = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{path}: {first}{also}") from None


def faults(instances: VideoInstances) -> Iterator[str]:
    """Faults of ids, lengths, sizes, categories and masks, one line each."""
    yield from _listing_faults(instances)
    videos = {video.id: video for video in instances.videos}
    categories = {category.id for category in instances.categories}
    for video in instances.videos:
        if len(video.file_names) != video.length:
            yield (
                f"video {video.id}: file_names has {len(video.file_names)} entries, length says "
                f"{video.length}; they must agree"
            )
        if outside := [frame for frame in video.marked or () if frame >= video.length]:
            yield (
                f"video {video.id}: marked has frame {outside[0]}, the last of {video.length} is "
                f"{video.length - 1}"
            )
    for annotation in instances.annotations:
        if annotation.category_id not in categories:
            yield (
                f"annotation {annotation.id}: category_id {annotation.category_id} is not among "
                "the categories"
            )
        for fault in _annotation_faults(annotation, videos):
            yield f"annotation {annotation.id}: {fault}"


def _listing_faults(instances: VideoInstances) -> Iterator[str]:
    """Lists that are empty, and ids and names that occur twice."""
    for field in ("videos", "categories"):
        if not getattr(instances, field):
            yield f"{field}: is empty; at least one is needed"
    for field in ("videos", "categories", "annotations"):
        for number in _repeated([entry.id for entry in getattr(instances, field)]):
            yield f"{field}: id {number} occurs twice; ids must be unique"
    for name in _repeated([category.name for category in instances.categories]):
        yield f"categories: name {shown(name)} occurs twice; names must be unique"


def _annotation_faults(annotation: Annotation, videos: dict[int, Video]) -> Iterator[str]:
    """Faults of its video, masks and areas."""
    if annotation.video_id not in videos:
        yield f"video_id {annotation.video_id} is not among the videos"
        return
    yield from tube_faults(annotation.segmentations, videos[annotation.video_id])
    if annotation.areas is not None and len(annotation.areas) != len(annotation.segmentations):
        yield (
            f"areas has {len(annotation.areas)} entries for {len(annotation.segmentations)} "
            "segmentations; one for each frame is needed"
        )


def tube_faults(segmentations: list[RawRle | None], video: Video) -> Iterator[str]:
    """Why a list of masks does not fit its video."""
    if len(segmentations) != video.length:
        yield (
            f"segmentations has {len(segmentations)} entries, video {video.id} has "
            f"{video.length} frames; one RLE or null for each frame is needed"
        )
        return
    size = (video.height, video.width)
    if _sound(segmentations, size):
        return
    for frame, rle in enumerate(segmentations):
        if rle is None:
            continue
        if rle.size != size:
            yield (
                f"segmentations.{frame}.size is {list(rle.size)}, video {video.id} is "
                f"{list(size)} (height, width)"
            )
        elif fault := _rle_fault(rle):
            yield f"segmentations.{frame}.counts: {fault}"


def _sound(segmentations: list[RawRle | None], size: tuple[int, int]) -> bool:
    """Whether all masks are compressed, complete and of `size`."""
    masks = [rle for rle in segmentations if rle is not None]
    texts = [rle.counts for rle in masks if isinstance(rle.counts, str)]
    return (
        len(texts) == len(masks)
        and all(rle.size == size for rle in masks)
        and sound_areas(texts, size[0] * size[1]) is not None
    )


def _rle_fault(rle: RawRle) -> str | None:
    """The fault of a mask whose runs do not fill its frame exactly; else None."""
    runs = run_lengths(rle.counts) if isinstance(rle.counts, str) else rle.counts
    if runs is None:
        return "is no compressed run-length text; write it with pycocotools.mask.encode"
    if min(runs, default=0) < 0:
        return f"has a negative run ({min(runs)}); the mask is broken"
    pixels = rle.size[0] * rle.size[1]
    if sum(runs) != pixels:
        return f"covers {sum(runs)} pixels of {pixels}; the mask is cut off or of another size"
    return None


def _repeated(values: list[Value]) -> list[Value]:
    """The values that occur more than once."""
    return [value for value, times in Counter(values).items() if times > 1]
