"""The verdict on one row of `compare`: slower, faster, same, or cannot tell, with its reason.

The unit is the process: passes within one process are not independent, so a process counts once.
Ratios are B over A of frames per second, so that below 1 is slower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ifc_bench.report.statistics import Summary, summarise, welch

Place = Literal["below", "within", "above", "unknown"]
Word = Literal["slower", "faster", "more", "less", "same", "cannot tell"]
Values = Sequence[float]

WORSE: tuple[Word, ...] = ("slower", "more")
_SPEED: dict[Place, Word] = {
    "below": "slower", "above": "faster", "within": "same", "unknown": "cannot tell",
}  # fmt: skip
_MEMORY: dict[Place, Word] = {"below": "less", "above": "more"}
_MOST_PROCESSES = 100  # a side; a larger estimate is not printed
_WIDEST = 100.0  # half of an interval of logarithms, so that its ends are finite numbers


@dataclass(frozen=True)
class Limits:
    """The difference that counts, as a fraction, and the level of the test (1 less the interval's).

    Attributes:
        margin: 0.05: a ratio below 0.95 or above 1.05 counts.
        alpha: 0.05: intervals are of 95%.
    """

    margin: float = 0.05
    alpha: float = 0.05

    @property
    def shown_margin(self) -> str:
        """ "5%"."""
        return f"{100 * self.margin:g}%"

    @property
    def shown_level(self) -> str:
        """ "95%"."""
        return f"{100 * (1 - self.alpha):g}%"


@dataclass(frozen=True)
class Ratio:
    """B over A and its interval; `interval` is None where one side has a single process."""

    value: float
    interval: tuple[float, float] | None

    @property
    def shown(self) -> str:
        """ "0.920 [0.900, 0.940]"."""
        return f"{self.value:.3f}{'' if self.interval is None else f' {self.shown_interval}'}"

    @property
    def shown_interval(self) -> str:
        """ "[0.900, 0.940]"."""
        assert self.interval is not None
        return f"[{self.interval[0]:.3f}, {self.interval[1]:.3f}]"

    @property
    def change(self) -> str:
        """The difference as a percentage, "8.0% [6.0%, 10.0%]", for an interval without 1."""
        assert self.interval is not None
        low, high = sorted(abs(end - 1) for end in self.interval)
        return f"{abs(self.value - 1):.1%} [{low:.1%}, {high:.1%}]"


@dataclass(frozen=True)
class Cycles:
    """The ratio of frames per clock cycle, and the mean SM clocks (MHz) of A and of B."""

    ratio: Ratio
    clocks: tuple[float, float]


@dataclass(frozen=True)
class Verdict:
    """A word, and its reason."""

    word: Word
    reason: str

    def __str__(self) -> str:
        return f"{self.word}: {self.reason}"

    def noting(self, remarks: Sequence[str]) -> Verdict:
        """The same verdict, `remarks` after its reason."""
        return Verdict(self.word, "; ".join([self.reason, *remarks]))


def place(ratio: float, interval: tuple[float, float] | None, margin: float) -> Place:
    """Place a ratio beside 1 - margin, 1 and 1 + margin. This is the whole rule.

    - below, above: the interval does not hold 1, and the ratio is beyond the margin.
    - within: the whole interval is within the margin, whether or not it holds 1.
    - unknown: all else. No interval; one that holds 1 and reaches beyond the margin; one that does
      not hold 1 and reaches beyond the margin, while the ratio does not.
    """
    if interval is None:
        return "unknown"
    low, high = interval
    if high < 1 and ratio < 1 - margin:
        return "below"
    if low > 1 and ratio > 1 + margin:
        return "above"
    return "within" if 1 - margin <= low and high <= 1 + margin else "unknown"


def ratio_of(a: Values, b: Values, alpha: float) -> Ratio:
    """B over A with the interval of level 1 - `alpha`: Welch's, on logarithms."""
    return _ratio(_of_logs(a), _of_logs(b), alpha)


def processes_to_tell(a: Values, b: Values, limits: Limits) -> int | None:
    """Estimate how many processes a side give a verdict, at the ratio and spread of these.

    None where 100 do not. Each side needs two values.
    """
    left, right = _of_logs(a), _of_logs(b)
    for n in range(min(len(a), len(b)) + 1, _MOST_PROCESSES + 1):
        ratio = _ratio(replace(left, n=n), replace(right, n=n), limits.alpha)
        if place(ratio.value, ratio.interval, limits.margin) != "unknown":
            return n
    return None


def verdict_on_speed(a: Values, b: Values, limits: Limits, cycles: Cycles | None = None) -> Verdict:
    """The verdict on frames per second of each process of both sides.

    `cycles`: a difference must hold in them too; None where clock cycles say nothing.
    """
    ratio = ratio_of(a, b, limits.alpha)
    found = place(ratio.value, ratio.interval, limits.margin)
    n = f"n = {len(a)}, {len(b)}"
    if found == "unknown":
        return Verdict("cannot tell", _unknown(a, b, ratio, limits))
    if found == "within":
        reason = f"{_sameness(ratio)} within {limits.shown_margin}, {n}"
    else:
        reason = f"{ratio.change}, {n}"
    verdict = Verdict(_SPEED[found], reason)
    return verdict if cycles is None else _in_cycles(verdict, found, cycles, limits)


def verdict_on_memory(ratio: float, margin: float) -> Verdict:
    """The verdict on peaks of memory: an allocator's peak does not vary, so the ratio decides."""
    found = place(ratio, (ratio, ratio), margin)
    if found == "within":
        return Verdict("same", f"the ratio {ratio:.3f} is within {100 * margin:g}%")
    return Verdict(_MEMORY[found], f"{abs(ratio - 1):.1%}")


def _in_cycles(verdict: Verdict, found: Place, cycles: Cycles, limits: Limits) -> Verdict:
    """The verdict after a look at clock cycles."""
    ratio = cycles.ratio
    if place(ratio.value, ratio.interval, limits.margin) == found:
        told = f"in cycles {ratio.change}" if found != "within" else "in cycles too"
        return verdict.noting([told])
    a, b = (f"{clock:.0f}" for clock in cycles.clocks)
    clocks = f"the SM clock differs: {a} against {b} MHz" if a != b else f"SM clock {a} MHz"
    remark = f"{clocks}; in cycles the ratio is {ratio.shown}"
    if found == "within":
        return verdict.noting([remark])
    return Verdict("cannot tell", f"{verdict.word} in seconds ({verdict.reason}), but {remark}")


def _sameness(ratio: Ratio) -> str:
    """An interval within the margin; where it does not hold 1, with the difference."""
    assert ratio.interval is not None
    low, high = ratio.interval
    if low <= 1 <= high:
        return f"{ratio.shown_interval} is"
    return f"{_side(ratio)} by {ratio.change},"


def _unknown(a: Values, b: Values, ratio: Ratio, limits: Limits) -> str:
    """The reason of "cannot tell", and an estimate of the processes that would tell."""
    single = [name for name, side in (("A", a), ("B", b)) if len(side) < 2]
    if single:
        return f"one process in {' and in '.join(single)}, so its spread is not known"
    assert ratio.interval is not None
    low, high = ratio.interval
    surely = "" if low <= 1 <= high else f"{_side(ratio)}, but "
    wanted = processes_to_tell(a, b, limits)
    estimate = f"about {wanted}" if wanted else f"more than {_MOST_PROCESSES}"
    return (
        f"{surely}the interval {ratio.shown_interval} reaches beyond {limits.shown_margin}; "
        f"{estimate} processes a side would narrow it enough (an estimate), n = {len(a)}, {len(b)}"
    )


def _side(ratio: Ratio) -> Word:
    return "slower" if ratio.value < 1 else "faster"


def _ratio(a: Summary, b: Summary, alpha: float) -> Ratio:
    """B over A from summaries of logarithms."""
    difference = welch(a, b, 1 - alpha)
    if difference.interval is None:
        return Ratio(math.exp(difference.mean), None)
    half = min(_WIDEST, difference.interval[1] - difference.mean)
    ends = math.exp(difference.mean - half), math.exp(difference.mean + half)
    return Ratio(math.exp(difference.mean), ends)


def _of_logs(values: Values) -> Summary:
    summary = summarise([math.log(value) for value in values])
    assert summary is not None, "a measured record has a process"
    return summary
