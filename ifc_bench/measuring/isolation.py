"""Fresh processes: how all of them are started, and what becomes of a function called in one.

On a processor the allocator of the C library gives large tensors back to the system when they are
freed, and the next one is faulted in again page by page. At T = 20 that was more than half of the
time of full attention, which a card's caching allocator never pays. So processes started here keep
what they freed, where that library is glibc; others ignore the settings.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ifc_bench.errors import UserError
from ifc_bench.models.own import let_import, named

CONTEXT = multiprocessing.get_context("spawn")
_ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",  # large tensors come from the heap
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),  # which never shrinks
    "KINETO_LOG_LEVEL": "99",  # torch's profiler reports its own starts
}


@dataclass(frozen=True)
class Died:
    """The process ended without an answer; `message` says how."""

    message: str


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What `function(*arguments)` gives in a process of its own.

    An exception there comes back as `Died` with its traceback, a killed process as `Died` as well.
    Ends with this process, however that ends.

    Raises:
        UserError: where `function` raised one.
    """
    here, there = CONTEXT.Pipe(duplex=False)
    started: list[SpawnProcess] = []
    try:
        with uninterrupted():
            started.append(start(_answer, there, function, arguments))
        there.close()
        answer = here.recv()
        started[0].join(timeout=10)
    except EOFError:
        started[0].join()
        return Died(ending(started[0].exitcode))
    finally:
        for process in started:
            process.kill()
            process.join()
    if isinstance(answer, UserError):
        raise answer
    return answer


def start(body: Callable[..., None], *arguments: Any) -> SpawnProcess:
    """A process that runs `body(*arguments)` and keeps its memory; what the user set stays.

    It ends with this one, for nobody would read its work. Interrupts are not for it: this process
    decides what they mean. What of the user's own was named here may be imported there.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # read when a process starts, so too late for this one
    # No daemon, for a daemon may have no loader processes of its own.
    process = CONTEXT.Process(target=_begin, args=(body, arguments, named()))
    # Inherited, so that an interrupt from the terminal cannot meet it before it ignores them.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
    return process


def ending(code: int | None) -> str:
    """Say in words what the exit code of a process means that gave no report."""
    if code is None or code >= 0:
        return f"the process ended with exit code {code} before its work was done"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    often = ", often for lack of memory" if -code == signal.SIGKILL else ""
    return f"the process was killed by {name}{often}"


@contextmanager
def measuring(waiting: Callable[[], None]) -> Iterator[None]:
    """Hold this machine for measuring: whoever else wants to measure here waits.

    One lock for a user of the machine, whatever results folder and device, because two
    measurements share its cores. `waiting` is called once where it must be waited for.
    """
    folder = Path(tempfile.gettempdir()) / f"ifc-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / "measuring.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let an interrupt wait until the block is over, so that what it starts is not lost half-way.

    Only the main thread is ever interrupted; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    usual = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _begin(body: Callable[..., None], arguments: tuple[Any, ...], own: tuple[str, ...]) -> None:
    let_import(own)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_parent, daemon=True).start()
    body(*arguments)


def _answer(channel: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        answer = function(*arguments)
    except UserError as error:
        answer = error
    except BaseException:
        answer = Died(traceback.format_exc())
    channel.send(answer)


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
