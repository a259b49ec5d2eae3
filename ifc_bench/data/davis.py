"""DAVIS 2017 as a data set in the YouTube-VIS format, with the one class "object"."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.errors import UserError
from ifc_bench.store import write_text


def convert_davis(
    root: Path,
    out: Path,
    split: str = "val",
    resolution: str = "480p",
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write `out/instances.json` and link `out/JPEGImages`; gives the number of videos.

    `root` is DAVIS's own folder, with `ImageSets/2017/<split>.txt`, `JPEGImages/<resolution>` and
    `Annotations/<resolution>`.

    Raises:
        UserError: where a file is missing or no indexed mask, or `out` is there already.
    """
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    if not listing.is_file():
        raise UserError(f"{listing}: no such file; is {root} the folder of DAVIS 2017?")
    if (out / "instances.json").exists():
        raise UserError(f"{out / 'instances.json'}: is there already; choose another folder")
    names = listing.read_text(encoding="utf-8").split()
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name in names:
        frames = sorted((root / "JPEGImages" / resolution / name).glob("*.jpg"))
        if not frames:
            raise UserError(f"{root / 'JPEGImages' / resolution / name}: holds no frames")
        indices = [_indices(_mask_of(frame, root, resolution)) for frame in frames]
        height, width = indices[0].shape
        videos.append(
            {
                "id": len(videos) + 1,
                "width": width,
                "height": height,
                "length": len(frames),
                "file_names": [f"{name}/{frame.name}" for frame in frames],
            }
        )
        for number in sorted(set(np.unique(np.stack(indices)).tolist()) - {0, 255}):
            tube = np.stack([index == number for index in indices])
            annotations.append(written_annotation(len(annotations) + 1, len(videos), 1, tube))
        tell(len(videos), len(names))
    content = {
        "info": {"description": f"DAVIS 2017 {split} at {resolution}"},
        "videos": videos,
        "categories": [{"id": 1, "name": "object"}],
        "annotations": annotations,
    }
    out.mkdir(parents=True, exist_ok=True)
    images = out / "JPEGImages"
    if not images.exists():
        images.symlink_to((root / "JPEGImages" / resolution).resolve())
    write_text(out / "instances.json", json.dumps(content))
    return len(videos)


def _mask_of(frame: Path, root: Path, resolution: str) -> Path:
    path = root / "Annotations" / resolution / frame.parent.name / f"{frame.stem}.png"
    if not path.is_file():
        raise UserError(f"{path}: no such mask; every frame of a split needs one")
    return path


def _indices(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Instance numbers of an indexed PNG, 0 where there is none."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                raise UserError(f"{path}: is a {image.mode} image, expected an indexed one (P)")
            return np.array(image)
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path}: not a readable image ({error})") from None
