"""The YouTube-VIS annotation format: reading it, and refusing what is broken. No torch.

One JSON object with `videos`, `categories` and `annotations`; an annotation has one segmentation
(an RLE, or null) for each frame of its video. Optional extra: a video's `situation`.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from ifc_bench.errors import UserError
from ifc_bench.masks import Rle, areas, compress

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


def read_instances(path: Path) -> VideoInstances:
    """Read and check an annotation file.

    Raises:
        UserError: one line that names the file, the entry, the value and the mend.
    """
    content = read_json(path)
    if isinstance(content, dict) and "annotations" in content and content["annotations"] is None:
        raise UserError(
            f"{path}: annotations: null; this file lists a split whose annotations are not "
            "public, so it can be predicted on but neither trained nor evaluated on"
        )
    instances = validated(VideoInstances, content, path)
    _check(instances, path)
    return instances


def read_json(path: Path) -> Any:
    """The JSON value in `path`; `UserError` where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file ({error.reason}); expected JSON") from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno} column {error.colno}: not valid JSON ({error.msg}); "
            "the file may be cut off, fetch or write it again"
        ) from None


def validated(model: type[Model], content: Any, path: Path) -> Model:
    """`content` as `model`; the first fault becomes one clear line."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "top level"
        value = json.dumps(first["input"], default=str)
        shown = value if len(value) <= 60 else value[:57] + "..."
        more = error.error_count() - 1
        also = f" (and {more} more)" if more else ""
        raise UserError(f"{path}: {field}: {first['msg']}, found {shown}{also}") from None


def _check(instances: VideoInstances, path: Path) -> None:
    for field in ("videos", "categories", "annotations"):
        _check_unique([entry.id for entry in getattr(instances, field)], f"{path}: {field}")
    videos = {video.id: video for video in instances.videos}
    categories = {category.id for category in instances.categories}
    for video in instances.videos:
        if len(video.file_names) != video.length:
            raise UserError(
                f"{path}: video {video.id}: file_names has {len(video.file_names)} entries, "
                f"length says {video.length}; they must agree"
            )
    for annotation in instances.annotations:
        where = f"{path}: annotation {annotation.id}"
        if annotation.video_id not in videos:
            raise UserError(f"{where}: video_id {annotation.video_id} is not among the videos")
        if annotation.category_id not in categories:
            raise UserError(
                f"{where}: category_id {annotation.category_id} is not among the categories"
            )
        check_tube(annotation.segmentations, videos[annotation.video_id], where)
        if annotation.areas is not None and len(annotation.areas) != len(annotation.segmentations):
            raise UserError(
                f"{where}: areas has {len(annotation.areas)} entries for "
                f"{len(annotation.segmentations)} segmentations; one for each frame is needed"
            )


def check_tube(segmentations: list[RawRle | None], video: Video, where: str) -> None:
    """Refuse a list of masks that does not fit its video."""
    if len(segmentations) != video.length:
        raise UserError(
            f"{where}: segmentations has {len(segmentations)} entries, video {video.id} has "
            f"{video.length} frames; one RLE or null for each frame is needed"
        )
    size = (video.height, video.width)
    for frame, rle in enumerate(segmentations):
        if rle is None:
            continue
        if rle.size != size:
            raise UserError(
                f"{where}: segmentations.{frame}.size is {list(rle.size)}, video {video.id} is "
                f"{list(size)} (height, width)"
            )
        fault = _rle_fault(rle)
        if fault:
            raise UserError(f"{where}: segmentations.{frame}.counts: {fault}")


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


def _check_unique(ids: list[int], where: str) -> None:
    seen: set[int] = set()
    for number in ids:
        if number in seen:
            raise UserError(f"{where}: id {number} occurs twice; ids must be unique")
        seen.add(number)


def frame_path(images: Path, file_name: str, where: str) -> Path:
    """The file of a frame; refused where its name leads out of the image folder."""
    path = images / file_name
    if not path.resolve().is_relative_to(images.resolve()):
        raise UserError(f"{where}: file name {file_name!r} leads out of {images}")
    return path


def split_hash(folder: Path, every_byte: bool = True) -> str:
    """SHA-256 over the annotations and frames of one split, in the order of the file.

    `every_byte` reads all frames; without it, their names and sizes must do (large data sets).
    """
    annotations = folder / "instances.json"
    digest = hashlib.sha256(annotations.read_bytes())
    for video in read_instances(annotations).videos:
        for name in video.file_names:
            frame = folder / "JPEGImages" / name
            known = frame.read_bytes() if every_byte else f"{name} {frame.stat().st_size}".encode()
            digest.update(known)
    return digest.hexdigest()
