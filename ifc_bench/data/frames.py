"""Where a frame lies, and its pixels. No torch."""

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

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")  # Pillow knows more, and starts Ghostscript for one

# Pillow warns of images that are half as large as those it refuses; sizes are held against the
# annotations here, and an error would be two lines longer.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

T = TypeVar("T")


def frame_path(images: Path, file_name: str, where: str) -> Path:
    """The file of a frame; refused where its name leads out of the image folder."""
    path = images / file_name
    try:
        inside = path.resolve().is_relative_to(images.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a name of no file
        raise UserError(
            f"{where}: frame {shown(file_name)} cannot be looked for ({_cause(error)}); restore it "
            "or drop the video"
        ) from None
    if not inside:
        raise UserError(f"{where}: file name {shown(file_name)} leads out of {images}")
    return path


def present_frame(images: Path, file_name: str, where: str) -> Path:
    """The file of a frame, which must be there.

    Raises:
        UserError: if its name leads out of the image folder, or there is no such file.
    """
    path = frame_path(images, file_name, where)
    try:
        present = path.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be read
        raise UserError(
            f"{where}: frame {shown(file_name)} cannot be looked for ({error.strerror}); restore "
            "it or drop the video"
        ) from None
    if not present:
        raise UserError(f"{where}: frame {path} is missing; restore it or drop the video")
    return path


def opened(path: Path, formats: Sequence[str], take: Callable[[Image.Image], T]) -> T:
    """What `take` makes of the image in `path`, which is opened as one of `formats` and no other.

    Raises:
        UserError: if it is no readable image of these formats, or `take` refuses it.
    """
    try:
        with Image.open(path, formats=tuple(formats)) as image:
            return take(image)
    except UserError:
        raise
    except Exception as error:  # Pillow lets through whatever a broken file makes its readers raise
        raise UserError(
            f"{path}: not a readable image of {', '.join(formats)} ({_cause(error)})"
        ) from None


def read_frame(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One frame as RGB [H, W, 3].

    Raises:
        UserError: if it is no readable image of the annotated `size`.
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
    """Why a file cannot be read, on one short line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnidentifiedImageError):
        return "another format, or damaged"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
