"""The command line. Every command reads its options, calls one function and prints."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TextIO

import typer

from ifc_bench.cli import (
    comparing,
    counting,
    datasets,
    fitting,
    health,
    inspecting,
    predicting,
    profiling,
    scoring,
    submitting,
    sweeping,
)
from ifc_bench.cli.options import Choice, Machine
from ifc_bench.cli.own_code import sys_exit_told, told_with_place
from ifc_bench.cli.recipes import Recipe, Recipes
from ifc_bench.cli.repetition import repeated
from ifc_bench.errors import UserError, printable, printable_message, told
from ifc_bench.recipe import Preset

# typer carries click inside itself and exports only some of its errors; this is their base.
_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt, and what shells expect
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
    stdout = sys.stdout
    try:
        code = _answer(_app(Recipes(tables, presets)), arguments)
    finally:
        sys.stdout = stdout  # typer puts another there when the reader has gone
    return _flushed(code)


def _answer(app: typer.Typer, arguments: list[str] | None) -> int:
    command = typer.main.get_command(app)
    given = repeated(command, sys.argv[1:] if arguments is None else arguments)
    try:
        _refuse_empty(given)
        code = command.main(given, prog_name="run_ablations.py", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except _USAGE_ERROR as error:
        usage = " ".join(error.format_message().split()).replace("Value error, ", "")
        return _fail(usage + _known_to(error) + _given_to(error, given), 2)
    except UserError as error:
        return _fail(str(error), 2)
    except OSError as error:
        if error.filename is None and (code := _flushed(0)):
            return code
        message = told(error)
        if message is None:
            raise
        return _fail(message, 2)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):
            return _READER_GONE
        return _fail(sys_exit_told(error, given), 2)
    except Exception as error:
        message = _out_of_memory(error) or told_with_place(error, given)
        if message is None:
            raise
        return _fail(message, 2)
    if code == _INTERRUPTED:
        return _fail("stopped; what was finished is kept, the same command goes on from here", code)
    return code if isinstance(code, int) else 0


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
    """No argument is empty: as a folder it would be this one, as a name everything."""
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


def _known_to(error: Any) -> str:
    """The commands of the group that `error` is about, where a command is missing or not known."""
    known = getattr(getattr(error.ctx, "command", None), "commands", {})
    return f" {error.ctx.command_path} has: {', '.join(known)}" if known else ""


def _given_to(error: Any, given: Sequence[str]) -> str:
    """The values of the option that `error` is about, where its message does not tell them."""
    names = getattr(getattr(error, "param", None), "opts", ())
    values = [value for name, value in pairwise(given) if name in names]
    values += [
        text[len(name) + 1 :] for text in given for name in names if text.startswith(f"{name}=")
    ]
    told = ", ".join(repr(value) for value in values)
    return f"; given: {told}" if told and told not in error.message else ""


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


def _app(recipes: Recipes) -> typer.Typer:
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Ablations of IFC: what communication between frames brings, and what it costs.\n\n"
        "Without a command, the default job runs: the quick preset's tables.\n\n"
        "Example: python run_ablations.py run table3a --preset quick --seeds 2",
    )

    @app.callback(invoke_without_command=True)
    def default(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            sweeping.run_tables(Choice(), Machine(), recipes)

    sweeping.add_to(app, recipes)
    counting.add_to(app)
    profiling.add_to(app)
    fitting.add_to(app)
    comparing.add_to(app)
    predicting.add_to(app)
    inspecting.add_to(app, recipes)
    scoring.add_to(app)
    submitting.add_to(app)
    datasets.add_to(app)
    health.add_to(app)
    return app
