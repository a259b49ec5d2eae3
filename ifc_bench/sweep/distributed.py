"""Runs a plan under torchrun: all processes work on one training run at a time.

The first process plans, evaluates, measures and writes records; the others only train. All must
see the same runs directory, because a stopped training run resumes from its checkpoint there.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch.distributed as dist

from ifc_bench.store import Store
from ifc_bench.sweep.executors import Event, Outcome, Settings, Task, do, stages
from ifc_bench.sweep.plan import Plan
from ifc_bench.sweep.worker import Worker
from ifc_bench.training.processes import join


def first_process() -> bool:
    """Return whether this process is the one that prints and writes records."""
    return os.environ.get("RANK", "0") == "0"


def run_together(
    plan: Plan, store: Store, settings: Settings, progress: Callable[[Task, Event], None]
) -> Outcome:
    """Do the remaining work of `plan`, each training run on all processes.

    On a failure torchrun ends every process. Existing records are kept, and the same command
    resumes.
    """
    processes, device = join(settings.device)
    outcome = Outcome()
    current: list[Task] = []

    def report(stage: str, done: int, total: int) -> None:
        if processes.first:
            progress(current[0], Event(0, stage, done, total))

    worker = Worker(store, device, settings.threads, report, settings.tensorboard, processes)
    worker.prepare()
    for stage in stages(plan, store):
        shared: list[list[Task]] = [stage()]
        # One plan for all processes, even if their views of the store differ.
        dist.broadcast_object_list(shared)
        for number, task in enumerate(shared[0]):
            current[:] = [task]
            records = do(worker, task, store)
            processes.wait()
            if processes.first:
                ended = Event(number, "end", records=tuple(records))
                outcome.add(ended)
                progress(task, ended)
    dist.destroy_process_group()
    return outcome
