"""Calls a function in a fresh process, and takes what becomes of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ifc_bench.errors import UserError


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
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler reports its own starts
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_body, args=(there, function, arguments))
    process.start()
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
