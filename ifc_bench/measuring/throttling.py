"""Passes during which a GPU ran at a lowered clock. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ifc_bench.records import GpuFacts, Timed

CLOCK_SHARE = 0.75  # of the default clock; a pass below it is set aside
MOST_SET_ASIDE = 0.2  # of the passes of a process
DRIFT = 0.05  # of the median, between the first and the last third of the passes
_LEAST_FOR_DRIFT = 9


@dataclass(frozen=True)
class Judged:
    """The passes of one process that count.

    Attributes:
        kept: places of the passes that count, ascending.
        set_aside: passes at a lowered clock that do not count.
        slow_kept: passes at a lowered clock that count all the same, because more than
            `MOST_SET_ASIDE` of all are; the row is then marked.
    """

    kept: tuple[int, ...]
    set_aside: int
    slow_kept: int


def judge(clocks: Sequence[float | None] | None, passes: int, default: float | None) -> Judged:
    """Set passes at a lowered SM clock aside: the slowest first, and never more than a fifth.

    Lowered is below `CLOCK_SHARE` of the GPU's `default` clock, or, where it does not tell that, of
    the median clock of these passes.
    """
    known = [(clock, place) for place, clock in enumerate(clocks or []) if clock is not None]
    if not known:
        return Judged(tuple(range(passes)), 0, 0)
    least = CLOCK_SHARE * (default or median(clock for clock, _ in known))
    slow = [place for clock, place in sorted(known) if clock < least]
    gone = set(slow[: int(MOST_SET_ASIDE * passes)])
    kept = tuple(place for place in range(passes) if place not in gone)
    return Judged(kept, len(gone), len(slow) - len(gone))


def judged(timed: Timed, facts: GpuFacts | None) -> Judged:
    """Judge the passes of one process; without clocks all count."""
    default = facts.default_sm_clock_mhz if facts else None
    return judge(timed.sm_clock_mhz, len(timed.wall_seconds), default)


def counted_seconds(timed: Timed, facts: GpuFacts | None) -> list[float]:
    """Seconds by the host's clock of the passes that count."""
    return [timed.wall_seconds[place] for place in judged(timed, facts).kept]


def drift(seconds: Sequence[float]) -> float | None:
    """Change of the passes' median from their first third to the last; None for few passes.

    0.1: the last third took 10% longer.
    """
    if len(seconds) < _LEAST_FOR_DRIFT:
        return None
    third = len(seconds) // 3
    return median(seconds[-third:]) / median(seconds[:third]) - 1
