"""Runs tasks on the devices of this machine: a process for each, pinned to its device.

Each process has a pipe of its own, so none can block another, and a log of what it prints. A
process that uses more memory than `memory_limit` is ended before the system ends something else.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from ifc_bench.hardware.device import describe_device
from ifc_bench.measuring.isolation import CONTEXT, ending, start, uninterrupted
from ifc_bench.store import Store
from ifc_bench.sweep.executor import OUT_OF_MEMORY, Ending, Inbox, Slot
from ifc_bench.sweep.tasks import Event, Settings, Task, key_of

_GRACE_SECONDS = 20.0  # for a stopped training run to write its checkpoint
_END_SECONDS = 10.0  # for a process to exit after it has reported its end
_WATCH_SECONDS = 1.0  # from one look at the memory of the processes to the next
_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGHUP)  # exit codes
_SERVER_GONE = 255  # exit code of a process whose server has ended: it may still run
_LOADED = "ifc_bench.sweep.body"  # imported before a process is forked


class Local:
    """The executor of this machine's CPU or GPUs."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.settings = store, settings
        self.inbox: Inbox = queue.Queue()
        self.running: dict[int, BaseProcess] = {}
        self.reasons: dict[int, Ending] = {}  # of processes that were ended from here
        self._oom_kills = _oom_kills()

    def slots(self) -> tuple[Slot, ...]:
        each, threads = self.settings.devices_per_training, self.settings.threads
        devices = self.settings.devices
        if devices == ("cpu",):
            devices *= each
        groups = [devices[n : n + each] for n in range(0, len(devices) - each + 1, each)]
        memory = [describe_device(group[0], threads).memory_bytes for group in groups]
        places = [number % len(groups) for number in range(self.settings.workers)]
        return tuple(
            Slot(number, groups[place][0], memory[place], groups[place][1:])
            for number, place in enumerate(places)
        )

    def start(self, number: int, task: Task, slot: Slot, again: bool) -> None:
        here, there = CONTEXT.Pipe(duplex=False)
        self.reasons.pop(number, None)
        store = self.store.retrying("out_of_memory") if again else self.store
        with uninterrupted():
            given = (number, task, store, self.settings.on(slot.device, *slot.others), there)
            process = self.running[number] = start(_work, *given, loaded=_LOADED)
        there.close()
        for body in (self._read, self._watch):
            threading.Thread(target=body, args=(number, here, process), daemon=True).start()

    def release(self, number: int) -> None:
        process = self.running.pop(number)
        process.join(timeout=_END_SECONDS)
        process.kill()
        process.join()
        if process.exitcode == _SERVER_GONE:
            _kill_forked(process.pid)

    def ended(self, number: int) -> Ending:
        process = self.running[number]
        process.join(timeout=_END_SECONDS)
        code = process.exitcode
        self.release(number)
        if number in self.reasons:
            return self.reasons.pop(number)
        before, self._oom_kills = self._oom_kills, _oom_kills()
        if code == -signal.SIGKILL and self._oom_kills > before:
            return Ending("out_of_memory", "the system ended the process, as memory ran out")
        if code == OUT_OF_MEMORY:
            return Ending("out_of_memory", "a process of this training had no memory; see its log")
        outside = code in _FROM_OUTSIDE or code == _SERVER_GONE
        return Ending("killed" if outside else "failed", ending(code))

    def kill(self, number: int, why: Ending) -> None:
        self.reasons[number] = why
        _kill_all(self.running[number])

    def stop(self) -> Iterator[tuple[int, Event]]:
        for process in self.running.values():
            process.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in self.running.values():
            process.join(timeout=max(0.0, deadline - time.monotonic()))
            _kill_all(process)
            process.join()
        self.running.clear()
        while not self.inbox.empty():
            number, event = self.inbox.get()
            if event is not None:
                yield number, event

    def _read(self, number: int, channel: Connection, process: BaseProcess) -> None:
        """Forward the events of a process; None at its death. Runs in a thread: no pipe blocks."""
        ended = False
        with channel, suppress(EOFError, OSError):
            # Data loader processes may keep the pipe of a dead process open, so wait for both.
            while channel in wait([channel, process.sentinel]):
                event = channel.recv()
                ended = ended or event.stage == "end"
                if event.stage == "kept":  # by SIGTERM from outside, unless all are stopped
                    self.reasons.setdefault(number, Ending("killed", f"SIGTERM: {event.error}"))
                self.inbox.put((number, event))
        if not ended:
            self.inbox.put((number, None))

    def _watch(self, number: int, channel: Connection, process: BaseProcess) -> None:
        """End a process whose memory, with that of its own processes, is above the limit."""
        limit = self.settings.memory_limit
        while limit is not None and not wait([process.sentinel], timeout=_WATCH_SECONDS):
            used = _used_bytes(process.pid)
            if used > limit:
                message = (
                    f"{used / 2**30:.1f} GiB of memory, above --memory-limit {limit / 2**30:g}"
                )
                self.reasons[number] = Ending("out_of_memory", message)
                return _kill_all(process)


def _used_bytes(pid: int | None) -> int:
    """Host memory of a process and its own, such as data loaders; shared pages count once."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        every = [process, *process.children(recursive=True)]
        infos = [one.memory_full_info() for one in every]
        return sum(getattr(info, "pss", info.rss) for info in infos)
    return 0


def _kill_all(process: BaseProcess) -> None:
    """Kill a process and those that it started, such as data loaders; it may be stopped."""
    started: list[psutil.Process] = []
    with suppress(psutil.Error):
        started = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for one in started:
        with suppress(psutil.Error):
            one.kill()


def _kill_forked(pid: int | None) -> None:
    """Kill a process whose server has ended, if it is still there."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if "forkserver" in " ".join(process.cmdline()):
            process.kill()


def _oom_kills() -> int:
    """The processes that Linux has ended for lack of memory, on this machine or in this cgroup."""
    count = 0
    for path in (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events")):
        with suppress(OSError, ValueError):
            for line in path.read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(" ")
                count += int(value) if name == "oom_kill" else 0
    return count


def _work(number: int, task: Task, store: Store, settings: Settings, channel: Connection) -> None:
    """Run one task: the body of a process."""
    from ifc_bench.sweep.body import run_task
    from ifc_bench.sweep.training_group import group
    from ifc_bench.sweep.worker import Worker

    def send(event: Event) -> None:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        channel.send(event)  # a stop in the middle would leave half a message
        signal.pthread_sigmask(signal.SIG_SETMASK, held)

    log_to(store.log_path(key_of(task)))
    with group(task, store, settings) as (processes, here):

        def stoppable(worker: Worker) -> None:
            worker.processes = processes
            signal.signal(signal.SIGTERM, lambda *_: worker.stop())

        run_task(number, task, store, here, send, stoppable)


def log_to(path: Path) -> None:
    """Append what this process prints to a file, also what libraries print below Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    print(time.strftime("-- %Y-%m-%d %H:%M:%S"), f"process {os.getpid()}", flush=True)
