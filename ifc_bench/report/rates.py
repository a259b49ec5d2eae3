"""Frames per second, and per clock cycle of a GPU, of each process of a profile.

A cycle is one of the SM clock: cycles of a pass are its seconds times the clock during it. Passes
at a lowered clock do not count (`measuring/throttling.py`); a process gives the median of the
others.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from ifc_bench.measuring.throttling import judged
from ifc_bench.records import ProcessSamples, ProfileResult, Record, Timed
from ifc_bench.report.three_numbers import counted, end_of, network_fps, process_fps

Number = Literal["network", "masks", "results"]


@dataclass(frozen=True)
class Rates:
    """One number of speed of a record, process by process.

    Attributes:
        fps: frames per second.
        per_cycle: frames per cycle of the SM clock; None unless all passes that count have it.
        clock: mean over processes of the median SM clock, MHz; None with `per_cycle`.
    """

    fps: tuple[float, ...]
    per_cycle: tuple[float, ...] | None
    clock: float | None


def profile_of(record: Record) -> ProfileResult:
    """The result of a record that is known to be of a profile."""
    assert isinstance(record.result, ProfileResult)
    return record.result


def main_number(record: Record) -> Number:
    """The number that stands for a record: to masks, or in older records to run lengths."""
    return end_of(profile_of(record))


def has(record: Record, number: Number) -> bool:
    """Whether every process measured a number."""
    return all(getattr(process, number) is not None for process in profile_of(record).processes)


def rates_of(record: Record, number: Number) -> Rates:
    """The rates of every process; the record must have the number."""
    result = profile_of(record)
    fps = tuple(network_fps(record) if number == "network" else process_fps(result, number))
    pairs = [(process, _timed(process, number)) for process in result.processes]
    clocked = [found for pair in pairs if (found := _with_clocks(*pair)) is not None]
    if len(clocked) < len(pairs):
        return Rates(fps, None, None)
    frames = [rate * median(counted(*pair)) for rate, pair in zip(fps, pairs, strict=True)]
    cycles = [median(1e6 * mhz * seconds for seconds, mhz in passes) for passes in clocked]
    clock = fmean(median(mhz for _, mhz in passes) for passes in clocked)
    return Rates(fps, tuple(a / b for a, b in zip(frames, cycles, strict=True)), clock)


def _timed(process: ProcessSamples, number: Number) -> Timed:
    timed: Timed | None = getattr(process, number)
    assert timed is not None
    return timed


def _with_clocks(process: ProcessSamples, timed: Timed) -> list[tuple[float, float]] | None:
    """Seconds and MHz of each pass that counts; None where a clock is not known."""
    kept = judged(timed, process.card.facts if process.card else None).kept
    clocks = timed.sm_clock_mhz or [None] * len(timed.wall_seconds)
    pairs = [(timed.wall_seconds[at], mhz) for at in kept if (mhz := clocks[at]) is not None]
    return pairs if len(pairs) == len(kept) else None
