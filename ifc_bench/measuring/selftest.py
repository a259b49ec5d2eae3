"""The noise of the timer itself, measured on this machine."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch

from ifc_bench.measuring.clocks import clock_for
from ifc_bench.measuring.interval import median_interval
from ifc_bench.measuring.speed import synchronise

_SIDE = {"cpu": 256, "cuda": 2048}


@dataclass(frozen=True)
class Noise:
    """Statistics of repeated readings of the same work.

    Attributes:
        resolution_seconds: the smallest difference between two readings of the clock.
        overhead_seconds: the median reading of two marks with nothing between them.
        median_seconds: the median reading of the work.
        spread: the 95th percentile minus the 5th, divided by the median.
        interval: half width of the 95% interval of the median, divided by the median.
        drift: the median of the last third, divided by that of the first third, minus 1.
        a_over_b: the ratio of the medians of alternate readings, minus 1; ideally 0.
        samples: the number of readings.
    """

    resolution_seconds: float
    overhead_seconds: float
    median_seconds: float
    spread: float
    interval: float
    drift: float
    a_over_b: float
    samples: int


def timer_noise(device: torch.device, seconds: float) -> Noise:
    """Time one matrix product for about `seconds`."""
    side = _SIDE[device.type]
    if device.type == "cuda":
        torch.cuda.set_device(device)  # the product runs on the current device's stream
    a = torch.ones(side, side, device=device)
    clock = clock_for(device)

    def once(empty: bool = False) -> float:
        synchronise(device)
        start = clock.mark()
        if not empty:
            a @ a
        end = clock.mark()
        clock.finish()
        return clock.seconds(start, end)

    for _ in range(20):
        once()
    overhead = statistics.median(once(empty=True) for _ in range(1000))
    readings: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds or len(readings) < 30:
        readings.append(once())
    middle = statistics.median(readings)
    ordered = sorted(readings)
    low, high = median_interval(readings) or (ordered[0], ordered[-1])
    third = len(readings) // 3
    halves = statistics.median(readings[::2]), statistics.median(readings[1::2])
    return Noise(
        resolution_seconds=time.get_clock_info("perf_counter").resolution,
        overhead_seconds=overhead,
        median_seconds=middle,
        spread=(ordered[int(0.95 * len(ordered))] - ordered[int(0.05 * len(ordered))]) / middle,
        interval=(high - low) / 2 / middle,
        drift=statistics.median(readings[-third:]) / statistics.median(readings[:third]) - 1,
        a_over_b=halves[0] / halves[1] - 1,
        samples=len(readings),
    )
