"""Clocks that time scopes: marks are recorded while code runs, and read when it has finished."""

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
        """Record a point in time, in the order of the device's work."""

    def finish(self) -> None:
        """Wait until all marks can be read. Called once, at the end."""

    def seconds(self, start: Any, end: Any) -> float:
        """Return the time between two marks."""


class HostClock:
    """The clock of the CPU."""

    def mark(self) -> float:
        return time.perf_counter()

    def finish(self) -> None:
        """Return at once: marks of the host can always be read."""

    def seconds(self, start: float, end: float) -> float:
        return end - start


class EventClock:
    """CUDA events on the device's current stream: a mark costs no synchronisation."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))  # not that of the current device
        return event

    def finish(self) -> None:
        torch.cuda.synchronize(self.device)

    def seconds(self, start: Any, end: Any) -> float:
        return start.elapsed_time(end) / 1000


def clock_for(device: torch.device) -> Clock:
    """Return the clock that times the work of `device`."""
    return EventClock(device) if device.type == "cuda" else HostClock()


class Tape:
    """Time per scope. A nested scope pauses the time of the outer one.

    Every moment belongs to exactly one scope, so the scopes sum to the whole. Time outside all
    scopes is "other".
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open = ["other"]
        self._marks: list[tuple[str, Any]] = []

    @contextmanager
    def watch(self, scope: str) -> Iterator[None]:
        """Open a scope. This method is a `Watch`."""
        self._mark(scope)
        self._open.append(scope)
        try:
            yield
        finally:
            self._open.pop()
            self._mark(self._open[-1])

    @contextmanager
    def running(self) -> Iterator[None]:
        """Mark the start and the end of the whole measurement."""
        self._mark("other")
        try:
            yield
        finally:
            self._mark("end")

    def seconds(self) -> dict[str, float]:
        """Wait for the device, then return the time of every scope that opened."""
        self._clock.finish()
        taken: dict[str, float] = {}
        for (scope, start), (_, end) in pairwise(self._marks):
            taken[scope] = taken.get(scope, 0.0) + self._clock.seconds(start, end)
        return taken

    def _mark(self, scope: str) -> None:
        self._marks.append((scope, self._clock.mark()))
