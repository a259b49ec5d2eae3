"""Predictions of finished videos, kept beside the results file until it is whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ifc_bench.evaluation import PredictedTrack
from ifc_bench.store import write_text


class Partial:
    """One line of JSON for each finished video, after a line that says what was asked for.

    A file of another request, and a last line that was cut off, are left out of account.
    """

    def __init__(self, out: Path, request: str) -> None:
        self.path = out.with_name(f".{out.name}.partial")
        self.tracks: dict[int, list[PredictedTrack]] = {}
        self.counts: dict[int, int] = {}
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        *whole, _ = text.split("\n")  # what follows the last end of line was cut off
        kept = whole[1:] if whole[:1] == [request] else []
        for line in kept:
            self._read(json.loads(line))
        write_text(self.path, "".join(f"{line}\n" for line in [request, *kept]))

    def _read(self, content: dict[str, object]) -> None:
        video, count, tracks = (content[key] for key in ("video", "count", "tracks"))
        assert isinstance(video, int)
        assert isinstance(count, int)
        assert isinstance(tracks, list)
        self.tracks[video] = [PredictedTrack.model_validate(track) for track in tracks]
        self.counts[video] = count

    def add(self, video: int, count: int, tracks: list[PredictedTrack]) -> None:
        """Keep what was found in one video."""
        self.tracks[video], self.counts[video] = tracks, count
        plain = [track.model_dump(mode="json") for track in tracks]
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"tracks": plain, "video": video, "count": count}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def done(self) -> None:
        """The results file is whole."""
        self.path.unlink(missing_ok=True)
