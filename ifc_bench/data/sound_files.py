"""Reads annotation files that have no fault, in chunks, at the speed of a JSON decoder.

Public files have hundreds of megabytes. What is not entirely as expected here, down to a number
written as text, is left to the reader in `annotations`, which takes its time and names each fault.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ifc_bench.data.coco import Image, Instance, as_annotation, polygon_faults
from ifc_bench.data.faults import faults
from ifc_bench.data.fields import Lenient
from ifc_bench.data.json_files import parse_json
from ifc_bench.data.youtube_vis import Annotation, Category, RawRle, Video, VideoInstances
from ifc_bench.errors import UserError
from ifc_bench.run_lengths import sound_areas

_VIDEO_KEYS = (b'"id"', b'"video_id"', b'"category_id"', b'"segmentations"')
_IMAGE_KEYS = (b'"id"', b'"image_id"', b'"category_id"', b'"segmentation"')
_OPTIONAL = (b'"iscrowd"', b'"areas"', b'"area"')
_ESCAPED = b"\\u00"  # a letter of a key may be written so
_AT_ONCE = {"videos": 100, "images": 5000}  # annotations, some megabytes


class UnsoundError(Exception):
    """The file may have a fault, or is unusual."""


class _Parts(msgspec.Struct):
    annotations: list[msgspec.Raw]


class _Videos(Lenient):
    videos: list[Video] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)


class _Images(Lenient):
    images: list[Image] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)


@dataclass(frozen=True)
class SoundFile:
    """An annotation file without faults so far: its annotations are checked as they are read.

    Attributes:
        videos: the videos, or images as videos of one frame.
        still: whether the file is in COCO's format.
    """

    videos: list[Video]
    categories: list[Category]
    still: bool
    _content: mmap.mmap
    _raw: list[msgspec.Raw]

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places of the annotations in the file, in bytes: begins and ends [A]."""
        base = np.frombuffer(self._content, np.uint8).ctypes.data
        begins = [_address(entry) - base for entry in self._raw]
        lengths = [len(memoryview(entry)) for entry in self._raw]
        return np.array(begins, np.int64), np.array(begins, np.int64) + lengths

    def chunks(self) -> Iterator[list[Annotation]]:
        """All annotations, in the order of the file.

        Raises:
            UnsoundError: at the first that may have a fault.
        """
        known = {video.id: video for video in self.videos}
        categories = {category.id for category in self.categories}
        ids: list[NDArray[np.int64]] = []
        step = _AT_ONCE["images" if self.still else "videos"]
        for first in range(0, len(self._raw), step):
            text = b"[" + b",".join(self._raw[first : first + step]) + b"]"
            try:
                chunk = _images(text, known) if self.still else _videos(text, known)
                ids.append(np.array([a.id for a in chunk], np.int64))
            except (msgspec.DecodeError, KeyError, OverflowError, UnicodeDecodeError) as error:
                raise UnsoundError from error
            if not categories.issuperset(a.category_id for a in chunk):
                raise UnsoundError
            yield chunk
        every = np.concatenate(ids)
        if len(np.unique(every)) < len(every):
            raise UnsoundError


def open_sound(path: Path) -> SoundFile:
    """Read videos and categories of an annotation file, and find its annotations.

    Raises:
        UnsoundError: if it may have a fault; it may not even exist.
    """
    try:
        if not path.is_file():
            raise UnsoundError
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        raw = msgspec.json.decode(content, type=_Parts).annotations
        head = parse_json(_without(content, raw), path)
        still = "images" in head and "videos" not in head
        found = (_Images if still else _Videos).model_validate(head)
    except (OSError, ValueError, RecursionError, UserError) as error:  # msgspec's are ValueErrors
        raise UnsoundError from error
    videos = [i.video() for i in found.images] if isinstance(found, _Images) else found.videos
    if next(faults(VideoInstances(videos, found.categories, [])), None):
        raise UnsoundError
    return SoundFile(videos, found.categories, still, content, raw)


def _without(content: mmap.mmap, raw: list[msgspec.Raw]) -> str:
    """The text of a file without the entries of its annotations.

    Raises:
        UnsoundError: if it has none.
    """
    if not raw:
        raise UnsoundError
    base = np.frombuffer(content, np.uint8).ctypes.data
    begin, end = _address(raw[0]) - base, _address(raw[-1]) - base + len(memoryview(raw[-1]))
    return (content[:begin] + content[end:]).decode("utf-8")


def _address(entry: msgspec.Raw) -> int:
    """The address of the text of an entry, which is a part of the mapped file."""
    return int(np.frombuffer(entry, np.uint8).__array_interface__["data"][0])


def _videos(text: bytes, known: dict[int, Video]) -> list[Annotation]:
    """The annotations of `text`, a JSON list in the YouTube-VIS format."""
    chunk = msgspec.json.decode(text, type=list[Annotation])
    _refuse_repeated(text, _VIDEO_KEYS, len(chunk))
    masks, frames = list[RawRle](), list[int]()
    for annotation in chunk:
        video = known[annotation.video_id]
        present = [rle for rle in annotation.segmentations if rle is not None]
        areas = annotation.segmentations if annotation.areas is None else annotation.areas
        listed = {len(annotation.segmentations), len(areas)}
        size = (video.height, video.width)
        if listed != {video.length} or any(rle.size != size for rle in present):
            raise UnsoundError
        masks += present
        frames += [size[0] * size[1]] * len(present)
    _check(text, masks, frames)
    return chunk


def _images(text: bytes, known: dict[int, Video]) -> list[Annotation]:
    """The annotations of `text`, a JSON list in COCO's format."""
    instances = msgspec.json.decode(text, type=list[Instance])
    _refuse_repeated(text, _IMAGE_KEYS, len(instances))
    sizes = [(known[i.image_id].height, known[i.image_id].width) for i in instances]
    masks, frames = list[RawRle](), list[int]()
    for instance, size in zip(instances, sizes, strict=True):
        if isinstance(instance.segmentation, RawRle):
            if instance.segmentation.size != size:
                raise UnsoundError
            masks.append(instance.segmentation)
            frames.append(size[0] * size[1])
        elif next(polygon_faults(instance.segmentation, max(size)), None):
            raise UnsoundError
    _check(text, masks, frames)
    return [as_annotation(i, size) for i, size in zip(instances, sizes, strict=True)]


def _refuse_repeated(text: bytes, keys: tuple[bytes, ...], count: int) -> None:
    """Refuse entries of which one has a key twice: the decoder would take the last of them."""
    if any(text.count(key) != count for key in keys) or _ESCAPED in text:
        raise UnsoundError
    if any(text.count(key) > count for key in _OPTIONAL):
        raise UnsoundError


def _check(text: bytes, masks: list[RawRle], frames: list[int]) -> None:
    """Refuse masks that do not fill their frames, of `frames` pixels."""
    if any(text.count(key) != len(masks) for key in (b'"counts"', b'"size"')):
        raise UnsoundError
    pixels = np.array(frames, np.int64)
    written = np.array([isinstance(rle.counts, str) for rle in masks], bool)
    texts = [rle.counts for rle in masks if isinstance(rle.counts, str)]
    if sound_areas(texts, pixels[written]) is None:
        raise UnsoundError
    lists = [rle.counts for rle in masks if not isinstance(rle.counts, str)]
    for counts, wanted in zip(lists, pixels[~written].tolist(), strict=True):
        if min(counts, default=0) < 0 or sum(counts) != wanted:
            raise UnsoundError
