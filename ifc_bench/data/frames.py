"""Finds and reads image files of frames. Imports no torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ifc_bench.data.json_files import shown
from ifc_bench.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")  # Pillow reads others, one by starting Ghostscript

# Pillow warns about images of half the size that it refuses. Sizes are compared with the
# annotations here, and a warning would add two lines to an error message.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

T = TypeVar("T")


def frame_path(images: Path, file_name: str, where: str) -> Path:
    """Return the file of a frame; a name that leads out of the image directory is refused."""
    path = images / file_name
    try:
        inside = path.resolve().is_relative_to(images.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, an invalid file name
        raise UserError(
            f"{where}: frame {shown(file_name)} cannot be found ({_cause(error)}); restore it or "
            "drop the video"
        ) from None
    if not inside:
        raise UserError(f"{where}: file name {shown(file_name)} leads out of {images}")
    return path


def present_frame(images: Path, file_name: str, where: str) -> Path:
    """Return the file of a frame, which must exist.

    Raises:
        UserError: if its name leads out of the image directory, or there is no such file.
    """
    path = frame_path(images, file_name, where)
    try:
        present = path.is_file()
    except OSError as error:  # a name that is too long, a directory without read permission
        raise UserError(
            f"{where}: frame {shown(file_name)} cannot be found ({error.strerror}); restore it or "
            "drop the video"
        ) from None
    if not present:
        raise UserError(f"{where}: frame {path} is missing; restore it or drop the video")
    return path


def opened(path: Path, formats: Sequence[str], take: Callable[[Image.Image], T]) -> T:
    """Open the image in `path`, only in one of `formats`, and return `take(image)`.

    Raises:
        UserError: if it is not a readable image in one of these formats, or `take` refuses it.
    """
    try:
        with Image.open(path, formats=tuple(formats)) as image:
            return take(image)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise any exception on a damaged file
        raise UserError(
            f"{path}: not a readable image of {', '.join(formats)} ({_cause(error)})"
        ) from None


def read_frame(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read one frame as RGB [H, W, 3].

    Raises:
        UserError: if it is not a readable image of the annotated `size` (height, width).
    """

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        if (image.height, image.width) != size:
            raise UserError(
                f"{path}: is {image.height}x{image.width}, the annotations say "
                f"{size[0]}x{size[1]} (height x width)"
            )
        return np.array(image.convert("RGB"))

    return opened(path, FORMATS, pixels)


def _cause(error: Exception) -> str:
    """Describe in one short line why a file cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnidentifiedImageError):
        return "another format, or damaged"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
