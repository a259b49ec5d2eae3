"""Counts the windows that videos are read in: FPS follow them, and so do not compare over T.

At stride 1 a video of L frames is read in L - T + 1 windows: few where T is nearly L, and then FPS
are high because the video ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from ifc_bench.config import Profile
from ifc_bench.records import ProfileResult, Record
from ifc_bench.report.layout import listed, span
from ifc_bench.tracking.windows import windows

_MOST_CLAUSES = 3


@dataclass(frozen=True)
class Reading:
    """Videos as a measurement reads them.

    Attributes:
        frames: of each video.
        window: T in frames; None is the offline mode.
        stride: S in frames.
    """

    frames: tuple[int, ...]
    window: int | None
    stride: int

    @property
    def counts(self) -> tuple[int, ...]:
        """The windows of each video."""
        by_length = {
            length: sum(1 for _ in windows(length, self.window, self.stride))
            for length in set(self.frames)
        }
        return tuple(by_length[length] for length in self.frames)

    @property
    def mean(self) -> float:
        """The windows of a video, a mean over videos; whole where all have as many."""
        counts = self.counts
        return counts[0] if len(set(counts)) == 1 else fmean(counts)


def reading_of(record: Record) -> Reading | None:
    """The reading behind a profile's record; None where nothing was measured."""
    work, result = record.work, record.result
    if not isinstance(work, Profile) or not isinstance(result, ProfileResult) or not result.frames:
        return None
    return Reading(tuple(result.frames), work.window, work.stride)


def reading_line(readings: Iterable[Reading]) -> list[str]:
    """One sentence for a table's head: in how many windows its videos are read at each T.

    Empty where nothing was measured.
    """
    groups: dict[tuple[int, ...], set[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.frames, set()).add(reading)
    clauses = list(dict.fromkeys(_clause(group) for group in groups.values()))
    if not clauses:
        return []
    text = "; ".join(clauses[:_MOST_CLAUSES])
    if len(clauses) > _MOST_CLAUSES:
        text += f"; and {len(clauses) - _MOST_CLAUSES} more lengths of video"
    several = len({reading.window for group in groups.values() for reading in group}) > 1
    return [f"FPS do not compare over T: {text}" if several else f"windows: {text}"]


def _clause(group: Iterable[Reading]) -> str:
    """ "a video of 24 frames is read in 20, 15, 10 and 5 windows at T = 5, 10, 15 and 20"."""
    ordered = sorted(group, key=lambda one: (one.window or 1 << 30, one.stride))
    frames = ordered[0].frames
    videos = f"a video of {frames[0]} frames is"
    if len(set(frames)) > 1:
        videos = f"videos of {span(frames)} frames are"
    counts = [span(one.counts) for one in ordered]
    noun = "window" if set(counts) == {"1"} else "windows"
    places = [str(one.window or "video") for one in ordered]
    name = "T"
    if any(one.stride > 1 and one.window for one in ordered):
        name = "(T, S)"
        places = [f"({place}, {one.stride})" for place, one in zip(places, ordered, strict=True)]
    return f"{videos} read in {listed(counts)} {noun} at {name} = {listed(places)}"
