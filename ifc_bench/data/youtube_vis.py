"""The YouTube-VIS annotation format, and what can be wrong with it. No torch.

One JSON object with `videos`, `categories` and `annotations`; an annotation has one segmentation
(an RLE, or null) for each frame of its video. Optional extra: a video's `situation`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pycocotools import mask as coco
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from ifc_bench.errors import UserError
from ifc_bench.masks import Rle, areas, compress, encode

Model = TypeVar("Model", bound=BaseModel)


class _Lenient(BaseModel):
    """Published files carry fields that nobody reads; they are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Category(_Lenient):
    """A class; ids need not be contiguous."""

    id: int
    name: str


class Video(_Lenient):
    """A video of `length` frames; `file_names` are relative to the image folder."""

    id: int
    height: PositiveInt
    width: PositiveInt
    length: PositiveInt
    file_names: list[str]
    situation: str | None = None


class RawRle(_Lenient):
    """A mask as published: `counts` is text (compressed) or a list of run lengths."""

    size: tuple[int, int]
    counts: str | list[int]

    def compressed(self) -> Rle:
        if isinstance(self.counts, str):
            return Rle(size=list(self.size), counts=self.counts)
        return compress(self.size, self.counts)


class Annotation(_Lenient):
    """One instance over a video."""

    id: PositiveInt
    video_id: int
    category_id: int
    segmentations: list[RawRle | None]
    areas: list[float | None] | None = None
    iscrowd: int = 0

    @cached_property
    def rles(self) -> list[Rle | None]:
        """One compressed mask or None for each frame."""
        return [None if s is None else s.compressed() for s in self.segmentations]

    @cached_property
    def area(self) -> float:
        """Mean area over the frames with a mask, as the YouTube-VIS API takes it."""
        given = areas(self.rles).tolist() if self.areas is None else self.areas
        sizes = [a for a in given if a]
        return sum(sizes) / len(sizes) if sizes else 0.0


class VideoInstances(_Lenient):
    """A validated annotation file."""

    videos: list[Video]
    categories: list[Category]
    annotations: list[Annotation]


def read_json(path: Path) -> Any:
    """The JSON value in `path`; `UserError` where there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file ({error.reason}); expected JSON") from None
    return parse_json(text, path)


def parse_json(text: str, path: Path) -> Any:
    """The JSON value of `text`, which came from `path`."""
    try:
        return json.loads(text)
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply to be such a file") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno} column {error.colno}: not valid JSON ({error.msg}); "
            "the file may be cut off, fetch or write it again"
        ) from None


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
    """What keeps `content` from being a `model`, one line for each field."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            field = ".".join(str(part) for part in fault["loc"]) or "top level"
            value = json.dumps(fault["input"], default=str)
            shown = value if len(value) <= 60 else value[:57] + "..."
            yield f"{field}: {fault['msg']}, found {shown}"


def validated(model: type[Model], content: Any, path: Path) -> Model:
    """`content` as `model`; the first fault becomes one clear line."""
    try:
        return model.model_validate(content)
    except ValidationError:
        first, *others = schema_faults(model, content)
        also = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{path}: {first}{also}") from None


def faults(instances: VideoInstances) -> Iterator[str]:
    """What is wrong with ids, lengths, sizes, categories and masks, one line for each fault."""
    for field in ("videos", "categories", "annotations"):
        for number in _repeated([entry.id for entry in getattr(instances, field)]):
            yield f"{field}: id {number} occurs twice; ids must be unique"
    videos = {video.id: video for video in instances.videos}
    categories = {category.id for category in instances.categories}
    for video in instances.videos:
        if len(video.file_names) != video.length:
            yield (
                f"video {video.id}: file_names has {len(video.file_names)} entries, length says "
                f"{video.length}; they must agree"
            )
    for annotation in instances.annotations:
        where = f"annotation {annotation.id}"
        if annotation.category_id not in categories:
            yield f"{where}: category_id {annotation.category_id} is not among the categories"
        if annotation.video_id not in videos:
            yield f"{where}: video_id {annotation.video_id} is not among the videos"
            continue
        for fault in tube_faults(annotation.segmentations, videos[annotation.video_id]):
            yield f"{where}: {fault}"
        if annotation.areas is not None and len(annotation.areas) != len(annotation.segmentations):
            yield (
                f"{where}: areas has {len(annotation.areas)} entries for "
                f"{len(annotation.segmentations)} segmentations; one for each frame is needed"
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


def _rle_fault(rle: RawRle) -> str | None:
    """Why the runs of `rle` do not fill its frame exactly; None where they do."""
    runs = _runs(rle.counts) if isinstance(rle.counts, str) else rle.counts
    if runs is None:
        return "is no compressed run-length text; write it with pycocotools.mask.encode"
    if min(runs, default=0) < 0:
        return f"has a negative run ({min(runs)}); the mask is broken"
    pixels = rle.size[0] * rle.size[1]
    if sum(runs) != pixels:
        return f"covers {sum(runs)} pixels of {pixels}; the mask is cut off or of another size"
    return None


def _runs(text: str) -> list[int] | None:
    """Run lengths of COCO's compressed text; None where it is no such text.

    The text is little-endian base 32 with a continuation bit, and from the fourth run on holds
    differences to the run before last. pycocotools decodes it unchecked and reads out of bounds
    on a bad one, so it is checked here first.
    """
    digits = np.frombuffer(text.encode("utf-8"), np.uint8).astype(np.int64) - 48
    last = (digits & 32) == 0
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or not last[-1]:
        return None
    starts = np.flatnonzero(np.concatenate(([True], last[:-1])))
    lengths = np.diff(np.append(starts, len(digits)))
    if lengths.max() > 6:
        return None
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    values -= np.where(digits[last] & 16, 1 << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return [int(v) for v in values]


def _repeated(ids: list[int]) -> list[int]:
    """The ids that occur more than once."""
    return [number for number, times in Counter(ids).items() if times > 1]


def frame_path(images: Path, file_name: str, where: str) -> Path:
    """The file of a frame; refused where its name leads out of the image folder."""
    path = images / file_name
    if not path.resolve().is_relative_to(images.resolve()):
        raise UserError(f"{where}: file name {file_name!r} leads out of {images}")
    return path


def read_frame(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One frame as RGB [H, W, 3].

    Raises:
        UserError: where it is no readable image of the annotated `size`.
    """
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable image ({error})") from None
    if pixels.shape[:2] != size:
        raise UserError(
            f"{path}: is {pixels.shape[0]}x{pixels.shape[1]}, the annotations say "
            f"{size[0]}x{size[1]} (height x width)"
        )
    return pixels
