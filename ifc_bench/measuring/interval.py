"""Confidence intervals of a median and of a mean. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from scipy.special import bdtr, stdtrit  # scipy.stats would take half a second in every process

CONFIDENCE = 0.95


def median_interval(samples: Sequence[float]) -> tuple[float, float] | None:
    """Return a 95% interval of the median from order statistics, for any distribution.

    The median lies between the k-th smallest and k-th largest of n samples with probability
    1 - 2 P(Binomial(n, 1/2) < k). The largest k that keeps 95% is used. None below 6 samples: even
    the smallest and the largest do not reach 95%.
    """
    ordered = sorted(samples)
    outside = (1 - CONFIDENCE) / 2
    rank = 0  # the largest k with P(Binomial < k) <= outside
    while rank < len(ordered) // 2 and bdtr(rank, len(ordered), 0.5) <= outside:
        rank += 1
    if rank < 1:
        return None
    return ordered[rank - 1], ordered[-rank]


def relative_width(values: Sequence[float]) -> float | None:
    """Return the half width of Student's 95% interval of the mean over the mean; None below two."""
    if len(values) < 2:
        return None
    quantile = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    return quantile * stdev(values) / len(values) ** 0.5 / fmean(values)
