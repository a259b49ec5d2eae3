"""The command line. Every command reads its options, calls one function and prints the result."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, TextIO

from cyclopts import App, CycloptsError, UnusedCliTokensError

from ifc_bench.cli.app import COMMANDS, build_app
from ifc_bench.cli.renamed import respelled
from ifc_bench.errors import UserError, printable, printable_message, told

if TYPE_CHECKING:
    from ifc_bench.cli.recipes import Recipe, Recipes
    from ifc_bench.recipe import Preset

_INTERRUPTED = 130  # the exit code of shells after an interrupt
_READER_GONE = 141  # the exit code of shells after SIGPIPE


def main(
    tables: Mapping[str, Recipe],
    presets: Mapping[str, Preset],
    arguments: list[str] | None = None,
) -> int:
    """Run the command line; returns the exit code.

    1, 3: a command's findings (`compare`); 2: bad input; 130: interrupted; 141: standard output is
    a pipe that was closed.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # the order of NVML's indices
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # so that a terminal without ± prints tables too
    given, notes = respelled(sys.argv[1:] if arguments is None else arguments)
    recipes = partial(_recipes, tables, presets, given)
    code = _flushed(_answer(build_app(given), recipes, given, notes))
    if notes and code in (0, 1, 3):  # an error line has them already
        print("note:", "; ".join(notes), file=sys.stderr)
    return code


def _recipes(
    tables: Mapping[str, Recipe], presets: Mapping[str, Preset], given: Sequence[str]
) -> Recipes:
    """Import the recipes, for commands with a parameter for them; the others start faster."""
    from ifc_bench.cli.recipes import Recipes

    return Recipes(tables, presets, tuple(given))


def _answer(
    app: App, recipes: Callable[[], Recipes], given: Sequence[str], notes: Sequence[str]
) -> int:
    also = f" ({'; '.join(notes)})" if notes else ""
    try:
        _refuse_empty(given)
        command, bound, injected = app.parse_args(given, print_error=False, exit_on_error=False)
        injected_values = {name: recipes() for name in injected}
        found = command(*bound.args, **bound.kwargs, **injected_values)
        return found if isinstance(found, int) else 0
    except KeyboardInterrupt:
        kept = "stopped; finished work is kept, run the same command again to continue"
        return _fail(kept, _INTERRUPTED)
    except CycloptsError as error:
        return _fail(_usage(error, given) + also, 2)
    except UserError as error:
        return _fail(f"{error}{also}", 2)
    except OSError as error:
        return _refused(error)
    except SystemExit as error:
        return _left(error, given)
    except Exception as error:
        from ifc_bench.cli.own_code import told_with_place

        message = _out_of_memory(error) or told_with_place(error, given)
        if message is None:
            raise
        return _fail(message, 2)


def _refused(error: OSError) -> int:
    """Print an operating-system error, but not that of a closed pipe; returns the exit code."""
    if isinstance(error, BrokenPipeError):
        _discard(sys.stdout)
        return _READER_GONE
    if error.filename is None and (code := _flushed(0)):
        return code
    message = told(error)
    if message is None:
        raise error
    return _fail(message, 2)


def _left(error: SystemExit, given: Sequence[str]) -> int:
    """Handle sys.exit, called by rich or by a module of the user; returns the exit code."""
    if isinstance(error.__context__, BrokenPipeError):
        _discard(sys.stdout)
        return _READER_GONE
    from ifc_bench.cli.own_code import sys_exit_told

    return _fail(sys_exit_told(error, given), 2)


def _usage(error: CycloptsError, given: Sequence[str]) -> str:
    """Format an error of the options in one line."""
    if given[:1] == ["submit"]:
        return (
            f"{' '.join(given)}: submit was removed, because the servers are closed; check a file "
            "with data validate VIDEOS.json --predictions results.json"
        )
    if isinstance(error, UnusedCliTokensError):
        names = [name for group in COMMANDS.values() for name in group]
        unknown = " ".join(error.unused_tokens or ())
        return f"{unknown!r} is not a command or a value of one; the commands: {', '.join(names)}"
    message = " ".join(str(error).split())
    option = getattr(getattr(error, "argument", None), "name", "")
    return message if option in message else f"{option}: {message}"


def _out_of_memory(error: Exception) -> str | None:
    """Format an out-of-memory error; None for any other error."""
    if isinstance(error, MemoryError):
        return "out of memory; reduce the size of the work"
    if "torch" not in sys.modules:
        return None
    from ifc_bench.measuring.memory import asked_bytes, out_of_memory
    from ifc_bench.report.quantities import SPACE

    if not out_of_memory(error):
        return None
    requested = asked_bytes(error)
    size = f" ({SPACE.text(requested)} more requested)" if requested else ""
    return f"out of memory{size}; use smaller frames, a shorter window or another device"


def _refuse_empty(given: Sequence[str]) -> None:
    """Refuse empty arguments: as a directory, one would mean the working directory."""
    for before, value in pairwise(["", *given]):
        name, equals, content = value.partition("=")
        if value.startswith("--") and equals:
            before, value = name, content
        if not value.strip():
            what = before if before.startswith("-") else "an argument"
            raise UserError(f"{what}: {value!r} is empty (an unset variable?); leave it out")
        if "\0" in value:
            raise UserError(f"{value!r} has a NUL character, which no name can have")


def _fail(message: str, code: int) -> int:
    head, _, trace = message.partition("\n")
    lines = [printable_message(message)]
    if head == "internal error":
        lines = [head, *map(printable, trace.splitlines())]
    try:
        print("error:", "\n".join(lines), file=sys.stderr)
    except OSError:  # stderr is full or closed, so the message cannot be printed
        _discard(sys.stderr)
    return code


def _flushed(code: int) -> int:
    """Flush standard output; returns `code`, or another exit code if that fails."""
    if sys.stdout is None:  # closed on purpose: `>&-`
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
        return code or _READER_GONE
    except OSError as error:
        _discard(sys.stdout)
        why = (error.strerror or type(error).__name__).lower()
        return code or _fail(f"standard output: {why}; redirect it elsewhere", 2)
    return code


def _discard(stream: TextIO) -> None:
    """Redirect `stream` to the null device, so that Python's last flush does not fail at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
