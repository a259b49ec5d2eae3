"""Runs a plan on this machine: one process for each job, `workers` of them at a time.

If a process dies, only its current piece of work fails. The failure is recorded, another process
does the rest of the job, and the sweep continues. Profiles come last and alone, so that nothing
else loads the machine. Several runners share the work: each claims a task before it starts it, and
goes on to the next where another has it.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from ifc_bench.config import AnyWork
from ifc_bench.errors import NO_SPACE, Stopped, UserError, told
from ifc_bench.measuring.isolation import CONTEXT, ending, start, uninterrupted
from ifc_bench.provenance import provenance
from ifc_bench.records import Record
from ifc_bench.store import Store
from ifc_bench.sweep.claims import Claims
from ifc_bench.sweep.plan import Plan
from ifc_bench.sweep.tasks import (
    TAKEN,
    Event,
    Outcome,
    Settings,
    Task,
    do,
    finished,
    key_of,
    ready,
    rest_of,
    stages,
    title,
)

_GRACE_SECONDS = 20.0  # for a stopped training run to write its checkpoint
_LOOK_SECONDS = 1.0  # from one look at the claims of other runners to the next
_END_SECONDS = 10.0  # for a process to exit after it has reported its end


def run(
    plan: Plan, store: Store, settings: Settings, progress: Callable[[Task, Event], None]
) -> Outcome:
    """Do the remaining work of `plan`.

    Bad input stops only the tasks that need it; a full disk and an interrupt stop all of them.
    """
    outcome = Outcome()
    with Claims(store.claims()) as claims:
        for tasks in stages(plan, store):
            pool = _Pool(tasks(), store, settings, claims)
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


class _Pool:
    """The processes of one stage. Each has its own pipe, so none can block another."""

    def __init__(self, tasks: list[Task], store: Store, settings: Settings, claims: Claims) -> None:
        self.tasks, self.store, self.settings, self.claims = tasks, store, settings, claims
        self.keys = [key_of(task) for task in tasks]
        self.waiting = list(range(len(tasks)))
        self.looked = 0.0  # when the waiting tasks were last looked through
        self.running: dict[int, BaseProcess] = {}
        self.held = False  # whether another runner has one that waits
        self.at: dict[int, AnyWork] = {}  # the current piece of each process
        self.inbox: queue.Queue[tuple[int, Event | None]] = queue.Queue()

    def events(self) -> Generator[tuple[Task, Event], None, None]:
        """Yield the events of all tasks; closing the generator stops the running processes."""
        try:
            while self.waiting or self.running:
                for number, stage in self._starts():
                    yield self.tasks[number], Event(number, stage)
                if (heard := self._heard()) is None:
                    continue
                number, event = heard
                if event is None:
                    event = self._death(number)
                if event.stage == "begin" and event.work is not None:
                    self.at[number] = event.work
                    continue
                if event.stage == "end":
                    self._join(number)
                    self.claims.release(self.keys[number])
                    self.looked = 0.0
                yield self.tasks[number], event
        finally:
            self._stop()

    def _starts(self) -> Iterator[tuple[int, str]]:
        """Start tasks while there is room; yields them, and those that another runner did or has.

        A task that another runner has goes on waiting.
        """
        if time.monotonic() - self.looked < _LOOK_SECONDS:
            return
        taken: list[int] = []
        for number in list(self.waiting):
            if len(self.running) >= self.settings.workers:
                return
            task = self.tasks[number]
            if not ready(task, self._pending()):
                continue
            if not self.claims.take(self.keys[number]):
                taken.append(number)
                continue
            self.waiting.remove(number)
            if finished(task, self.store):
                self.claims.release(self.keys[number])
                yield number, "end"
                continue
            self._start(number)
            yield number, "starting"
        self.held, self.looked = bool(taken), time.monotonic()
        if taken and not self.running:
            yield taken[0], TAKEN

    def _pending(self) -> set[str]:
        """The keys of the tasks that wait or run."""
        return {self.keys[number] for number in (*self.waiting, *self.running)}

    def _heard(self) -> tuple[int, Event | None] | None:
        """The next event; None after a while if there is room for a task that another runner has.

        None also if nothing is left to wait for.
        """
        if not self.waiting and not self.running:
            return None
        idle = len(self.running) < self.settings.workers if self.held else not self.running
        try:
            return self.inbox.get(timeout=_LOOK_SECONDS if idle else None)
        except queue.Empty:
            return None

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
                _work,
                *(number, self.tasks[number], self.store, self.settings, there),
                loaded="ifc_bench.sweep.worker",
            )
        there.close()
        reader = threading.Thread(target=self._read, args=(number, here, self.running[number]))
        reader.daemon = True
        reader.start()

    def _read(self, number: int, channel: Connection, process: BaseProcess) -> None:
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
        rest = rest_of(task, work, self.store)
        if rest is None:
            return Event(number, "end", records=(record,))
        self._join(number)
        self.tasks[number] = rest
        self.waiting.insert(0, number)
        self.looked = 0.0
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
        send(Event(number, "end", records=tuple(do(worker, task))))
    except Stopped as stopped:
        send(Event(number, "kept", error=str(stopped)))
    except UserError as error:
        send(Event(number, "end", error=str(error)))
    except Exception as error:
        known = told(error) if isinstance(error, OSError) else None
        message = known or f"internal error\n{traceback.format_exc()}"
        full = isinstance(error, OSError) and error.errno in NO_SPACE
        send(Event(number, "end", error=message, fatal=full))
