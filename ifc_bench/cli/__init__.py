"""The command line. Every command reads its options, calls one function and prints."""

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

_INTERRUPTED = 130  # what shells expect after an interrupt
_READER_GONE = 141  # what shells call the end by SIGPIPE


def main(
    tables: Mapping[str, Recipe],
    presets: Mapping[str, Preset],
    arguments: list[str] | None = None,
) -> int:
    """Run the command line; returns the exit code.

    2: bad input; 130: interrupted; 141: the reader of standard output has gone.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # so that CUDA counts as NVML does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no ± still gets its table
    given, notes = respelled(sys.argv[1:] if arguments is None else arguments)
    recipes = partial(_recipes, tables, presets)
    code = _flushed(_answer(build_app(given), recipes, given, notes))
    if notes and code in (0, 1):  # an error tells them in its own line
        print("note:", "; ".join(notes), file=sys.stderr)
    return code


def _recipes(tables: Mapping[str, Recipe], presets: Mapping[str, Preset]) -> Recipes:
    """For the commands that ask for them; the others start faster without."""
    from ifc_bench.cli.recipes import Recipes

    return Recipes(tables, presets)


def _answer(
    app: App, recipes: Callable[[], Recipes], given: Sequence[str], notes: Sequence[str]
) -> int:
    also = f" ({'; '.join(notes)})" if notes else ""
    try:
        _refuse_empty(given)
        command, bound, injected = app.parse_args(given, print_error=False, exit_on_error=False)
        asked = {name: recipes() for name in injected}
        found = command(*bound.args, **bound.kwargs, **asked)
        return found if isinstance(found, int) else 0
    except KeyboardInterrupt:
        kept = "stopped; what was finished is kept, the same command goes on from here"
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
    """The exit code where the system refuses; the reader of a pipe that has gone needs no word."""
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
    """The exit code where something called sys.exit: rich, or a module of the user's."""
    if isinstance(error.__context__, BrokenPipeError):
        _discard(sys.stdout)
        return _READER_GONE
    from ifc_bench.cli.own_code import sys_exit_told

    return _fail(sys_exit_told(error, given), 2)


def _usage(error: CycloptsError, given: Sequence[str]) -> str:
    """The fault of the options, in one line."""
    if given[:1] == ["submit"]:
        return (
            f"{' '.join(given)}: submit has gone, for the servers are closed; data validate "
            "VIDEOS.json --predictions results.json checks a file"
        )
    if isinstance(error, UnusedCliTokensError):
        names = [name for group in COMMANDS.values() for name in group]
        unknown = " ".join(error.unused_tokens or ())
        return f"{unknown!r} is no command and no value of one; the commands: {', '.join(names)}"
    message = " ".join(str(error).split())
    option = getattr(getattr(error, "argument", None), "name", "")
    return message if option in message else f"{option}: {message}"


def _out_of_memory(error: Exception) -> str | None:
    """What to say where memory ran out; None for any other error."""
    if isinstance(error, MemoryError):
        return "memory is not enough for what was asked for; ask for less"
    if "torch" not in sys.modules:
        return None
    from ifc_bench.measuring.memory import asked_bytes, out_of_memory

    if not out_of_memory(error):
        return None
    asked = asked_bytes(error)
    size = f" ({asked / 1e9:.1f} GB more)" if asked else ""
    return (
        f"memory is not enough for what was asked for{size}; ask for smaller frames, a shorter "
        "window or another device"
    )


def _refuse_empty(given: Sequence[str]) -> None:
    """No argument is empty: as a directory it would be this one, as a name everything."""
    for before, value in pairwise(["", *given]):
        name, equals, content = value.partition("=")
        if value.startswith("--") and equals:
            before, value = name, content
        if not value.strip():
            what = before if before.startswith("-") else "an argument"
            raise UserError(f"{what}: {value!r} is empty (an unset variable?); leave it out")
        if "\0" in value:
            raise UserError(f"{value!r} holds a NUL character, which no name can")


def _fail(message: str, code: int) -> int:
    head, _, trace = message.partition("\n")
    lines = [printable_message(message)]
    if head == "internal error":
        lines = [head, *map(printable, trace.splitlines())]
    try:
        print("error:", "\n".join(lines), file=sys.stderr)
    except OSError:  # full or closed, so nobody can be told
        _discard(sys.stderr)
    return code


def _flushed(code: int) -> int:
    """`code`, or another where standard output cannot take what was printed."""
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
        return code or _fail(f"standard output: {why}; send it elsewhere", 2)
    return code


def _discard(stream: TextIO) -> None:
    """Let Python's last flush of `stream` succeed: it would complain and change the exit code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
