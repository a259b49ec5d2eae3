"""Runs a plan under torchrun: all processes work on one training run at a time.

The first process plans, evaluates and writes records; the others only train. All must see the same
runs directory, because a stopped training run resumes from its checkpoint there. Profiles are left
for a process without this one's CUDA context (`alone_again`).
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import NoReturn

import torch.distributed as dist

from ifc_bench.errors import Stopped
from ifc_bench.store import Store
from ifc_bench.sweep.claims import Claims
from ifc_bench.sweep.plan import Job, Plan
from ifc_bench.sweep.tasks import Event, Outcome, Settings, Task, do, finished, key_of, stages
from ifc_bench.sweep.worker import Worker
from ifc_bench.training.processes import join, leave

_OF_TORCHRUN = re.compile(r"(LOCAL_|GROUP_)?(RANK|WORLD_SIZE)$|(GROUP|ROLE|MASTER|TORCHELASTIC)_")
_LOOK_SECONDS = 2.0  # from one look at the claims of other runners to the next


def first_process() -> bool:
    """Return whether this process is the one that prints and writes records."""
    return os.environ.get("RANK", "0") == "0"


def run_together(
    plan: Plan, store: Store, settings: Settings, progress: Callable[[Task, Event], None]
) -> Outcome:
    """Do the remaining work of `plan`, each training run on all processes.

    On a failure torchrun ends every process. Existing records are kept, and the same command
    resumes; what has failed comes last then. A signal to stop leaves a checkpoint.

    Raises:
        KeyboardInterrupt: in every process, after such a signal.
    """
    processes, device = join(settings.device)
    outcome = Outcome()
    current: list[Task] = []

    def report(stage: str, done: int, total: int, loss: float | None = None) -> None:
        if processes.first:
            progress(current[0], Event(0, stage, done, total, loss))

    worker = Worker(store, device, settings.threads, report, settings.tensorboard, processes)
    worker.clips_at_once, worker.loaders = settings.clips_at_once, settings.loaders
    worker.prepare()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda *_: worker.stop())
    with Claims(store.claims()) if processes.first else nullcontext() as claims:
        for stage in stages(plan, store)[:-1]:
            shared: list[list[Task]] = [_failed_last(stage(), store)]
            # One plan for all processes, even if their views of the store differ.
            dist.broadcast_object_list(shared)
            for number, task in enumerate(shared[0]):
                current[:] = [task]
                ours = [claims is None or _claimed(claims, task, store)]
                dist.broadcast_object_list(ours)
                if not ours[0]:
                    if processes.first:
                        progress(task, Event(number, "end"))
                    continue
                with _told(partial(progress, task), number):
                    records = do(worker, task)
                processes.wait()
                if claims is not None:
                    claims.release(key_of(task))
                    ended = Event(number, "end", records=tuple(records))
                    outcome.add(ended)
                    progress(task, ended)
    leave()
    return outcome


@contextmanager
def _told(tell: Callable[[Event], None], number: int) -> Iterator[None]:
    """Report a stopped task, in the first process, and stop the rest."""
    try:
        yield
    except Stopped as stopped:
        if first_process():
            tell(Event(number, "kept", error=str(stopped)))
        raise KeyboardInterrupt from None


def alone_again() -> NoReturn:
    """Replace this process by the same command without torchrun, and without a CUDA context."""
    ours = {name: value for name, value in os.environ.items() if not _OF_TORCHRUN.match(name)}
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], ours)


def _failed_last(tasks: list[Task], store: Store) -> list[Task]:
    """Put training runs that failed before last, except for those that others start from."""
    starts = {task.start.id for task in tasks if isinstance(task, Job) and task.start is not None}

    def late(task: Task) -> bool:
        if not isinstance(task, Job) or task.training.id in starts:
            return False
        known = store.outcome(task.training)
        return known is not None and known.status == "failed"

    return sorted(tasks, key=late)


def _claimed(claims: Claims, task: Task, store: Store) -> bool:
    """Wait until a task can be claimed; False if another runner has done it by then."""
    while not claims.take(key_of(task)):
        time.sleep(_LOOK_SECONDS)
    if finished(task, store):
        claims.release(key_of(task))
        return False
    return True
