"""results.json in its zip, as the YouTube-VIS servers took it: packed, and checked."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

from ifc_bench.data.youtube_vis import VideoInstances, parse_json
from ifc_bench.errors import UserError
from ifc_bench.evaluation import PredictedTrack, read_predictions
from ifc_bench.evaluation.predictions import checked_predictions

MEMBER = "results.json"


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
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)
    return len(tracks)


def check(archive: Path, videos: VideoInstances) -> list[PredictedTrack]:
    """The predictions in a zip, which must hold results.json at its root and nothing else.

    Raises:
        UserError: one line that names the zip, the entry, the value and the mend.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            names = content.namelist()
            if names != [MEMBER]:
                raise UserError(
                    f"{archive}: holds {', '.join(names[:3]) or 'nothing'}; it must hold {MEMBER} "
                    "at its root and nothing else"
                )
            with io.TextIOWrapper(content.open(MEMBER), encoding="utf-8") as file:
                text = file.read()
    except FileNotFoundError:
        raise UserError(f"{archive}: no such file") from None
    except (zipfile.BadZipFile, UnicodeDecodeError, RuntimeError, OSError) as error:
        raise UserError(f"{archive}: not a readable zip of text ({error}); pack it again") from None
    where = archive / MEMBER
    return checked_predictions(parse_json(text, where), videos, where)
