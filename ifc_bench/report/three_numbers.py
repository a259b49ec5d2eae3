"""The three numbers of speed, process by process: the network, to masks, to results.json.

Passes at a lowered SM clock do not count (`measuring/throttling.py`). A process gives the median of
the others.
"""

from __future__ import annotations

from statistics import median
from typing import Literal

from ifc_bench.config import Profile
from ifc_bench.measuring.throttling import counted_seconds
from ifc_bench.records import ProcessSamples, ProfileResult, Record, Timed

End = Literal["masks", "results"]
ENDS: dict[End, str] = {"masks": "to masks", "results": "to results.json"}


def end_of(result: ProfileResult) -> End:
    """The end of a result's main number: masks, or results.json in older records."""
    return "masks" if all(process.masks for process in result.processes) else "results"


def process_seconds(process: ProcessSamples, end: End) -> list[float]:
    """Seconds of the passes that count, to an end."""
    timed = process.masks if end == "masks" else process.results
    assert timed is not None
    return counted(process, timed)


def process_fps(result: ProfileResult, end: End | None = None) -> list[float]:
    """Frames per second of each process, to `end`; by default that of the main number."""
    end = end or end_of(result)
    return [sum(result.frames) / median(process_seconds(p, end)) for p in result.processes]


def clip_frames(record: Record) -> int:
    """Frames of the clip that the network is timed on: T, or the first video's if it is shorter."""
    work, result = record.work, record.result
    assert isinstance(work, Profile)
    assert isinstance(result, ProfileResult)
    return min(work.window or result.frames[0], result.frames[0])


def network_fps(record: Record) -> list[float]:
    """Frames of a clip over the median time of the network, of each process that has it."""
    result, frames = record.result, clip_frames(record)
    assert isinstance(result, ProfileResult)
    return [frames / median(counted(p, p.network)) for p in result.processes if p.network]


def counted(process: ProcessSamples, timed: Timed) -> list[float]:
    """Seconds of the passes of `timed` that count."""
    return counted_seconds(timed, process.card.facts if process.card else None)
