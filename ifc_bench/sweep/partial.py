"""Predictions of finished videos, kept beside the results file until it is whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel

from ifc_bench.evaluation import PredictedTrack
from ifc_bench.store import refuse_special, write_text


class _Finished(BaseModel):
    video: int
    count: int
    tracks: list[PredictedTrack]


class Partial:
    """One line of JSON for each finished video, after a line that says what was asked for.

    A file of another request is left out of account, and so are a line that was cut off or damaged
    and those after it.

    Raises:
        OSError: where it cannot be read or written, also for want of space, or `out` is a device or
            a folder; it names the file.
    """

    def __init__(self, out: Path, request: str) -> None:
        refuse_special(out)
        self.path = out.with_name(f".{out.name}.partial")
        self.tracks: dict[int, list[PredictedTrack]] = {}
        self.counts: dict[int, int] = {}
        content = self.path.read_bytes() if self.path.exists() else b""
        *whole, _ = content.split(b"\n")  # what follows the last end of line was cut off
        kept: list[str] = []
        for line in whole[1:] if whole[:1] == [request.encode()] else []:
            try:
                text = line.decode("utf-8")
                finished = _Finished.model_validate(json.loads(text))
            except (ValueError, RecursionError):
                break
            kept.append(text)
            self.tracks[finished.video] = finished.tracks
            self.counts[finished.video] = finished.count
        write_text(self.path, "".join(f"{line}\n" for line in [request, *kept]))

    def add(self, video: int, count: int, tracks: list[PredictedTrack]) -> None:
        """Keep what was found in one video."""
        self.tracks[video], self.counts[video] = tracks, count
        plain = [track.model_dump(mode="json") for track in tracks]
        line = json.dumps({"tracks": plain, "video": video, "count": count})
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave a file only where it holds what need not be done again."""
        if not self.tracks:
            self.done()

    def done(self) -> None:
        """The results file is whole."""
        self.path.unlink(missing_ok=True)
