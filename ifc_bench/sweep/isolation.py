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
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from ifc_bench.errors import UserError

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
    process = start(_body, there, function, arguments)
    there.close()
    try:
        answer = here.recv()
    except EOFError:
        process.join()
        return Died(
            f"the process ended with exit code {process.exitcode} and no report "
            "(-9: killed, often for lack of memory)"
        )
    finally:
        if process.is_alive():
            process.join(timeout=10)
        process.kill()
        process.join()
    if isinstance(answer, UserError):
        raise answer
    return answer


def start(body: Callable[..., None], *arguments: Any) -> SpawnProcess:
    """A process that runs `body(*arguments)` and keeps its memory; what the user set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # read when a process starts, so too late for this one
    # No daemon, for a daemon may have no loader processes of its own.
    process = CONTEXT.Process(target=body, args=arguments)
    process.start()
    return process


def end_with_parent() -> None:
    """Let this process end when the one that started it does; nobody would read its work."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _body(channel: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    end_with_parent()
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
