"""Runs a plan on this machine: one process for each job, `workers` of them at a time.

If a process dies, only its current piece of work fails. The failure is recorded, another process
does the rest of the job, and the sweep continues. Profiles come last and alone, so that nothing
else loads the machine.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from ifc_bench.config import AnyWork, Count, Evaluation, Profile, Training
from ifc_bench.errors import NO_SPACE, Stopped, UserError, told
from ifc_bench.measuring.isolation import CONTEXT, ending, start, uninterrupted
from ifc_bench.provenance import provenance
from ifc_bench.records import Record
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Job, Plan, depth, label

Task = Job | tuple[Profile, ...] | tuple[Count, ...]

_GRACE_SECONDS = 20.0  # for a stopped training run to write its checkpoint
_END_SECONDS = 10.0  # for a process to exit after it has reported its end


@dataclass(frozen=True)
class Settings:
    """A resolved device, threads per process, and processes at a time."""

    device: str
    threads: int
    workers: int
    tensorboard: bool = False


@dataclass(frozen=True)
class Event:
    """A report of a running task.

    `stage` is the current step, with `done` of `total`; or "begin", with the next piece of `work`;
    "again", if a process died and another does the rest; "kept", after a request to stop, with what
    was kept in `error`; or "end". A `fatal` error concerns the machine and would stop every other
    task as well.
    """

    task: int
    stage: str
    done: int = 0
    total: int = 0
    records: tuple[Record, ...] = ()
    error: str | None = None
    work: AnyWork | None = None
    fatal: bool = False


@dataclass
class Outcome:
    """All records that a run made or found, and the errors that stopped tasks."""

    records: list[Record] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Add the records and the error of an event; equal errors of several tasks count once."""
        self.records += event.records
        if event.stage == "end" and event.error and event.error not in self.errors:
            self.errors.append(event.error)


def title(task: Task) -> str:
    """A short name for progress displays."""
    if isinstance(task, Job):
        return label(task.training) + (", kept weights" if task.kept else "")
    return "profiles" if isinstance(task[0], Profile) else "MACs"


def run(
    plan: Plan, store: Store, settings: Settings, progress: Callable[[Task, Event], None]
) -> Outcome:
    """Do the remaining work of `plan`.

    Bad input stops only the tasks that need it; a full disk and an interrupt stop all of them.
    """
    outcome = Outcome()
    for tasks in stages(plan, store):
        pool = _Pool(tasks(), store, settings)
        try:
            with closing(pool.events()) as events:
                for task, event in events:
                    progress(task, event)
                    outcome.add(event)
                    if event.fatal:
                        return outcome
        except KeyboardInterrupt:
            for task, event in pool.last_words():
                progress(task, event)
            raise
    return outcome


def stages(plan: Plan, store: Store) -> list[Callable[[], list[Task]]]:
    """Return the stages of `plan`, each to be called when the one before is done.

    Tasks of one stage may run at the same time. A training run comes after the one that it starts
    from. Profiles come last and alone.
    """

    def at(level: int) -> Callable[[], list[Task]]:
        return lambda: [job for job in plan.jobs(store) if job.depth == level]

    deepest = max((depth(training) for training in plan.trainings), default=0)
    return [
        lambda: [tuple(left)] if (left := plan.counts_left(store)) else [],
        *(at(level) for level in range(deepest + 1)),
        lambda: [tuple(left)] if (left := _measurable(plan, store)) else [],
    ]


def _measurable(plan: Plan, store: Store) -> list[Profile]:
    """Return profiles whose weights exist; a diverged training run leaves none."""
    left = plan.profiles_left(store)
    return [
        profile
        for profile in left
        if isinstance(profile.weights, Training)
        and (record := store.load(profile.weights)) is not None
        and record.status == "ok"
    ]


class _Pool:
    """The processes of one stage. Each has its own pipe, so none can block another."""

    def __init__(self, tasks: list[Task], store: Store, settings: Settings) -> None:
        self.tasks, self.store, self.settings = tasks, store, settings
        self.waiting = list(range(len(tasks)))
        self.running: dict[int, SpawnProcess] = {}
        self.at: dict[int, AnyWork] = {}  # the current piece of each process
        self.inbox: queue.Queue[tuple[int, Event | None]] = queue.Queue()

    def events(self) -> Generator[tuple[Task, Event], None, None]:
        """Yield the events of all tasks; closing the generator stops the running processes."""
        try:
            while self.waiting or self.running:
                while self.waiting and len(self.running) < self.settings.workers:
                    number = self.waiting.pop(0)
                    self._start(number)
                    yield self.tasks[number], Event(number, "starting")
                number, event = self.inbox.get()
                if event is None:
                    event = self._death(number)
                if event.stage == "begin" and event.work is not None:
                    self.at[number] = event.work
                    continue
                if event.stage == "end":
                    self._join(number)
                yield self.tasks[number], event
        finally:
            self._stop()

    def last_words(self) -> Iterator[tuple[Task, Event]]:
        """Yield the reports of stopped processes on what they kept."""
        while not self.inbox.empty():
            number, event = self.inbox.get()
            if event is not None and event.stage == "kept":
                yield self.tasks[number], event

    def _start(self, number: int) -> None:
        here, there = CONTEXT.Pipe(duplex=False)
        self.at.pop(number, None)
        with uninterrupted():
            self.running[number] = start(
                _work, number, self.tasks[number], self.store, self.settings, there
            )
        there.close()
        reader = threading.Thread(target=self._read, args=(number, here, self.running[number]))
        reader.daemon = True
        reader.start()

    def _read(self, number: int, channel: Connection, process: SpawnProcess) -> None:
        """Forward the events of a process; None at its death. Runs in a thread: no pipe blocks."""
        ended = False
        with channel, suppress(EOFError, OSError):
            # Data loader processes may keep the pipe of a dead process open, so wait for both.
            while channel in wait([channel, process.sentinel]):
                event = channel.recv()
                ended = ended or event.stage == "end"
                self.inbox.put((number, event))
        if not ended:
            self.inbox.put((number, None))

    def _join(self, number: int) -> None:
        process = self.running.pop(number)
        process.join(timeout=_END_SECONDS)
        process.kill()
        process.join()

    def _death(self, number: int) -> Event:
        """Record the failure of a process that ended without a report; another does the rest."""
        process, task, work = self.running[number], self.tasks[number], self.at.get(number)
        process.join(timeout=_END_SECONDS)
        message = ending(process.exitcode)
        if work is None:
            error = f"{title(task)}: {message}; run the command again"
            return Event(number, "end", error=error)
        record = _failed(work, message, self.settings)
        if not self.store.done(work):
            self.store.save(record)
        rest = _rest(task, work, self.store)
        if rest is None:
            return Event(number, "end", records=(record,))
        self._join(number)
        self.tasks[number] = rest
        self.waiting.insert(0, number)
        return Event(number, "again", records=(record,))

    def _stop(self) -> None:
        """Terminate every process, after training runs have written a checkpoint."""
        for process in self.running.values():
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self.running.values():
            process.join(timeout=max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()


def _rest(task: Task, died: AnyWork, store: Store) -> Task | None:
    """Return the part of `task` that is left for another process after one died at `died`."""
    if isinstance(task, Job):
        left = [e for e in task.evaluations if e.id != died.id and not store.done(e)]
        known = store.load(task.training)
        trained = isinstance(died, Evaluation) and known is not None and known.status == "ok"
        trained |= task.kept
        return replace(task, evaluations=tuple(left)) if left and trained else None
    rest = tuple(work for work in task if work.id != died.id and not store.done(work))
    return rest or None  # type: ignore[return-value]  # of the same kind as `task`


def _failed(work: AnyWork, message: str, settings: Settings) -> Record:
    where = provenance(settings.device, settings.threads)
    return Record.of(work, where, status="failed", error=message)


def _work(number: int, task: Task, store: Store, settings: Settings, channel: Connection) -> None:
    """Run one task: the body of a spawned process."""
    from ifc_bench.sweep.worker import Worker

    def send(event: Event) -> None:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        channel.send(event)  # a stop in the middle would leave half a message
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def progress(stage: str, done: int, total: int) -> None:
        if total <= 200 or done % 10 == 0 or done == total:
            send(Event(number, stage, done, total))

    worker = Worker(
        store, settings.device, settings.threads, progress, tensorboard=settings.tensorboard
    )
    worker.begin = lambda work: send(Event(number, "begin", work=work))
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    try:
        worker.prepare()
        send(Event(number, "end", records=tuple(do(worker, task, store))))
    except Stopped as stopped:
        send(Event(number, "kept", error=str(stopped)))
    except UserError as error:
        send(Event(number, "end", error=str(error)))
    except Exception as error:
        known = told(error) if isinstance(error, OSError) else None
        message = known or f"internal error\n{traceback.format_exc()}"
        full = isinstance(error, OSError) and error.errno in NO_SPACE
        send(Event(number, "end", error=message, fatal=full))


def do(worker: Any, task: Task, store: Store) -> list[Record]:
    """Run one task; a training run is locked, so that two sweeps do not do it at the same time."""
    records: list[Record]
    if isinstance(task, Job):
        with store.lock(task.training) if worker.processes.first else nullcontext():
            records = worker.job(task)
    elif isinstance(task[0], Profile):
        records = worker.profiles(list(task))
    else:
        records = worker.counts(list(task))
    return records
