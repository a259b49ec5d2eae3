"""The command line. Every command reads its options, calls one function and prints."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from typing import Any

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
from ifc_bench.cli.recipes import Recipe, Recipes
from ifc_bench.cli.repetition import repeated
from ifc_bench.errors import UserError, told
from ifc_bench.recipe import Preset

# typer carries click inside itself and exports only some of its errors; this is their base.
_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
_INTERRUPTED = 130  # what typer makes of a KeyboardInterrupt, and what shells expect


def main(
    tables: Mapping[str, Recipe],
    presets: Mapping[str, Preset],
    arguments: list[str] | None = None,
) -> int:
    """Run the command line; returns the exit code (2: bad input, 130: interrupted)."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # so that CUDA counts as NVML does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no ± still gets its table
    command = typer.main.get_command(_app(Recipes(tables, presets)))
    try:
        given = repeated(command, sys.argv[1:] if arguments is None else arguments)
        code = command.main(given, prog_name="run_ablations.py", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except _USAGE_ERROR as error:
        return _fail(" ".join(error.format_message().split()), 2)
    except UserError as error:
        return _fail(str(error), 2)
    except OSError as error:
        message = told(error)
        if message is None:
            raise
        return _fail(message, 2)
    if code == _INTERRUPTED:
        return _fail("stopped; what was finished is kept, the same command goes on from here", code)
    return code if isinstance(code, int) else 0


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


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
