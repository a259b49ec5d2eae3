"""One training on several devices of this machine: the processes of a group, as under torchrun.

The first process is the task's own; it starts the others, which only train. If one of them ends
badly, the first one ends as well, because it would wait for it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from ifc_bench.errors import Stopped
from ifc_bench.measuring.isolation import start
from ifc_bench.store import Store
from ifc_bench.sweep.executor import OUT_OF_MEMORY
from ifc_bench.sweep.plan import Job
from ifc_bench.sweep.tasks import Settings
from ifc_bench.training.processes import ALONE, Processes, join, leave

_HERE = "127.0.0.1"


@contextmanager
def group(task: object, store: Store, settings: Settings) -> Iterator[tuple[Processes, Settings]]:
    """Start the other processes of a training; yields this one's rank, and its own settings."""
    count = len(settings.devices)
    if count == 1 or not isinstance(task, Job) or task.kept:
        yield ALONE, settings.on(settings.device)
        return
    port = _free_port()
    others = [start(_train, rank, count, port, task, store, settings) for rank in range(1, count)]
    threading.Thread(target=_end_with, args=(others,), daemon=True).start()
    processes, device = _joined(0, count, port, settings.devices)
    try:
        yield processes, settings.on(device)
    finally:
        leave()


def _train(rank: int, count: int, port: int, task: Job, store: Store, settings: Settings) -> None:
    """Train with the others: the body of every process but the first."""
    from ifc_bench.sweep.worker import Worker

    processes, device = _joined(rank, count, port, settings.devices)
    worker = Worker(store, device, settings.threads, lambda *_: None, processes=processes)
    worker.clips_at_once, worker.loaders = settings.clips_at_once, settings.loaders
    worker.prepare()
    # A signal to the whole group of processes, as from SLURM, comes here too.
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    try:
        worker.job(task)
    except Stopped:
        pass  # the first process stops after the same iteration, and reports it
    except Exception:
        if worker.failed is not None and worker.failed.status == "out_of_memory":
            os._exit(OUT_OF_MEMORY)
        raise
    leave()


def _joined(rank: int, count: int, port: int, devices: Sequence[str]) -> tuple[Processes, str]:
    """Join the group as one of its processes."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count), MASTER_ADDR=_HERE,
        MASTER_PORT=str(port),
    )  # fmt: skip
    if devices[0] != "cpu":  # the group's GPUs are cuda:0, cuda:1, ... to its processes
        known = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = known.split(",") if known else None
        places = [int(device.partition(":")[2]) for device in devices]
        shown = [names[place] if names else str(place) for place in places]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(shown)
    return join("cpu" if devices[0] == "cpu" else "cuda:0")


def _free_port() -> int:
    with socket.socket() as held:
        held.bind((_HERE, 0))
        port: int = held.getsockname()[1]
        return port


def _end_with(others: Sequence[BaseProcess]) -> None:
    """End this process when another one of the group ends badly. Runs in a thread."""
    left = {process.sentinel: process for process in others}
    while left:
        for sentinel in wait(list(left)):
            process = left.pop(sentinel)  # type: ignore[arg-type]  # sentinels are integers
            process.join()
            if process.exitcode:
                print(f"process {process.pid} of this training ended with {process.exitcode}")
                os._exit(OUT_OF_MEMORY if process.exitcode == OUT_OF_MEMORY else 1)
