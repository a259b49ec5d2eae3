"""results.json in its zip, as the YouTube-VIS servers took it: packed, and checked."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

from ifc_bench.data.json_files import parse_json
from ifc_bench.data.youtube_vis import VideoInstances
from ifc_bench.errors import UserError, refuse_irregular
from ifc_bench.evaluation import PredictedTrack, read_predictions
from ifc_bench.evaluation.predictions import checked_predictions
from ifc_bench.store import refuse_special

MEMBER = "results.json"
MOST_BYTES = 1 << 30
_BLOCK = 1 << 16
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, RuntimeError, OSError, ValueError,
)  # fmt: skip


def pack(predictions: Path, videos: VideoInstances, out: Path) -> int:
    """Check `predictions` against `videos` and zip them; gives the number of entries.

    Raises:
        UserError: where the predictions are broken; nothing is written then.
    """
    tracks = read_predictions(predictions, videos)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(predictions, MEMBER)
        refuse_special(out)
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    return len(tracks)


def check(archive: Path, videos: VideoInstances) -> list[PredictedTrack]:
    """The predictions in a zip, which must hold results.json at its root and nothing else.

    At most `MOST_BYTES` are read, and only what is stored or deflated: a few bytes of bzip2 may
    unpack to gigabytes at once.

    Raises:
        UserError: one line that names the zip, the entry, the value and the mend.
    """
    refuse_irregular(archive)
    try:
        with zipfile.ZipFile(archive) as content:
            text = _read(content, archive).decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{archive}: no such file") from None
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(
            f"{archive}: not a readable zip of text ({reason}); pack it again"
        ) from None
    where = archive / MEMBER
    return checked_predictions(parse_json(text, where), videos, where)


def _read(content: zipfile.ZipFile, archive: Path) -> bytes:
    """The one file in `content`, which may be small in the zip and larger than any memory."""
    names = content.namelist()
    if names != [MEMBER]:
        raise UserError(
            f"{archive}: holds {', '.join(name[:60] for name in names[:3]) or 'nothing'}; it must "
            f"hold {MEMBER} at its root and nothing else"
        )
    member = content.getinfo(MEMBER)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
            f"{archive}: {MEMBER} is packed by method {member.compress_type}, which not every "
            "program reads; pack it again with deflate, as `submit pack` does"
        )
    if member.file_size > MOST_BYTES:
        raise UserError(
            f"{archive}: {MEMBER} unpacks to {member.file_size} bytes; at most {MOST_BYTES} are "
            "read"
        )
    with content.open(MEMBER) as file:  # by blocks, for it may hold more than its header tells
        return b"".join(iter(lambda: file.read(_BLOCK), b""))
