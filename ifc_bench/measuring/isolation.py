"""Spawns worker processes, and runs one function in a fresh process.

On a CPU, the C library returns the memory of freed large tensors to the system, and the next one is
faulted in again page by page. At T = 20 this took more than half of the time of full attention. A
GPU's caching allocator has no such cost. Processes started here therefore keep freed memory if the
C library is glibc; others ignore the settings.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from filelock import FileLock, Timeout

from ifc_bench.errors import UserError
from ifc_bench.file_io import user_directory
from ifc_bench.models.own import let_import, named

CONTEXT = multiprocessing.get_context("spawn")
_ATTEMPTS, _PAUSE_SECONDS = 3, 1.0  # to start a process, whose server may have been killed
_FOR_THE_PARENT = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT}
_ENVIRONMENT = {
    "MALLOC_MMAP_MAX_": "0",  # large tensors come from the heap
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),  # which never shrinks
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # the same workspaces, and so peaks, in all that runs
    "KINETO_LOG_LEVEL": "99",  # torch's profiler would log its own starts
}


@dataclass(frozen=True)
class Died:
    """The process ended without a result; `message` is a traceback or its exit code.

    `killed`: SIGKILL or SIGABRT ended it, as the kernel or a library does when memory runs out.
    """

    message: str
    killed: bool = False


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run `function(*arguments)` in a fresh process and return its result.

    An exception is returned as `Died` with its traceback, a killed process as `Died` as well. The
    process ends with this one, however this one ends.

    Raises:
        UserError: if `function` raised one.
    """
    here, there = CONTEXT.Pipe(duplex=False)
    started: list[BaseProcess] = []
    try:
        with uninterrupted():
            started.append(start(_answer, there, function, arguments))
        there.close()
        answer = here.recv()
        started[0].join(timeout=10)
    except EOFError:
        started[0].join()
        code = started[0].exitcode
        return Died(ending(code), killed=code in (-signal.SIGKILL, -signal.SIGABRT))
    finally:
        for process in started:
            process.kill()
            process.join()
    if isinstance(answer, UserError):
        raise answer
    return answer


def start(body: Callable[..., None], *arguments: Any, loaded: str | None = None) -> BaseProcess:
    """Start a process that runs `body(*arguments)` and keeps freed memory.

    Environment variables that the user has set stay. The process ends with this one, because its
    results would be lost. It ignores interrupts, which this process handles. It may import the same
    modules of the user as this process. With `loaded`, a module, it is forked from a process that
    has imported this module and done nothing else, which saves the seconds that torch takes.

    Raises:
        UserError: if that process ended while it imported, three times.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # read when a process starts, so too late for this one
    given = (body, arguments, named(), dict(os.environ))
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS)  # while a server ends, it still takes requests
        # Not a daemon, because a daemon cannot start data loader processes.
        if loaded is None:
            process: BaseProcess = CONTEXT.Process(target=_begin, args=given)
        else:
            server = multiprocessing.get_context("forkserver")
            server.set_forkserver_preload([loaded])
            process = server.Process(target=_begin, args=given)
        # The process inherits the mask, so no signal reaches it before it handles them; a server of
        # processes keeps it, as SIGTERM to the whole group must not end it before them.
        resource_tracker.ensure_running()  # before: its start would let the signals through again
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_PARENT)
        try:
            process.start()
            return process
        except (EOFError, ConnectionError):  # the server ended; the next start begins another
            continue
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
    raise UserError(
        f"processes: none could be started; does `{sys.executable} -c 'import torch'` work?"
    )


def ending(code: int | None) -> str:
    """Describe the exit code of a process that ended without a report."""
    if code is None or code >= 0:
        return f"the process ended with exit code {code} before its work was done"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    often = ", often for lack of memory" if -code == signal.SIGKILL else ""
    return f"the process was killed by {name}{often}"


@contextmanager
def measuring(waiting: Callable[[], None]) -> Iterator[None]:
    """Lock this machine for measuring; other runners wait.

    There is one lock per user of the machine, for all results directories and devices, because two
    measurements share its cores. `waiting` is called once if another runner holds the lock.
    """
    lock = FileLock(user_directory() / "measuring.lock")
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
    """Delay interrupts until the end of the block, so that a process that it starts is not lost.

    Only the main thread receives interrupts; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    usual = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in _FOR_THE_PARENT
    }
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)


def _begin(
    body: Callable[..., None],
    arguments: tuple[Any, ...],
    own: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    os.environ.update(environment)  # a server has that of its own start
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    let_import(own)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_PARENT)
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
