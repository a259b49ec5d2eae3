"""Small PNG files: the same figure gives the same bytes, and its title is stored in the file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ifc_bench.errors import UserError
from ifc_bench.file_io import write_bytes


def write_png(figure: Figure, path: Path, dpi: int, title: str = "") -> None:
    """Write `figure` in 256 colours: a third of the bytes without a visible difference.

    The same figure gives the same bytes. The file is written atomically.

    Raises:
        OSError: if it cannot be written (a full disk included); the error names the file.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    notes = PngInfo()
    if title:
        notes.add_text("Title", title)
    written = BytesIO()  # Pillow's own errors name neither file nor cause
    with Image.open(buffer, formats=("PNG",)) as picture:
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(written, format="PNG", optimize=True, pnginfo=notes)
    write_bytes(path, written.getvalue())


def title_of(path: Path) -> str:
    """Read the title that `write_png` stored in a file; without one, use the file's name.

    Raises:
        UserError: if it is not a PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return str(picture.info.get("Title") or path.stem.replace("-", " "))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a readable PNG ({error}); fix it, or move it away") from None
