"""The protocol of an executor: it runs tasks in slots, and passes on their events.

The scheduler decides what runs where and what follows; an executor only starts and stops.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from ifc_bench.records import Status
from ifc_bench.sweep.tasks import Event, Task

OUT_OF_MEMORY = 77  # exit code of a training run of which a process had no memory
Inbox = queue.Queue[tuple[int, Event | None]]  # a task's number; None at a death without a report


@dataclass(frozen=True)
class Slot:
    """A place for one task at a time; several may share a device.

    Attributes:
        number: of the slot.
        device: "cpu" or "cuda:N".
        memory: bytes of the device; None where it is not known.
        others: further devices, of a training on several.
    """

    number: int
    device: str
    memory: int | None = None
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ending:
    """The end of a task that reported none."""

    status: Status
    message: str


class Executor(Protocol):
    """Runs tasks in its slots. Its inbox has their events, and None for a death."""

    inbox: Inbox

    def slots(self) -> tuple[Slot, ...]:
        """The slots that there are now."""

    def start(self, number: int, task: Task, slot: Slot, again: bool) -> None:
        """Start a task; `again` has work that ran out of memory done once more."""

    def ended(self, number: int) -> Ending:
        """Release what a task had after a death, and say how it ended."""

    def release(self, number: int) -> None:
        """Release what a task had after its last event."""

    def kill(self, number: int, why: Ending) -> None:
        """End a task at once; its death follows, and `ended` gives `why`."""

    def stop(self) -> Iterator[tuple[int, Event]]:
        """End all tasks, after training runs have written a checkpoint; yields their last words."""
