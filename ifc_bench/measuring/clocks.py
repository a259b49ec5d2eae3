"""Clocks for scopes: marks are dropped while code runs, and read when all of it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """Marks points in time without waiting for the device."""

    def mark(self) -> Any:
        """A point in time, in the order of the device's work."""

    def finish(self) -> None:
        """Wait until all marks can be read; once, at the end."""

    def seconds(self, start: Any, end: Any) -> float:
        """Between two marks."""


class HostClock:
    """A processor's own clock."""

    def mark(self) -> float:
        return time.perf_counter()

    def finish(self) -> None:
        """Nothing to wait for."""

    def seconds(self, start: float, end: float) -> float:
        return end - start


class EventClock:
    """CUDA events on the current stream: a mark costs no synchronisation."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def finish(self) -> None:
        torch.cuda.synchronize(self.device)

    def seconds(self, start: Any, end: Any) -> float:
        return start.elapsed_time(end) / 1000


def clock_for(device: torch.device) -> Clock:
    """The clock of a device's own work."""
    return EventClock(device) if device.type == "cuda" else HostClock()


class Tape:
    """Time by scope; a scope that opens within another stops the outer one's time.

    So every moment belongs to one scope, and the scopes sum up to the whole. What no scope holds
    is "other".
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = ["other"]
        self._marks: list[tuple[str, Any]] = []

    @contextmanager
    def watch(self, scope: str) -> Iterator[None]:
        """A `Watch`."""
        self._mark(scope)
        self._open.append(scope)
        try:
            yield
        finally:
            self._open.pop()
            self._mark(self._open[-1])

    @contextmanager
    def running(self) -> Iterator[None]:
        """The whole that is measured."""
        self._mark("other")
        try:
            yield
        finally:
            self._mark("end")

    def seconds(self) -> dict[str, float]:
        """Waits for the device, then gives the time of every scope that opened."""
        self._clock.finish()
        taken: dict[str, float] = {}
        for (scope, start), (_, end) in pairwise(self._marks):
            taken[scope] = taken.get(scope, 0.0) + self._clock.seconds(start, end)
        return taken

    def _mark(self, scope: str) -> None:
        self._marks.append((scope, self._clock.mark()))
