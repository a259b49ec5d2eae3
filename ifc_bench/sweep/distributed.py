"""Runs a plan with all processes that torchrun started on one training at a time.

The first process plans, evaluates, measures and writes records; the others train with it. All
must see the same runs folder, for a stopped training goes on from the checkpoint there.
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
    """Whether this process is the one that speaks and writes."""
    return os.environ.get("RANK", "0") == "0"


def run_together(
    plan: Plan, store: Store, settings: Settings, tell: Callable[[Task, Event], None]
) -> Outcome:
    """Do all that `plan` still needs, each training on all processes.

    A failure ends every process (torchrun sees to that); what has a record is kept, and the same
    command goes on.
    """
    processes, device = join(settings.device)
    outcome = Outcome()
    current: list[Task] = []

    def report(stage: str, done: int, total: int) -> None:
        if processes.first:
            tell(current[0], Event(0, stage, done, total))

    worker = Worker(store, device, settings.threads, report, settings.tensorboard, processes)
    worker.prepare()
    for stage in stages(plan, store):
        shared: list[list[Task]] = [stage()]
        dist.broadcast_object_list(shared)  # one plan for all, whatever each sees of the store
        for number, task in enumerate(shared[0]):
            current[:] = [task]
            records = do(worker, task, store)
            processes.wait()
            if processes.first:
                ended = Event(number, "end", records=tuple(records))
                outcome.add(ended)
                tell(task, ended)
    dist.destroy_process_group()
    return outcome
