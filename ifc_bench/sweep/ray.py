"""Runs tasks on a Ray cluster. Scheduling on nodes, and doing lost work again, is Ray's.

A training that another node goes on with resumes from its checkpoint. So every node must see the
results and runs directories at the same path, or an address where checkpoints are kept (`mirror`).
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ifc_bench.errors import UserError, first_line, told
from ifc_bench.models.own import let_import, named
from ifc_bench.store import Store
from ifc_bench.sweep.executor import Ending, Inbox, Slot
from ifc_bench.sweep.local import log_to
from ifc_bench.sweep.mirror import Keeper, Mirror, Parcel, store_of_node
from ifc_bench.sweep.plan import Job
from ifc_bench.sweep.tasks import Event, Settings, Task, key_of

_RETRIES = 3  # of a task whose node or process was lost
_LOOK_SECONDS = 0.5  # from one look at the running tasks to the next
_ANSWER_SECONDS = 10.0
_GRACE_SECONDS = 20.0  # for stopped training runs to write their checkpoints


class Ray:
    """The executor of a Ray cluster: a GPU for each process of a task, or `threads` cores.

    Raises:
        UserError: if Ray is not installed, or no cluster answers at the address.
    """

    def __init__(self, store: Store, settings: Settings) -> None:
        self.ray = connected(settings)
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.store, self.settings = store, settings
        if not self.slots():
            wanted = f"{self._each} GPUs" if self._gpus else f"{self._cores} cores"
            raise UserError(
                f"--executor ray: no node of the cluster has {wanted}; add one, or choose another "
                "--device or --threads"
            )
        self.mirror = None if settings.checkpoints is None else Mirror(settings.checkpoints)
        self.jobs: dict[int, Job] = {}
        self.inbox: Inbox = queue.Queue()
        node = self.ray.get_runtime_context().get_node_id()
        here = NodeAffinitySchedulingStrategy(node_id=node, soft=False)  # no lost node has it
        self.reports = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self.references: dict[Any, int] = {}
        self.endings: dict[int, Ending] = {}
        self._changing, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def slots(self) -> tuple[Slot, ...]:
        kind, each = ("GPU", self._each) if self._gpus else ("CPU", self._cores)
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        count = sum(int(node.get(kind, 0) // each) for node in nodes)
        return tuple(Slot(number, f"ray {number}") for number in range(count))

    @property
    def _gpus(self) -> bool:
        return self.settings.device != "cpu"

    @property
    def _each(self) -> int:
        """Processes of a training run, each with a GPU or with `threads` cores."""
        return self.settings.devices_per_training

    @property
    def _cores(self) -> int:
        return self._each * self.settings.threads

    def start(self, number: int, task: Task, slot: Slot, again: bool) -> None:
        store = self.store.retrying("out_of_memory") if again else self.store
        # A fresh process for each task, so that GPU memory is given back.
        remote = self.ray.remote(max_calls=1)(_task).options(
            num_gpus=self._each if self._gpus else 0,
            num_cpus=0 if self._gpus else self._cores,
            max_retries=_RETRIES,
        )
        parcel = Parcel()
        if self.mirror is not None and isinstance(task, Job):
            self.jobs[number] = task
            try:
                parcel = self.mirror.offer(task, store)
            except UserError as error:
                return self.inbox.put((number, Event(number, "end", error=str(error))))
        parcel = replace(parcel, modules=named())
        seen = store.elsewhere(store.results.resolve(), store.runs.resolve())  # by every node
        given = (number, task, seen, self.settings)
        with self._changing:
            self.references[remote.remote(*given, self.reports, parcel)] = number

    def release(self, number: int) -> None:
        """Ray has released the task's resources already."""

    def ended(self, number: int) -> Ending:
        return self.endings.pop(number)

    def kill(self, number: int, why: Ending) -> None:
        for reference, other in self._running().items():
            if other == number:
                self.endings[number] = why
                self.ray.cancel(reference, force=True)

    def stop(self) -> Iterator[tuple[int, Event]]:
        for reference in self._running():
            self.ray.cancel(reference, force=False)  # an interrupt: it writes a checkpoint
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._running() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        for reference in self._running():
            self.ray.cancel(reference, force=True)
        self._over.set()
        self._thread.join()
        self.reports.shutdown()
        while not self.inbox.empty():
            number, event = self.inbox.get()
            if event is not None:
                yield number, event

    def _running(self) -> dict[Any, int]:
        with self._changing:
            return dict(self.references)

    def _follow(self) -> None:
        """Pass on reports and ends. Runs in a thread until the executor is stopped."""
        while not self._over.wait(0 if self._running() else _LOOK_SECONDS):
            references = self._running()
            done = []
            if references:
                done, _ = self.ray.wait(list(references), timeout=_LOOK_SECONDS)
            with suppress(Exception):  # the queue's process may be gone with its node
                for event in self.reports.get_nowait_batch(self.reports.qsize()):
                    self.inbox.put((event.task, event))
            for reference in done:
                self._end(reference, references[reference])

    def _end(self, reference: Any, number: int) -> None:
        event: Event | None = None
        try:
            event = self.ray.get(reference)
            if event is not None and self.mirror is not None:
                event = self._brought(self.mirror, self.jobs[number], event)
        except self.ray.exceptions.OutOfMemoryError as error:
            self.endings.setdefault(number, Ending("out_of_memory", first_line(error)))
        except self.ray.exceptions.RayError as error:
            self.endings.setdefault(number, Ending("killed", first_line(error)))
        with self._changing:
            del self.references[reference]
        self.inbox.put((number, event))
        if event is not None and event.stage == "kept":  # stopped from outside, or by `stop`
            self.endings.setdefault(number, Ending("killed", f"stopped: {event.error}"))
            self.inbox.put((number, None))

    def _brought(self, mirror: Mirror, job: Job, event: Event) -> Event:
        """Save what a node without our directories made: its records, and the checkpoint."""
        try:
            for record in event.records:
                self.store.save(record)
            if not job.kept:
                mirror.fetch(job.training, self.store)
        except UserError as error:
            return replace(event, error=event.error or str(error))
        except OSError as error:  # of this machine's disk
            return replace(event, error=told(error) or first_line(error), fatal=True)
        return event


def connected(settings: Settings) -> Any:
    """Connect to the cluster, or start one on this machine, and return the package.

    Raises:
        UserError: if Ray is not installed, or no cluster answers at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(
            "--executor ray: the package ray is not installed; pip install 'ifc-bench[ray]'"
        ) from None
    if ray.is_initialized():
        return ray
    _refuse_silent(settings.address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "warning"}
    try:
        if settings.address is None:
            count = settings.workers * settings.threads
            ray.init(num_cpus=count, include_dashboard=False, **quiet)
        else:
            ray.init(address=settings.address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--address: {settings.address!r}: no Ray cluster answers ({first_line(error)}); "
            "start one with `ray start --head`"
        ) from None
    return ray


def _refuse_silent(address: str | None) -> None:
    """Refuse "HOST:PORT" where nothing answers: Ray would try for minutes, then exit.

    Raises:
        UserError: if nothing answers there.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not (host and port.isascii() and port.isdigit()):
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--address: {address!r}: no Ray cluster answers ({first_line(error)}); start one "
            "with `ray start --head`"
        ) from None


def _task(
    number: int,
    task: Task,
    store: Store,
    settings: Settings,
    reports: Any,
    parcel: Parcel,
) -> Event:
    """Run one task and return its last event: the body of a Ray task."""
    import ray

    from ifc_bench.sweep.body import run_task
    from ifc_bench.sweep.training_group import group
    from ifc_bench.sweep.worker import Worker

    let_import(parcel.modules)
    keeper = None
    if isinstance(task, Job) and settings.checkpoints is not None:
        mirror, node = Mirror(settings.checkpoints), ray.get_runtime_context().get_node_id()
        store, keeper = store_of_node(node, settings.checkpoints, store), Keeper(mirror)
        try:
            mirror.take(parcel, task, store)
        except UserError as error:
            return Event(number, "end", error=str(error))
    log_to(store.log_path(key_of(task)))
    gpus = len(ray.get_gpu_ids())  # Ray shows a task its own alone
    devices = [f"cuda:{n}" for n in range(gpus)] or ["cpu"] * settings.devices_per_training
    last: list[Event] = []

    def send(event: Event) -> None:
        last[:] = [event]
        if event.stage not in ("end", "kept"):
            with suppress(ray.exceptions.RayError):  # a report may be lost, the work may not
                reports.put_nowait(event)

    def stoppable(worker: Worker) -> None:
        worker.saved, worker.processes = keeper, processes
        signal.signal(signal.SIGINT, lambda *_: worker.stop())

    with group(task, store, settings.on(*devices)) as (processes, here):
        run_task(number, task, store, here, send, stoppable)
    try:
        if keeper is not None:
            keeper.close()
    except UserError as error:
        return replace(last[0], error=last[0].error or str(error))
    return last[0]
