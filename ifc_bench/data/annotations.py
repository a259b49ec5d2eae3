"""Reads annotation files of either format, and refuses what is broken. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from ifc_bench.data import coco
from ifc_bench.data.fields import Lenient
from ifc_bench.data.json_files import read_json, shown
from ifc_bench.data.youtube_vis import (
    Category,
    VideoInstances,
    faults,
    schema_faults,
    validated,
)
from ifc_bench.errors import UserError


def read_instances(path: Path, unannotated: bool = False, check: bool = True) -> VideoInstances:
    """Read and check an annotation file in the YouTube-VIS or the COCO format.

    A file whose annotations are not public (null, or not there) is refused unless `unannotated`,
    which gives its videos without instances. `check` False leaves out what `faults` would find.

    Raises:
        UserError: one line that names the file, the entry, the value and the mend.
    """
    content = read_json(path)
    if is_unannotated(content):
        if not unannotated:
            raise UserError(
                f"{path}: annotations: null; this file lists a split whose annotations are not "
                "public, so it can be predicted on but neither trained nor evaluated on (hold "
                "videos of the training set out instead: data split)"
            )
        content = {**content, "annotations": []}
    if coco.is_coco(content):
        instances = coco.as_videos(content, path)
    else:
        instances = validated(VideoInstances, content, path)
    for fault in faults(instances) if check else ():
        raise UserError(f"{path}: {fault}")
    return instances


def is_unannotated(content: Any) -> bool:
    """Whether a file says, by null or by leaving them out, that its annotations are not public."""
    return (
        isinstance(content, dict)
        and content.get("annotations") is None
        and isinstance(content.get("videos"), list)
        and isinstance(content.get("categories"), list)
    )


def all_faults(path: Path) -> Iterator[str]:
    """Everything that is wrong with an annotation file, one line for each fault."""
    try:
        content = read_json(path)
    except UserError as error:
        yield str(error)
        return
    if is_unannotated(content):
        content = {**content, "annotations": []}
    still = coco.is_coco(content)
    broken = list(coco.coco_faults(content) if still else schema_faults(VideoInstances, content))
    for fault in broken:
        yield f"{path}: {fault}"
    if broken:
        return
    for fault in faults(read_instances(path, unannotated=True, check=False)):
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
    """What a file of annotations is about.

    Attributes:
        categories: in the order of the file.
        frames: the frames of all videos, or the number of images.
    """

    categories: list[Category]
    frames: int


def outline(content: Any, path: Path) -> Outline:
    """The outline of a JSON value that came from `path`; masks, which take long, are not read.

    Raises:
        UserError: if it has no videos (or images) or no categories.
    """
    if coco.is_coco(content):
        images = validated(_Images, content, path)
        return Outline(images.categories, len(images.images))
    videos = validated(_Videos, content, path)
    return Outline(videos.categories, sum(len(video.file_names) for video in videos.videos))


def refuse_unlike_categories(
    train: Sequence[Category], valid: Sequence[Category], train_path: Path, valid_path: Path
) -> None:
    """Let two splits pass if both have the same categories, in whatever order.

    Raises:
        UserError: if an id has another name in the other split, or is not there.
    """
    names = {category.id: category.name for category in train}
    others = {category.id: category.name for category in valid}
    for number in sorted(names.keys() | others.keys()):
        first, second = (_told(number, known) for known in (names, others))
        if first != second:
            raise UserError(
                f"{valid_path}: categories: id {number} is {second}, in {train_path} it is "
                f"{first}; both splits need the same ids and names"
            )


def _told(number: int, names: dict[int, str]) -> str:
    return shown(names[number]) if number in names else "not there"
