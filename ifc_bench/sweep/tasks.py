"""Tasks of a sweep, the events that report them, and the order in which they can be done."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ifc_bench.config import AnyWork, Count, Evaluation, Profile, Training
from ifc_bench.records import Record
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Job, Plan, label

ExecutorName = Literal["local", "inline", "ray", "slurm"]
TAKEN = "taken by another runner"  # the stage of a task that waits for it
Task = Job | tuple[Profile, ...] | tuple[Count, ...]


@dataclass(frozen=True)
class Settings:
    """Resolved devices, threads per process, and tasks at a time.

    Attributes:
        devices: "cpu", or one or more "cuda:N"; tasks are spread over them.
        clips_at_once: clips of a batch in memory at a time; None for all that a process has.
        loaders: processes of each training that load a user's data; None for up to 4, of cores.
        address: of a Ray cluster; None starts one on this machine.
        checkpoints: fsspec address through which nodes of a Ray cluster share checkpoints; None:
            they all see the directories of the store.
        slurm: options of the jobs, "KEY=VALUE" each.
        memory_limit: bytes that a process may use on the host; None without a limit.
        devices_per_training: processes of a training, each with a device.
        time_limits: whether a piece that takes ten times its estimate is ended.
    """

    devices: tuple[str, ...]
    threads: int
    workers: int
    tensorboard: bool = False
    clips_at_once: int | None = None
    loaders: int | None = None
    executor: ExecutorName = "local"
    address: str | None = None
    checkpoints: str | None = None
    slurm: tuple[str, ...] = ()
    memory_limit: int | None = None
    devices_per_training: int = 1
    time_limits: bool = True

    @property
    def device(self) -> str:
        """The first device, which profiles and counts use."""
        return self.devices[0]

    def on(self, *devices: str) -> Settings:
        """The same settings for one task, on these devices."""
        return replace(self, devices=devices)


@dataclass(frozen=True)
class Event:
    """A report of a running task.

    `stage` is the current step, with `done` of `total` and in training the last `loss`; or "begin",
    with the next piece of `work`; "again", if a process died and another does the rest; "kept",
    after a request to stop, with what was kept in `error`; or "end". A `fatal` error concerns the
    machine and would stop every other task as well.
    """

    task: int
    stage: str
    done: int = 0
    total: int = 0
    loss: float | None = None
    records: tuple[Record, ...] = ()
    error: str | None = None
    work: AnyWork | None = None
    fatal: bool = False


@dataclass
class Outcome:
    """Failed pieces of work of a run, and the errors that stopped tasks.

    It keeps nothing of the others, because a sweep may have many thousands.
    """

    failures: list[Record] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Add the failures and the error of an event; equal errors of several tasks count once."""
        self.failures += [record for record in event.records if record.status != "ok"]
        if event.stage == "end" and event.error and event.error not in self.errors:
            self.errors.append(event.error)


def title(task: Task) -> str:
    """A short name for progress displays."""
    if isinstance(task, Job):
        return label(task.training) + (", kept weights" if task.kept else "")
    return "profiles" if isinstance(task[0], Profile) else "MACs"


def key_of(task: Task) -> str:
    """The name of a task's claim. All profiles of a device have one, and so have all counts."""
    if isinstance(task, Job):
        return task.key
    first = task[0]
    if isinstance(first, Profile):
        return f"profiles-{hashlib.sha256(first.device.encode()).hexdigest()[:8]}"
    return "counts"


def finished(task: Task, store: Store) -> bool:
    """Return whether nothing of a task is left, because another runner did it."""
    if isinstance(task, Job):
        return task.finished(store)
    return all(store.done(work) for work in task)


def stages(plan: Plan, store: Store) -> list[Callable[[], list[Task]]]:
    """Return the stages of `plan`, each to be called when the one before is done.

    Tasks of one stage may run at the same time, but for a training run and the one that it starts
    from (`ready`), which comes before it in the order. Profiles come last and alone.
    """
    return [
        lambda: [tuple(left)] if (left := plan.counts_left(store)) else [],
        lambda: list(plan.jobs(store)),
        lambda: [tuple(left)] if (left := _measurable(plan, store)) else [],
    ]


def ready(task: Task, pending: Collection[str]) -> bool:
    """Return whether no `pending` task, by its key, trains what a task starts from."""
    return not isinstance(task, Job) or task.start is None or task.start.id not in pending


def _measurable(plan: Plan, store: Store) -> list[Profile]:
    """Return profiles whose weights exist; a diverged training run leaves none."""
    left = plan.profiles_left(store)
    return [
        profile
        for profile in left
        if isinstance(profile.weights, Training)
        and (record := store.outcome(profile.weights)) is not None
        and record.status == "ok"
    ]


def rest_of(task: Task, died: AnyWork, store: Store) -> Task | None:
    """Return the part of `task` that is left for another process after one died at `died`."""
    if isinstance(task, Job):
        left = [e for e in task.evaluations if e.id != died.id and not store.done(e)]
        known = store.outcome(task.training)
        trained = isinstance(died, Evaluation) and known is not None and known.status == "ok"
        trained |= task.kept
        return replace(task, evaluations=tuple(left)) if left and trained else None
    rest = tuple(work for work in task if work.id != died.id and not store.done(work))
    return rest or None  # type: ignore[return-value]  # of the same kind as `task`


def do(worker: Any, task: Task) -> list[Record]:
    """Run one task, which this runner has claimed."""
    records: list[Record]
    if isinstance(task, Job):
        records = worker.job(task)
    elif isinstance(task[0], Profile):
        records = worker.profiles(list(task))
    else:
        records = worker.counts(list(task))
    return records
