"""Small PNG files: the same figure gives the same bytes, and its title stands in the file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ifc_bench.errors import UserError
from ifc_bench.file_io import write_bytes


def write_png(figure: Figure, path: Path, dpi: int, title: str = "") -> None:
    """Write `figure` in 256 colours: a third of the bytes, and no difference to the eye.

    The same figure gives the same bytes. Written aside, then moved into place.

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
    """The title that `write_png` put into a file; the file's name where there is none.

    Raises:
        UserError: if it is no PNG.
    """
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return str(picture.info.get("Title") or path.stem.replace("-", " "))
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not a readable PNG ({error}); mend it, or move it away") from None
