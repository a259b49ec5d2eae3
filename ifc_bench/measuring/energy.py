"""Energy of a GPU over several seconds of passes, for its counter moves in steps.

The window runs from the first change of the counter to the last one, while passes follow each other
without a pause. Without a counter, readings of the power are integrated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Literal

from ifc_bench.hardware.nvml import Gpu
from ifc_bench.records import Energy

WINDOW_SECONDS = 5.0
_IDLE_SECONDS = 1.0
_READING_SECONDS = 0.01


class _Readings:
    """Reads energy and power in a thread, with the times of the readings."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.joules: list[tuple[float, float]] = []
        self.watts: list[tuple[float, float]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Readings:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            joules, watts = self._gpu.energy_joules(), self._gpu.watts()
            now = time.monotonic()
            if joules is not None:
                self.joules.append((now, joules))
            if watts is not None:
                self.watts.append((now, watts))
            if self._end.wait(_READING_SECONDS):
                return


def measure_energy(
    one_pass: Callable[[], object], gpu: Gpu, seconds: float = WINDOW_SECONDS
) -> Energy | None:
    """Measure the energy of `one_pass`, repeated for `seconds`; None if the GPU has no readings.

    `one_pass` returns when the GPU has finished.
    """
    with _Readings(gpu) as idle:
        time.sleep(_IDLE_SECONDS)
    passes = 0
    with _Readings(gpu) as busy:
        begun = time.monotonic()
        while time.monotonic() - begun < seconds or passes == 0:
            one_pass()
            passes += 1
        taken = time.monotonic() - begun
    changes = _changes(busy.joules)
    source: Literal["energy counter", "integrated power"] = "energy counter"
    step = None
    if len(changes) > 1:
        (first, low), (last, high) = changes[0], changes[-1]
        joules = high - low
        step = median(b[0] - a[0] for a, b in pairwise(changes))
    elif len(busy.watts) > 1:
        source = "integrated power"
        first, last = busy.watts[0][0], busy.watts[-1][0]
        joules = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(busy.watts))
    else:
        return None
    return Energy(
        joules=joules,
        window_seconds=last - first,
        pass_seconds=taken / passes,
        source=source,
        step_seconds=step,
        idle_watts=fmean(watts for _, watts in idle.watts) if idle.watts else None,
    )


def _changes(readings: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The readings at which the counter had a new value."""
    return [b for a, b in pairwise(readings) if b[1] != a[1]]
