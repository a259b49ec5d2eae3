"""Instances from indexed PNGs, one for each frame, as DAVIS has them. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ifc_bench.data.frames import FORMATS, opened, upright_size
from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.errors import UserError

_VOID = 255


def instance_numbers(frames: Sequence[Path], masks: Path, whole: bool = True) -> NDArray[np.uint8]:
    """Read the instance numbers [L, H, W] of a video; 0 is the background.

    The mask of a frame has its name and ends in .png. With `whole`, every frame needs one;
    otherwise a frame without has no instance.

    Raises:
        UserError: if a mask is missing (without `whole`: every mask), damaged, not an indexed image
            or of another size than its frame, or the frames differ in size.
    """
    paths = [masks / f"{frame.stem}.png" for frame in frames]
    if not whole and not any(path.exists() for path in paths):
        raise UserError(
            f"{masks}: has no mask of a frame; they are PNGs with the frames' names, such as "
            f"{paths[0].name}"
        )
    found: list[NDArray[np.uint8]] = []
    for frame, path in zip(frames, paths, strict=True):
        size = opened(frame, FORMATS, upright_size)
        if found and size != found[0].shape[::-1]:
            raise UserError(
                f"{frame}: is {size[1]}x{size[0]}, {frames[0]} is {found[0].shape[0]}x"
                f"{found[0].shape[1]} (height x width); the frames of a video have one size"
            )
        if whole or path.exists():
            found.append(_indices(path, frame, size))
        else:
            found.append(np.zeros(size[::-1], np.uint8))
    return np.stack(found)


def instances(numbers: NDArray[np.uint8], first: int, video: int) -> list[dict[str, Any]]:
    """The annotations of a video, of class 1, with ids from `first`; 255 is no instance."""
    present = sorted(set(np.unique(numbers).tolist()) - {0, _VOID})
    return [
        written_annotation(first + index, video, 1, numbers == number)
        for index, number in enumerate(present)
    ]


def _indices(path: Path, frame: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read the instance numbers [H, W] of an indexed PNG, which must have its frame's `size`.

    `size` is (width, height).
    """
    if not path.is_file():
        raise UserError(f"{path}: no such mask; every frame of a split needs one")

    def numbers(image: Image.Image) -> NDArray[np.uint8]:
        if image.mode not in ("P", "L"):
            raise UserError(f"{path}: is a {image.mode} image, expected an indexed one (P)")
        if image.size != size:
            raise UserError(
                f"{path}: is {image.height}x{image.width}, but its frame {frame} is "
                f"{size[1]}x{size[0]} (height x width)"
            )
        return np.array(image)

    return opened(path, ("PNG",), numbers)
