"""Statistics derived on reading; nothing here is ever stored.

Everything takes plain numbers. Stds are sample stds (n - 1), intervals are 95%, tests two-sided.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

CONFIDENCE = 0.95
FEW = 3  # below this many values a mean is flagged


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) of n values; `std` is None below n = 2."""

    n: int
    mean: float
    std: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's 95% interval of the mean; None below n = 2."""
        if self.std is None:
            return None
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, self.n - 1)) * self.std / math.sqrt(self.n)
        return self.mean - half, self.mean + half

    @property
    def points(self) -> Summary:
        """The same of fractions, in percentage points."""
        std = None if self.std is None else 100 * self.std
        return Summary(self.n, 100 * self.mean, std)

    @property
    def few(self) -> bool:
        """Whether there are too few values to say anything."""
        return self.n < FEW


@dataclass(frozen=True)
class Difference:
    """B less A.

    Attributes:
        n: values on each side; pairs, where it is paired.
        mean: of the differences.
        interval: 95% of the mean; None where it cannot be known.
        p: of the test; None where it cannot be known.
        effect: Hedges' g, the difference in pooled stds with its small-sample correction.
        std: of the difference of a pair, where it is paired.
    """

    n: tuple[int, int]
    mean: float
    interval: tuple[float, float] | None
    p: float | None
    effect: float | None
    std: float | None = None


def summarise(values: Sequence[float]) -> Summary | None:
    """The summary of `values`; None where there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Summary(len(values), statistics.fmean(values), std)


def welch(a: Summary, b: Summary, confidence: float = CONFIDENCE) -> Difference:
    """B less A for independent runs of unequal variance (Welch's t-test).

    `confidence` is the level of the interval.
    """
    mean = b.mean - a.mean
    n = (a.n, b.n)
    if a.std is None or b.std is None:
        return Difference(n, mean, None, None, None)
    parts = [a.std**2 / a.n, b.std**2 / b.n]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Difference(n, mean, (mean, mean), 1.0 if mean == 0 else 0.0, None)
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (a.n - 1) + parts[1] ** 2 / (b.n - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Difference(n, mean, (mean - half, mean + half), p, hedges(a, b))


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """B less A over the seeds that both have (paired t-test); None where there is none.

    A pair shares what a seed decides: the order of data, and its pretraining where rows share it.
    """
    seeds = sorted(a.keys() & b.keys())
    differences = summarise([b[seed] - a[seed] for seed in seeds])
    if differences is None:
        return None
    n = (differences.n, differences.n)
    interval = differences.interval
    left, right = (summarise([side[seed] for seed in seeds]) for side in (a, b))
    assert left is not None
    assert right is not None
    if differences.std is None or interval is None:
        return Difference(n, differences.mean, None, None, None)
    p = 1.0 if differences.mean == 0 else 0.0
    if differences.std > 0:
        t = differences.mean / differences.std * math.sqrt(differences.n)
        p = float(2 * stats.t.sf(abs(t), differences.n - 1))
    return Difference(n, differences.mean, interval, p, hedges(left, right), differences.std)


def hedges(a: Summary, b: Summary) -> float | None:
    """Hedges' g of B less A; None where no std is known or both are 0."""
    if a.std is None or b.std is None:
        return None
    freedom = a.n + b.n - 2
    pooled = math.sqrt(((a.n - 1) * a.std**2 + (b.n - 1) * b.std**2) / freedom)
    if pooled == 0:
        return None
    return (b.mean - a.mean) / pooled * (1 - 3 / (4 * freedom - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: each p as it counts among all of them, in their order."""
    adjusted = [0.0] * len(ps)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        running = max(running, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = running
    return adjusted


def probability_of_improvement(a: Sequence[float], b: Sequence[float]) -> float:
    """The share of all pairs of runs in which B is larger, ties half (Agarwal et al., 2021).

    It has no interval: with five runs a side, resampling them is too narrow by a third.
    """
    left, right = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    wins = (right[None] > left[:, None]) + 0.5 * (right[None] == left[:, None])
    return float(wins.mean())


def power(difference: float, std: float, n: int, alpha: float = 0.05, pairs: bool = False) -> float:
    """The chance that a two-sided t-test of n runs a side finds a true `difference`.

    `std` is that of a run; with `pairs`, of the difference of a pair.
    """
    freedom = n - 1 if pairs else 2 * n - 2
    if freedom < 1 or std <= 0:
        return 0.0 if std > 0 else 1.0
    shift = abs(difference) / std * math.sqrt(n if pairs else n / 2)
    edge = stats.t.ppf(1 - alpha / 2, freedom)
    # Both tails as upper ones: scipy's cdf of the far lower one is often NaN.
    return float(stats.nct.sf(edge, freedom, shift) + stats.nct.sf(edge, freedom, -shift))


def seeds_needed(
    difference: float, std: float, wanted: float = 0.8, most: int = 10_000, pairs: bool = False
) -> int:
    """The fewest runs a side that find a true `difference` with the `wanted` power.

    `most` where not even those do; `std` and `pairs` as in `power`.
    """

    def enough(n: int) -> bool:
        return power(difference, std, n, pairs=pairs) >= wanted

    low, high = 1, 2
    while high < most and not enough(high):
        low, high = high, 2 * high
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def detectable(std: float, n: int, wanted: float = 0.8, pairs: bool = False) -> float:
    """The true difference that n runs a side find with the `wanted` power, in the unit of `std`.

    Infinite for fewer than two runs; `std` and `pairs` as in `power`.
    """
    if n < 2:
        return math.inf

    def lacking(size: float) -> float:
        return power(size, 1.0, n, pairs=pairs) - wanted

    low, high = 0.0, 1.0
    while lacking(high) < 0:
        low, high = high, 2 * high
    return std * float(optimize.brentq(lacking, low, high))
