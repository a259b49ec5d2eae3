"""The commands by name, in the groups of `--help`; each is imported when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from cyclopts import App, Group, Parameter

_HELP = """Ablations of IFC: what communication between frames brings, and what it costs.

Without a command the default job runs: the tables of preset quick.

Example: python run_ablations.py run table3a --preset quick --seeds 2
"""

# Group, then command (also the name of its file in cli/), and its line in `--help`.
COMMANDS: dict[str, dict[str, str]] = {
    "Run and report": {
        "run": "Train, evaluate and measure what tables need, then print them.",
        "plan": "List the work behind tables: what exists, what is shared, what the rest takes.",
        "report": "Print tables from records alone, or write a report with figures.",
        "significance": "Test which differences of tables exceed noise, ours or the paper's.",
        "status": "Show what is done, running, failed and not run, by table, runner and device.",
        "merge": "Copy the records of another results directory into this one.",
        "keep": "Write final weights in half precision beside the records.",
        "export": "Write all records as tidy tables, a row for each piece of work.",
        "gc": "List files that no record needs, and delete them.",
    },
    "Measure": {
        "profile": "Measure FPS, latency, memory and energy, scope by scope.",
        "fit": "Predict peak memory, and which GPUs have enough.",
        "flops": "Count MACs of the encoder, or of every part of the network.",
        "compare": "Compare two sets of profiles, and fail on a regression.",
    },
    "Look": {
        "predict": "Find, segment and track the instances of every video.",
        "visualize": "Draw one strip a video: ground truth and predictions.",
        "attention": "Draw the attention of memory tokens over a clip (paper, Figure 2).",
        "diagram": "Draw the network with shapes and parameters (paper, Figure 3).",
    },
    "Data": {
        "data": "Check, split, generate and convert data sets.",
    },
    "Check": {
        "evaluate": "Score predictions: the twelve numbers of the YouTube-VIS API.",
        "check": "Check a results directory that somebody else made.",
        "doctor": "Report versions, devices, attention kernels and optional parts.",
    },
}


def build_app(given: Sequence[str]) -> App:
    """Build the command line; only the command in `given` is imported, others show one line."""
    app = App(
        name="run_ablations.py",
        help=_HELP,
        version=_version,
        version_flags=["--version"],
        help_flags=["--help"],
        default_parameter=Parameter(negative=(), consume_multiple=1),
    )
    for place, (title, commands) in enumerate(COMMANDS.items()):
        group = Group(title, sort_key=place)
        for name, told in commands.items():
            shown = None if name in given else told
            app.command(f"ifc_bench.cli.{name}:command", name=name, group=group, help=shown)
    app.default(_default_job)
    return app


def _default_job(*, recipes: Annotated[Any, Parameter(parse=False)]) -> None:
    """Run the tables of preset quick."""
    from ifc_bench.cli.run import default_job

    default_job(recipes)


def _version() -> str:
    try:
        return version("ifc-bench")
    except PackageNotFoundError:
        return "not installed"
