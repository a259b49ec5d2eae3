"""Statistics derived on reading; nothing here is ever stored."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) of n values; `std` is None below n = 2."""

    n: int
    mean: float
    std: float | None


def summarise(values: Sequence[float]) -> Summary | None:
    """The summary of `values`; None where there are none."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return Summary(len(values), statistics.fmean(values), std)
