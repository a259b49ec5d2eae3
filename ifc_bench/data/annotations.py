"""Reads annotation files of either format, and refuses what is broken. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ifc_bench.data import coco
from ifc_bench.data.youtube_vis import (
    VideoInstances,
    faults,
    read_json,
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
