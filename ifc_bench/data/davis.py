"""DAVIS 2017 as a data set in the YouTube-VIS format, with the one class "object"."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ifc_bench.data.json_files import shown
from ifc_bench.data.mask_images import instance_numbers, instances
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text


def convert_davis(
    root: Path,
    out: Path,
    split: str = "val",
    resolution: str = "480p",
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write `out/instances.json` and link `out/JPEGImages`; returns the number of videos.

    `root` is DAVIS's directory, with `ImageSets/2017/<split>.txt`, `JPEGImages/<resolution>` and
    `Annotations/<resolution>`.

    Raises:
        UserError: if a file is missing, damaged or not an indexed mask, a mask has another size
            than its frame, or `out` already exists. Nothing is written then.
    """
    names = _listed(root, split)
    frames_folder = root / "JPEGImages" / resolution
    _refuse_used(out, frames_folder)
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name in names:
        frames = sorted((frames_folder / name).glob("*.jpg"))
        if not frames:
            raise UserError(f"{frames_folder / name}: has no frames")
        indices = instance_numbers(frames, root / "Annotations" / resolution / name)
        videos.append(
            {
                "id": len(videos) + 1,
                "width": indices.shape[2],
                "height": indices.shape[1],
                "length": len(frames),
                "file_names": [f"{name}/{frame.name}" for frame in frames],
            }
        )
        annotations += instances(indices, len(annotations) + 1, len(videos))
        tell(len(videos), len(names))
    content = {
        "info": {"description": f"DAVIS 2017 {split} at {resolution}"},
        "videos": videos,
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "JPEGImages").exists():
        (out / "JPEGImages").symlink_to(frames_folder.resolve())
    write_text(out / "instances.json", json.dumps(content))
    return len(videos)


def _listed(root: Path, split: str) -> list[str]:
    """Read the video directories of a split from its list."""
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    if not listing.is_file():
        raise UserError(f"{listing}: no such file; is {root} the directory of DAVIS 2017?")
    try:
        names = listing.read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise UserError(f"{listing}: not a text file ({error.reason}); download it again") from None
    if not names:
        raise UserError(f"{listing}: lists no video; download it again")
    for name in names:
        if "/" in name or name in (".", "..") or not name.isprintable() or len(name) > 100:
            raise UserError(f"{listing}: {shown(name)} is not the name of a video's directory")
        if names.count(name) > 1:
            raise UserError(f"{listing}: {shown(name)} is listed twice; list it once")
    return names


def _refuse_used(out: Path, frames: Path) -> None:
    """Refuse a directory with a data set, or with other frames."""
    if (out / "instances.json").exists():
        raise UserError(f"{out / 'instances.json'}: already exists; choose another directory")
    images = out / "JPEGImages"
    if (images.exists() or images.is_symlink()) and images.resolve() != frames.resolve():
        raise UserError(f"{images}: already exists, with other frames; choose another directory")
