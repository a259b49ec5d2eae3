"""Runs a plan on this machine: one process for each job, `workers` of them at a time.

A process that dies takes nothing with it but its own job: the failure is a record, and the sweep
goes on. Profiles come last and alone, so that nothing else loads the machine.
"""

from __future__ import annotations

import queue
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from ifc_bench.config import Count, Profile, Training
from ifc_bench.errors import UserError, told
from ifc_bench.provenance import provenance
from ifc_bench.records import Record, attention_of
from ifc_bench.store import Store
from ifc_bench.sweep.isolation import CONTEXT, start, uninterrupted
from ifc_bench.sweep.plan import Job, Plan, depth, label

Task = Job | tuple[Profile, ...] | tuple[Count, ...]


@dataclass(frozen=True)
class Settings:
    """How to run: a resolved device, threads of a process, processes at a time."""

    device: str
    threads: int
    workers: int
    tensorboard: bool = False


@dataclass(frozen=True)
class Event:
    """What a running task reports: a stage with `done` of `total`, or its end."""

    task: int
    stage: str
    done: int = 0
    total: int = 0
    records: tuple[Record, ...] = ()
    error: str | None = None


@dataclass
class Outcome:
    """All records that a run made or found, and the bad input that stopped it, if any."""

    records: list[Record] = field(default_factory=list)
    error: str | None = None


def title(task: Task) -> str:
    """A short name for progress displays."""
    if isinstance(task, Job):
        return label(task.training)
    return "profiles" if isinstance(task[0], Profile) else "multiply-adds"


def run(
    plan: Plan, store: Store, settings: Settings, tell: Callable[[Task, Event], None]
) -> Outcome:
    """Do all that `plan` still needs. Ends early on bad input or an interrupt, losing nothing."""
    outcome = Outcome()
    for tasks in stages(plan, store):
        with closing(_run_tasks(tasks(), store, settings)) as events:
            for task, event in events:
                tell(task, event)
                outcome.records += event.records
                if event.error:
                    return Outcome(outcome.records, event.error)
    return outcome


def stages(plan: Plan, store: Store) -> list[Callable[[], list[Task]]]:
    """What can be done at the same time, stage by stage, each asked for when the last is done.

    A training comes after the one that it starts from, and profiles come last and alone.
    """

    def at(level: int) -> Callable[[], list[Task]]:
        return lambda: [job for job in plan.jobs(store) if depth(job.training) == level]

    deepest = max((depth(training) for training in plan.trainings), default=0)
    return [
        lambda: [tuple(left)] if (left := plan.counts_left(store)) else [],
        *(at(level) for level in range(deepest + 1)),
        lambda: [tuple(left)] if (left := _measurable(plan, store)) else [],
    ]


def _measurable(plan: Plan, store: Store) -> list[Profile]:
    """Profiles whose weights exist; a diverged training leaves none."""
    left = plan.profiles_left(store)
    return [
        profile
        for profile in left
        if isinstance(profile.weights, Training)
        and (record := store.load(profile.weights)) is not None
        and record.status == "ok"
    ]


def _run_tasks(
    tasks: list[Task], store: Store, settings: Settings
) -> Generator[tuple[Task, Event], None, None]:
    """Events of all tasks; closing the generator kills what still runs."""
    channel = CONTEXT.Queue()
    waiting = list(enumerate(tasks))
    running: dict[int, Any] = {}
    ended: set[int] = set()
    try:
        while waiting or running:
            while waiting and len(running) < settings.workers:
                number, task = waiting.pop(0)
                with uninterrupted():
                    running[number] = start(_work, number, task, store, settings, channel)
            for event in _drain(channel):
                if event.stage == "end":
                    ended.add(event.task)
                yield tasks[event.task], event
            for number, process in list(running.items()):
                if process.is_alive():
                    continue
                process.join()
                for event in _drain(channel):
                    ended.update([event.task] if event.stage == "end" else [])
                    yield tasks[event.task], event
                del running[number]
                if number not in ended:
                    yield tasks[number], _death(number, tasks[number], process, store, settings)
            if running:
                wait([process.sentinel for process in running.values()], timeout=0.2)
    finally:
        for process in running.values():
            process.kill()
            process.join()


def _drain(channel: Any) -> Iterable[Event]:
    """Everything that has been reported by now."""
    while True:
        try:
            yield channel.get(timeout=0.05)
        except queue.Empty:
            return


def _work(number: int, task: Task, store: Store, settings: Settings, channel: Any) -> None:
    """The body of a process."""
    from ifc_bench.sweep.worker import Worker

    def tell(stage: str, done: int, total: int) -> None:
        if total <= 200 or done % 10 == 0 or done == total:
            channel.put(Event(number, stage, done, total))

    worker = Worker(
        store, settings.device, settings.threads, tell, tensorboard=settings.tensorboard
    )
    try:
        worker.prepare()
        channel.put(Event(number, "end", records=tuple(do(worker, task, store))))
    except UserError as error:
        channel.put(Event(number, "end", error=str(error)))
    except Exception as error:
        known = told(error) if isinstance(error, OSError) else None
        message = known or f"internal error\n{traceback.format_exc()}"
        channel.put(Event(number, "end", error=message))


def do(worker: Any, task: Task, store: Store) -> list[Record]:
    """Let a `Worker` do one task; a training is locked, so that two sweeps do not do it at once."""
    records: list[Record]
    if isinstance(task, Job):
        with store.lock(task.training) if worker.processes.first else nullcontext():
            records = worker.job(task)
    elif isinstance(task[0], Profile):
        records = worker.profiles(list(task))
    else:
        records = worker.counts(list(task))
    return records


def _death(number: int, task: Task, process: Any, store: Store, settings: Settings) -> Event:
    """A process that ended without a word: killed, or out of the host's memory."""
    message = (
        f"the process ended with exit code {process.exitcode} and no report "
        "(-9: killed, often for lack of memory)"
    )
    if not isinstance(task, Job):
        return Event(number, "end", error=f"{title(task)}: {message}; run the command again")
    record = Record(
        id=task.training.id,
        status="failed",
        work=task.training,
        attention=attention_of(task.training),
        split_hash=None,
        provenance=provenance(settings.device, settings.threads),
        error=message,
    )
    if not store.done(task.training):
        store.save(record)
    return Event(number, "end", records=(record,))
