"""Reads annotation files that have no fault, in chunks, at the speed of a JSON decoder.

Public files have hundreds of megabytes. What is not entirely as expected here, down to a number
written as text, is left to the reader in `annotations`, which takes its time and names each fault.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ifc_bench.data.coco import Image, Instance, as_annotation, is_coco, polygon_faults
from ifc_bench.data.faults import faults
from ifc_bench.data.fields import Lenient
from ifc_bench.data.json_files import parse_json
from ifc_bench.data.youtube_vis import Annotation, Category, RawRle, Video, VideoInstances
from ifc_bench.errors import UserError
from ifc_bench.run_lengths import sound_areas

_VIDEO_KEYS = (b"id", b"video_id", b"category_id", b"segmentations")
_IMAGE_KEYS = (b"id", b"image_id", b"category_id", b"segmentation")
_MASK_KEYS = (b"counts", b"size")
_OPTIONAL_KEYS = (b"iscrowd", b"areas", b"area", b"occlusion")
_LONGEST_KEY = 20  # with a letter that is written as \u0069
_VIDEOS_AT_ONCE, _IMAGES_AT_ONCE = 100, 5000  # annotations, some megabytes


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
        begins, ends = _places(self._content, self._raw).T
        return begins.copy(), ends.copy()

    def chunks(self) -> Iterator[list[Annotation]]:
        """All annotations, in the order of the file.

        Raises:
            UnsoundError: at the first that may have a fault.
        """
        known = {video.id: video for video in self.videos}
        categories = {category.id for category in self.categories}
        ids: list[NDArray[np.int64]] = []
        step = _IMAGES_AT_ONCE if self.still else _VIDEOS_AT_ONCE
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
        still = is_coco(head)
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
    (begin, _), (_, end) = _places(content, [raw[0], raw[-1]])
    return (content[:begin] + content[end:]).decode("utf-8")


def _places(content: mmap.mmap, entries: list[msgspec.Raw]) -> NDArray[np.int64]:
    """Begin and end of each entry in `content`, of which its text is a part [A, 2]."""
    begins = np.array([_address(entry) for entry in entries], np.int64) - _address(content)
    return np.stack([begins, begins + [len(memoryview(entry)) for entry in entries]], 1)


def _address(part: mmap.mmap | msgspec.Raw) -> int:
    """The address of the bytes of `part`."""
    return int(np.frombuffer(memoryview(part), np.uint8).__array_interface__["data"][0])


def _videos(text: bytes, known: dict[int, Video]) -> list[Annotation]:
    """The annotations of `text`, a JSON list in the YouTube-VIS format."""
    chunk = msgspec.json.decode(text, type=list[Annotation])
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
    _refuse_repeated(text, _VIDEO_KEYS, len(chunk), len(masks))
    _refuse_unfit(masks, frames)
    return chunk


def _images(text: bytes, known: dict[int, Video]) -> list[Annotation]:
    """The annotations of `text`, a JSON list in COCO's format."""
    instances = msgspec.json.decode(text, type=list[Instance])
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
    _refuse_repeated(text, _IMAGE_KEYS, len(instances), len(masks))
    _refuse_unfit(masks, frames)
    return [as_annotation(i, size) for i, size in zip(instances, sizes, strict=True)]


def _refuse_repeated(text: bytes, keys: tuple[bytes, ...], entries: int, masks: int) -> None:
    """Refuse entries or masks of which one has a key twice: the decoder would take the last.

    The text is split once at its quotes, and what is as short as a key is counted; searching it for
    each key would take as long as decoding it.
    """
    found = Counter(part for part in text.split(b'"') if len(part) <= _LONGEST_KEY)
    wanted = {**dict.fromkeys(keys, entries), **dict.fromkeys(_MASK_KEYS, masks)}
    if any(found[key] != count for key, count in wanted.items()):
        raise UnsoundError
    if any(found[key] > entries for key in _OPTIONAL_KEYS):
        raise UnsoundError
    if any(b"\\u" in part for part in found):  # a letter of a key may be written so
        raise UnsoundError


def _refuse_unfit(masks: list[RawRle], frames: list[int]) -> None:
    """Refuse masks that do not fill their frames, of `frames` pixels."""
    pixels = np.array(frames, np.int64)
    written = np.array([isinstance(rle.counts, str) for rle in masks], bool)
    texts = [rle.counts for rle in masks if isinstance(rle.counts, str)]
    if sound_areas(texts, pixels[written]) is None:
        raise UnsoundError
    lists = [rle.counts for rle in masks if not isinstance(rle.counts, str)]
    for counts, wanted in zip(lists, pixels[~written].tolist(), strict=True):
        if min(counts, default=0) < 0 or sum(counts) != wanted:
            raise UnsoundError
