"""Runs tasks in this process, one after the other: for a debugger. Nothing is isolated here."""

from __future__ import annotations

import queue
from collections.abc import Iterator

from ifc_bench.hardware.device import describe_device
from ifc_bench.store import Store
from ifc_bench.sweep.executor import Ending, Inbox, Slot
from ifc_bench.sweep.tasks import Event, Settings, Task


class Inline:
    """The executor without processes: `start` returns when the task has ended.

    An error in a user's code still becomes a record; an interrupt passes through.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self.inbox: Inbox = queue.Queue()

    def slots(self) -> tuple[Slot, ...]:
        device = self.settings.device
        return (Slot(0, device, describe_device(device, self.settings.threads).memory_bytes),)

    def start(self, number: int, task: Task, slot: Slot, again: bool) -> None:
        from ifc_bench.sweep.body import run_task  # torch: only where work is done

        store = self.store.retrying("out_of_memory") if again else self.store
        here = self.settings.on(slot.device)
        run_task(number, task, store, here, lambda event: self.inbox.put((number, event)))

    def ended(self, number: int) -> Ending:
        raise AssertionError("a task in this process cannot die alone")

    def release(self, number: int) -> None:
        """Nothing is held."""

    def kill(self, number: int, why: Ending) -> None:
        raise AssertionError("a task in this process has ended when it could be killed")

    def stop(self) -> Iterator[tuple[int, Event]]:
        return iter(())
