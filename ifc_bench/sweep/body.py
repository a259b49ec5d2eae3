"""The body of a process: one task, with every way in which it can end reported."""

from __future__ import annotations

import traceback
from collections.abc import Callable

# Deterministic algorithms import it, which would take seconds in each process of a sweep; here it
# is imported by the process that they are forked from.
import torch._inductor  # noqa: F401

from ifc_bench.errors import NO_SPACE, Stopped, UserError, first_line, told
from ifc_bench.measuring.memory import out_of_memory
from ifc_bench.store import Store
from ifc_bench.sweep.tasks import Event, Settings, Task, do, title
from ifc_bench.sweep.worker import Worker

_EVERY = 200  # up to so many steps each one is reported, beyond it every tenth


def run_task(
    number: int,
    task: Task,
    store: Store,
    settings: Settings,
    send: Callable[[Event], None],
    started: Callable[[Worker], None] = lambda worker: None,
) -> None:
    """Do one task on the device of `settings`; `send` gets its events, the last one being its end.

    `started` gets the worker before any work, to be able to stop it.
    """

    def progress(stage: str, done: int, total: int, loss: float | None = None) -> None:
        if total <= _EVERY or done % 10 == 0 or done == total:
            send(Event(number, stage, done, total, loss))

    worker = Worker(
        store, settings.device, settings.threads, progress, tensorboard=settings.tensorboard
    )
    worker.begin = lambda work: send(Event(number, "begin", work=work))
    worker.clips_at_once, worker.loaders = settings.clips_at_once, settings.loaders
    started(worker)
    try:
        worker.prepare()
        send(Event(number, "end", records=tuple(do(worker, task))))
    except Stopped as stopped:
        send(Event(number, "kept", error=str(stopped)))
    except UserError as error:
        send(Event(number, "end", error=str(error)))
    except Exception as error:
        if worker.failed is not None and worker.processes.count > 1:  # the others end with this one
            return send(Event(number, "end", records=(worker.failed,)))
        known = told(error) if isinstance(error, OSError) else None
        if out_of_memory(error):
            known = f"{title(task)}: out of memory ({first_line(error)}); lower --workers"
        message = known or f"internal error\n{traceback.format_exc()}"
        full = isinstance(error, OSError) and error.errno in NO_SPACE
        send(Event(number, "end", error=message, fatal=full))
