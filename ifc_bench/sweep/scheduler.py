"""Runs a plan on an executor: which task starts where, and what follows when one ends badly.

A failure is of one piece of work: it gets a record with its reason, another process does the rest
of its task, and the others go on. What runs out of memory is tried once more, on a device with more
memory or after its neighbours have gone. Profiles come last and alone, so that nothing else loads
the machine. Several runners share the work: each claims a task before it starts it, and goes on to
the next where another has it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from ifc_bench.config import AnyWork, Profile
from ifc_bench.provenance import provenance
from ifc_bench.records import Record
from ifc_bench.store import Store
from ifc_bench.sweep.claims import Claims
from ifc_bench.sweep.executor import Ending, Executor, Slot
from ifc_bench.sweep.inline import Inline
from ifc_bench.sweep.local import Local
from ifc_bench.sweep.pace import Pace
from ifc_bench.sweep.plan import Job, Plan
from ifc_bench.sweep.tasks import (
    TAKEN,
    Event,
    Outcome,
    Settings,
    Task,
    finished,
    key_of,
    ready,
    rest_of,
    stages,
    title,
)

_LOOK_SECONDS = 1.0  # from one look at what waits, and at what takes too long, to the next


def run(
    plan: Plan, store: Store, settings: Settings, progress: Callable[[Task, Event], None]
) -> Outcome:
    """Do the remaining work of `plan`.

    Bad input stops only the tasks that need it; a full disk and an interrupt stop all of them.
    """
    outcome = Outcome()
    pace = Pace(plan.preset, store)
    with Claims(store.claims()) as claims:
        for tasks in stages(plan, store):
            left = tasks()
            if not left:
                continue
            executor = executor_of(store, settings, left[0])
            pool = _Pool(left, store, settings, claims, executor, pace)
            try:
                with closing(pool.events()) as events:
                    for task, event in events:
                        progress(task, event)
                        outcome.add(event)
                        if event.fatal:
                            return outcome
            except KeyboardInterrupt:
                for task, event in pool.last_words:
                    progress(task, event)
                raise
    return outcome


def executor_of(store: Store, settings: Settings, task: Task) -> Executor:
    """The executor that the settings name; counts and profiles are always of this machine."""
    if settings.executor == "inline":
        return Inline(store, settings)
    if settings.executor == "ray" and isinstance(task, Job):
        from ifc_bench.sweep.ray import Ray  # an optional package

        return Ray(store, settings)
    return Local(store, settings)


class _Pool:
    """The tasks of one stage."""

    def __init__(
        self,
        tasks: list[Task],
        store: Store,
        settings: Settings,
        claims: Claims,
        executor: Executor,
        pace: Pace,
    ) -> None:
        self.tasks, self.store, self.settings, self.claims = tasks, store, settings, claims
        self.executor, self.pace = executor, pace
        self.keys = [key_of(task) for task in tasks]
        self.waiting = list(range(len(tasks)))
        self.begun = time.time()
        self.looked = 0.0  # when the waiting tasks were last looked through
        self.running: dict[int, Slot] = {}
        self.at: dict[int, AnyWork] = {}  # the current piece of each task
        self.wants: dict[int, int] = {}  # bytes of the device that ran out of memory
        self.alone: set[int] = set()  # tasks that no other may share a device with
        self.shared: dict[int, bool] = {}  # whether a running task has had a neighbour
        self.last_words: list[tuple[Task, Event]] = []

    def events(self) -> Generator[tuple[Task, Event], None, None]:
        """Yield the events of all tasks; closing the generator stops the running ones."""
        try:
            while self.waiting or self.running:
                for number, stage in self._starts():
                    yield self.tasks[number], Event(number, stage)
                self._end_overdue()
                if (heard := self._heard()) is not None:
                    yield from self._followed(*heard)
        finally:
            said = self.executor.stop()
            self.last_words = [(self.tasks[n], event) for n, event in said if event.stage == "kept"]

    def _followed(self, number: int, event: Event | None) -> Iterator[tuple[Task, Event]]:
        """React to an event of a task; None is its death."""
        if event is None:
            event = self._death(number)
        elif event.stage == "begin" and event.work is not None:
            self.at[number] = event.work
            self.pace.begin(number, self.tasks[number], event.work)
            return
        elif event.stage == "end":
            self.executor.release(number)
            event = self._ended(number, event)
        yield self.tasks[number], event

    def _ended(self, number: int, event: Event) -> Event:
        """The end of a task by its own report; "again" if it is to be tried where memory is."""
        self.pace.end(number, event.error is None)
        slot = self.running.pop(number)
        self.looked = 0.0
        if self._tried_again(number, slot, event.records):
            return Event(number, "again", records=event.records)
        self.claims.release(self.keys[number])
        return event

    def _death(self, number: int) -> Event:
        """Record the failure of a task that ended without a report; another does the rest."""
        slot, task, work = self.running.pop(number), self.tasks[number], self.at.get(number)
        end = self.executor.ended(number)
        self.pace.end(number, False)
        self.looked = 0.0
        if work is None:
            self.claims.release(self.keys[number])
            error = f"{title(task)}: {end.message}; run the command again"
            return Event(number, "end", error=error)
        record = failure(work, end, self.settings)
        if not self.store.done(work):
            self.store.save(record)
        if self._tried_again(number, slot, (record,)):
            return Event(number, "again", records=(record,))
        rest = rest_of(task, work, self.store)
        if rest is None:
            self.claims.release(self.keys[number])
            return Event(number, "end", records=(record,))
        self.tasks[number] = rest
        self.waiting.insert(0, number)
        return Event(number, "again", records=(record,))

    def _tried_again(self, number: int, slot: Slot, records: tuple[Record, ...]) -> bool:
        """Put a task that ran out of memory back, once, if there is a place with more."""
        short = any(r.status == "out_of_memory" and r.work.kind != "profile" for r in records)
        if not short or number in self.wants or number in self.alone:
            return False
        memory = slot.memory or 0
        if any((other.memory or 0) > memory for other in self.executor.slots()):
            self.wants[number] = memory
        elif self.shared.get(number):
            self.alone.add(number)
        else:
            return False
        self.waiting.insert(0, number)
        return True

    def _starts(self) -> Iterator[tuple[int, str]]:
        """Start tasks while there is room; yields them, and those that another runner did or has.

        A task that another runner has goes on waiting.
        """
        if time.monotonic() - self.looked < _LOOK_SECONDS:
            return
        taken: list[int] = []
        free = self._free()
        for number in list(self.waiting):
            if not free:
                return
            task = self.tasks[number]
            slot = self._slot_for(number, free)
            if slot is None or not ready(task, self._pending()):
                continue
            if not self.claims.take(self.keys[number]):
                taken.append(number)
                continue
            self.waiting.remove(number)
            again = number in self.wants or number in self.alone
            if not again and (finished(task, self.store) or self._just_failed(number)):
                self.claims.release(self.keys[number])
                yield number, "end"
                continue
            self._start(number, slot, again)
            yield number, "starting"
            free = self._free()
        self.looked = time.monotonic()
        if taken and not self.running:
            yield taken[0], TAKEN

    def _just_failed(self, number: int) -> bool:
        """Whether another runner has tried the training since this one began, in vain."""
        task = self.tasks[number]
        if not isinstance(task, Job) or task.kept or number in self.at:
            return False
        known = self.store.outcome(task.training)
        if known is None or known.status == "ok":
            return False
        return self.store.record_path(task.training).stat().st_mtime > self.begun

    def _free(self) -> list[Slot]:
        used = {slot.number for slot in self.running.values()}
        return [slot for slot in self.executor.slots() if slot.number not in used]

    def _slot_for(self, number: int, free: list[Slot]) -> Slot | None:
        """The free slot for a task: that of a device with the fewest tasks; None without one.

        A profile stays on the first device, whose name is in its id.
        """
        load = [slot.device for slot in self.running.values()]
        lonely = {self.running[other].device for other in self.alone if other in self.running}
        able = [slot for slot in free if slot.device not in lonely]
        task = self.tasks[number]
        if not isinstance(task, Job) and isinstance(task[0], Profile):
            able = [slot for slot in able if slot.device == self.settings.device]
        if number in self.wants:
            able = [slot for slot in able if (slot.memory or 0) > self.wants[number]]
        if number in self.alone:
            able = [slot for slot in able if slot.device not in load]
        return min(able, key=lambda slot: (load.count(slot.device), slot.number), default=None)

    def _start(self, number: int, slot: Slot, again: bool) -> None:
        self.at.pop(number, None)
        neighbours = [n for n, other in self.running.items() if other.device == slot.device]
        self.shared[number] = bool(neighbours)
        for other in neighbours:
            self.shared[other] = True
        self.running[number] = slot
        self.executor.start(number, self.tasks[number], slot, again)

    def _pending(self) -> set[str]:
        """The keys of the tasks that wait or run."""
        return {self.keys[number] for number in (*self.waiting, *self.running)}

    def _heard(self) -> tuple[int, Event | None] | None:
        """The next event; None after a while, or if nothing is left to wait for."""
        if not self.waiting and not self.running:
            return None
        try:
            return self.executor.inbox.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            return None

    def _end_overdue(self) -> None:
        """End tasks whose piece takes far longer than such pieces took in this sweep."""
        for number in self.running:
            late = self.pace.overdue(number) if self.settings.time_limits else None
            if late is not None:
                message = f"no end after {late[1]:.0f} min, ten times what such work took here"
                self.pace.end(number, False)
                self.executor.kill(number, Ending("timed_out", message))


def failure(work: AnyWork, end: Ending, settings: Settings) -> Record:
    """The record of a piece of work that ended without a result."""
    where = provenance(settings.device, settings.threads)
    return Record.of(work, where, status=end.status, error=end.message)
