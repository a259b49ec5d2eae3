"""Finds and reads image files of frames. Imports no torch."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ifc_bench.data.json_files import shown
from ifc_bench.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")  # Pillow reads others, one by starting Ghostscript
_QUARTER_TURN = 5  # and higher: EXIF orientations that exchange height and width

# Pillow warns about images of half the size that it refuses. Sizes are compared with the
# annotations here, and a warning would add two lines to an error message.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

T = TypeVar("T")


class FrameFolder:
    """The directory of the frames of a data set; no file name leads out of it."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self._inside: dict[str, bool] = {}

    def path(self, file_name: str, where: str) -> Path:
        """Return the file of a frame, which may be missing.

        Raises:
            UserError: if its name leads out of the directory.
        """
        path = self.images / file_name
        try:
            inside = path.name != ".." and self._holds(path.parent)
            if inside and _is_link(path):
                inside = path.resolve().is_relative_to(self.images.resolve())
        except (OSError, RuntimeError, ValueError) as error:  # a link to itself, an invalid name
            raise UserError(
                f"{where}: frame {shown(file_name)} cannot be found ({_cause(error)}); restore it "
                "or drop the video"
            ) from None
        if not inside:
            raise UserError(f"{where}: file name {shown(file_name)} leads out of {self.images}")
        return path

    def _holds(self, folder: Path) -> bool:
        """Whether a directory is inside that of the frames; most videos have their own."""
        known = self._inside.get(str(folder))
        if known is None:
            known = folder.resolve().is_relative_to(self.images.resolve())
            self._inside[str(folder)] = known
        return known

    def present(self, file_name: str, where: str) -> Path:
        """Return the file of a frame, which must exist.

        Raises:
            UserError: if its name leads out of the directory, or there is no such file.
        """
        path = self.path(file_name, where)
        try:
            present = path.is_file()
        except OSError as error:  # a name that is too long, a directory without read permission
            raise UserError(
                f"{where}: frame {shown(file_name)} cannot be found ({error.strerror}); restore it "
                "or drop the video"
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
    """Read one frame as RGB [H, W, 3], turned as its EXIF orientation says.

    Raises:
        UserError: if it is not a readable image of the annotated `size` (height, width).
    """

    def pixels(image: Image.Image) -> NDArray[np.uint8]:
        width, height = upright_size(image)
        if (height, width) != size:
            raise UserError(
                f"{path}: is {height}x{width}, the annotations say {size[0]}x{size[1]} "
                "(height x width)"
            )
        turned = image if _orientation(image) == 1 else ImageOps.exif_transpose(image)
        return np.array(turned.convert("RGB"))

    return opened(path, FORMATS, pixels)


def _is_link(path: Path) -> bool:
    """Whether a file is a symbolic link; False where there is none.

    Raises:
        OSError: if that cannot be found out.
        ValueError: if it is not a name of a file.
    """
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an image, turned as its EXIF orientation says; nothing is decoded."""
    turned = _orientation(image) >= _QUARTER_TURN
    return (image.height, image.width) if turned else (image.width, image.height)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 without; a PNG with EXIF data at its end would be decoded for it."""
    found = image.getexif().get(ExifTags.Base.Orientation, 1) if "exif" in image.info else 1
    return found if isinstance(found, int) else 1


def _cause(error: Exception) -> str:
    """Describe in one short line why a file cannot be read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, UnidentifiedImageError):
        return "another format, or damaged"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."
