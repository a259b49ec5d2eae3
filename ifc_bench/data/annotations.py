"""Reads and validates annotation files in the YouTube-VIS or COCO format. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from ifc_bench.data import coco
from ifc_bench.data.faults import faults
from ifc_bench.data.fields import Lenient
from ifc_bench.data.json_files import collector_paused, read_json, shown
from ifc_bench.data.sound_files import UnsoundError, open_sound
from ifc_bench.data.youtube_vis import (
    Annotation,
    Category,
    Video,
    VideoInstances,
    schema_faults,
    validated,
)
from ifc_bench.errors import UserError


class _File(Lenient):
    videos: list[Video]
    categories: list[Category]
    annotations: list[Annotation]


def read_instances(path: Path, unannotated: bool = False) -> VideoInstances:
    """Read and validate an annotation file in the YouTube-VIS or the COCO format.

    A file whose annotations are not public (null or missing) is refused, unless `unannotated`: then
    its videos have no instances.

    Raises:
        UserError: one line that names the file, the entry, the value and the fix.
    """
    try:
        with collector_paused():
            found = open_sound(path)
            annotations = [a for chunk in found.chunks() for a in chunk]
    except UnsoundError:
        return read_each(path, unannotated)
    return VideoInstances(found.videos, found.categories, annotations)


def read_each(path: Path, unannotated: bool = False, check: bool = True) -> VideoInstances:
    """`read_instances` value by value, which finds the fault. `check` False leaves out `faults`."""
    content = read_json(path)
    if is_unannotated(content):
        if not unannotated:
            raise refused_unannotated(path)
        content = {**content, "annotations": []}
    if coco.is_coco(content):
        instances = coco.as_videos(content, path)
    else:
        found = validated(_File, content, path)
        instances = VideoInstances(found.videos, found.categories, found.annotations)
    for fault in faults(instances) if check else ():
        raise UserError(f"{path}: {fault}")
    return instances


def refused_unannotated(path: Path) -> UserError:
    """The error of a file whose annotations are null, where they are needed."""
    return UserError(
        f"{path}: annotations: null; the annotations of this split are not public, so it can be "
        "used for prediction, not for training or evaluation (hold out part of the training set "
        "instead: data split)"
    )


def is_unannotated(content: Any) -> bool:
    """Return whether the annotations of a file are null or missing, because they are not public."""
    return (
        isinstance(content, dict)
        and content.get("annotations") is None
        and isinstance(content.get("videos"), list)
        and isinstance(content.get("categories"), list)
    )


def all_faults(path: Path) -> Iterator[str]:
    """Yield every fault of an annotation file, one line each."""
    with suppress(UnsoundError), collector_paused():
        for _ in open_sound(path).chunks():
            pass
        return
    try:
        content = read_json(path)
    except UserError as error:
        yield str(error)
        return
    if is_unannotated(content):
        content = {**content, "annotations": []}
    still = coco.is_coco(content)
    broken = list(coco.coco_faults(content) if still else schema_faults(_File, content))
    for fault in broken:
        yield f"{path}: {fault}"
    if broken:
        return
    for fault in faults(read_each(path, unannotated=True, check=False)):
        yield f"{path}: {fault}"


class _Names(Lenient):
    file_names: list[Any]


class _Videos(Lenient):
    videos: list[_Names] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)


class _Images(Lenient):
    images: list[Any] = Field(min_length=1)
    categories: list[Category] = Field(min_length=1)


@dataclass(frozen=True)
class Outline:
    """Categories and size of an annotation file.

    Attributes:
        categories: in the order of the file.
        videos: the number of videos, or of images.
        frames: the number of frames of all videos, or of images.
    """

    categories: list[Category]
    videos: int
    frames: int


def outline(content: Any, path: Path) -> Outline:
    """Extract the outline of a JSON value read from `path`, without the slow parsing of masks.

    Raises:
        UserError: if it has no videos (or images) or no categories.
    """
    if coco.is_coco(content):
        images = validated(_Images, content, path)
        return Outline(images.categories, len(images.images), len(images.images))
    videos = validated(_Videos, content, path)
    frames = sum(len(video.file_names) for video in videos.videos)
    return Outline(videos.categories, len(videos.videos), frames)


def refuse_unlike_categories(
    train: Sequence[Category], valid: Sequence[Category], train_path: Path, valid_path: Path
) -> None:
    """Refuse two splits with different categories; their order may differ.

    Raises:
        UserError: if an id has another name in the other split, or is missing there.
    """
    names = {category.id: category.name for category in train}
    others = {category.id: category.name for category in valid}
    for number in sorted(names.keys() | others.keys()):
        first, second = (_name(number, known) for known in (names, others))
        if first != second:
            raise UserError(
                f"{valid_path}: categories: id {number} is {second}, in {train_path} it is "
                f"{first}; both splits need the same ids and names"
            )


def _name(number: int, names: dict[int, str]) -> str:
    return shown(names[number]) if number in names else "missing"
