"""The command line. Every command reads its options, calls one function and prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer
from rich.console import Console

from ifc_bench.config import (
    AnyWork,
    AttentionKernel,
    Communication,
    DecompTHW,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
)
from ifc_bench.errors import UserError
from ifc_bench.provenance import describe_device, resolve_device
from ifc_bench.recipe import AnyTable, Preset
from ifc_bench.report import render
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.store import Store, write_text
from ifc_bench.sweep.plan import Plan, make_plan

Recipe = Callable[[Preset], AnyTable]

# typer carries click inside itself and exports only some of its errors; this is their base.
_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]

_COMMUNICATIONS: dict[str, Callable[[int], Communication]] = {
    "none": lambda tokens: NoComm(),
    "full": lambda tokens: FullTHW(),
    "decomposed": lambda tokens: DecompTHW(),
    "ifc": lambda tokens: InterFrame(memory_tokens=tokens),
}

Tables = Annotated[
    Optional[list[str]],
    typer.Argument(metavar="[TABLE]...", help="Tables by name; none: those of the preset."),
]
PresetName = Annotated[str, typer.Option("--preset", help="Sizes and budgets: smoke, quick, full.")]
Seeds = Annotated[
    Optional[int], typer.Option(min=1, help="Seeds 0..N-1 instead of the preset's number.")
]
Results = Annotated[Path, typer.Option("--results", help="Where records and tables lie.")]
Runs = Annotated[Path, typer.Option("--runs", help="Where checkpoints and data lie.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu or cuda:N.")]
Compare = Annotated[
    Optional[Literal["paper"]], typer.Option(help="Print the paper's numbers beside ours.")
]


@dataclass(frozen=True)
class Recipes:
    """The tables and presets that the commands know."""

    tables: Mapping[str, Recipe]
    presets: Mapping[str, Preset]

    def preset(self, name: str, seeds: int | None) -> Preset:
        if name not in self.presets:
            raise UserError(f"--preset: {name!r} is none of {', '.join(self.presets)}")
        preset = self.presets[name]
        return preset if seeds is None else preset.model_copy(update={"seeds": seeds})

    def chosen(self, names: list[str] | None, preset: Preset) -> list[AnyTable]:
        found = []
        for name in names or preset.tables:
            if name not in self.tables:
                raise UserError(f"TABLE: {name!r} is none of {', '.join(self.tables)}")
            found.append(self.tables[name](preset))
        return found


def main(
    tables: Mapping[str, Recipe],
    presets: Mapping[str, Preset],
    arguments: list[str] | None = None,
) -> int:
    """Run the command line; returns the exit code (2: bad input, 130: interrupted)."""
    command = typer.main.get_command(_app(Recipes(tables, presets)))
    try:
        code = command.main(arguments, prog_name="run_ablations.py", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.Exit as exit_:  # typer turns an interrupt into an exit with 130
        return _interrupted() if exit_.exit_code == 130 else exit_.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted()
    except _USAGE_ERROR as error:
        return _fail(" ".join(error.format_message().split()), 2)
    except UserError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:
        return 0


def _interrupted() -> int:
    return _fail("stopped; nothing is lost, the same command goes on from here", 130)


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
            _run(recipes, None, "quick", None, Places(), Machine(), None)

    _add_sweep_commands(app, recipes)
    _add_tools(app)
    return app


@dataclass(frozen=True)
class Places:
    """The two folders of a store."""

    results: Path = Path("results")
    runs: Path = Path("runs")

    def store(self) -> Store:
        return Store(self.results, self.runs)


@dataclass(frozen=True)
class Machine:
    """What to run on."""

    device: str = "auto"
    workers: int | None = None
    threads: int = 1


def _add_sweep_commands(app: typer.Typer, recipes: Recipes) -> None:
    @app.command("run")
    def run_command(
        tables: Tables = None,
        preset: PresetName = "quick",
        seeds: Seeds = None,
        results: Results = Path("results"),
        runs: Runs = Path("runs"),
        device: DeviceName = "auto",
        workers: Annotated[
            Optional[int], typer.Option(min=1, help="Processes at a time; default: one a core.")
        ] = None,
        threads: Annotated[int, typer.Option(min=1, help="Threads of each process.")] = 1,
        compare: Compare = None,
    ) -> None:
        """Train, evaluate and measure what tables need, then print them.

        What has a record is not done again; a stopped run goes on where it was.

        Example: python run_ablations.py run table3a table3d --preset full
        """
        machine = Machine(device, workers, threads)
        _run(recipes, tables, preset, seeds, Places(results, runs), machine, compare)

    @app.command("plan")
    def plan_command(
        tables: Tables = None,
        preset: PresetName = "quick",
        seeds: Seeds = None,
        results: Results = Path("results"),
        runs: Runs = Path("runs"),
        device: DeviceName = "auto",
        workers: Annotated[int, typer.Option(min=1, help="Processes at a time.")] = 2,
    ) -> None:
        """List the work behind tables: what exists, what is shared, how long the rest takes.

        Starts nothing.

        Example: python run_ablations.py plan table3a table3c table3d --preset full
        """
        chosen = recipes.preset(preset, seeds)
        store = Places(results, runs).store()
        name = describe_device(resolve_device(device), 1).name
        plan = make_plan(recipes.chosen(tables, chosen), chosen, name)
        _print_plan(plan, store, workers)

    @app.command("report")
    def report_command(
        tables: Tables = None,
        preset: PresetName = "quick",
        seeds: Seeds = None,
        results: Results = Path("results"),
        style: Annotated[
            Literal["github", "latex", "csv", "json"],
            typer.Option("--format", help="How to write the tables."),
        ] = "github",
        compare: Compare = None,
    ) -> None:
        """Print tables from records alone.

        Example: python run_ablations.py report table3a --preset full --compare paper
        """
        chosen = recipes.preset(preset, seeds)
        store = Store(results, Path("runs"))
        paper = PaperNumbers(results / "paper" / "reference.csv") if compare else None
        for table in recipes.chosen(tables, chosen):
            print(render(table, chosen, store, style, paper))


def _run(
    recipes: Recipes,
    names: list[str] | None,
    preset_name: str,
    seeds: int | None,
    places: Places,
    machine: Machine,
    compare: str | None,
) -> None:
    """The main job: plan, do, print and write the tables."""
    from ifc_bench.progress import SweepDisplay
    from ifc_bench.sweep.executors import Settings, run

    preset = recipes.preset(preset_name, seeds)
    tables = recipes.chosen(names, preset)
    device = resolve_device(machine.device)
    described = describe_device(device, machine.threads)
    store = places.store()
    plan = make_plan(tables, preset, described.name)
    workers = machine.workers or _default_workers(device, machine.threads)
    console = Console(stderr=True)
    pieces = len(plan.jobs(store)) + bool(plan.profiles_left(store)) + bool(plan.counts_left(store))
    minutes = plan.seconds(store, workers) / 60
    console.print(
        f"{preset.name}: {pieces} pieces of work on {described.name}, {workers} at a time; "
        f"about {minutes:.0f} min (an estimate)",
        highlight=False,
    )
    with SweepDisplay(console, pieces) as display:
        outcome = run(plan, store, Settings(device, machine.threads, workers), display.tell)
    if outcome.error:
        raise UserError(outcome.error)
    paper = PaperNumbers(places.results / "paper" / "reference.csv") if compare else None
    for table in tables:
        text = render(table, preset, store, "github", paper)
        print(text)
        write_text(places.results / "tables" / f"{table.name}-{preset.name}.md", text)
    failed = sum(record.status == "failed" for record in outcome.records)
    if failed:
        raise UserError(
            f"{failed} pieces of work failed; their records under {places.results} hold the "
            "tracebacks, and the same command tries them again"
        )


def _default_workers(device: str, threads: int) -> int:
    """One process a core on a CPU; one on a GPU."""
    import os

    return max(1, (os.cpu_count() or 1) // threads) if device == "cpu" else 1


def _print_plan(plan: Plan, store: Store, workers: int) -> None:
    kinds: dict[str, tuple[AnyWork, ...]] = {
        "multiply-adds": plan.counts,
        "trainings": plan.trainings,
        "evaluations": plan.evaluations,
        "profiles": plan.profiles,
    }
    for name, works in kinds.items():
        exist = sum(store.done(work) for work in works)
        shared = sum(len(plan.needed_by[work.id]) > 1 for work in works)
        print(f"{name}: {len(works)}, {exist} exist, {shared} shared between tables")
    for job in plan.jobs(store):
        communication = job.training.model.communication
        tables = ", ".join(plan.needed_by[job.training.id])
        state = "train" if plan.trains(job, store) else "trained"
        print(
            f"  {job.training.id}  {state:7}  {communication.kind} M={communication.memory_tokens}"
            f" decoder {job.training.model.decoder} seed {job.training.seed},"
            f" {len(job.evaluations)} evaluations  ({tables})"
        )
    print(
        f"about {plan.seconds(store, workers) / 60:.0f} min with {workers} processes (an estimate)"
    )


def _add_tools(app: typer.Typer) -> None:
    @app.command("flops")
    def flops_command(
        communication: Annotated[
            Optional[list[str]],
            typer.Option(help="none, full, decomposed or ifc; repeat for more. Default: all."),
        ] = None,
        tokens: Annotated[int, typer.Option(min=0, help="Memory tokens M of ifc.")] = 8,
        frames: Annotated[
            Optional[list[int]], typer.Option(min=1, help="T; repeat for more.")
        ] = None,
        size: Annotated[
            Optional[list[str]], typer.Option(help="Frame size HxW; repeat for more.")
        ] = None,
        attention: Annotated[
            AttentionKernel, typer.Option(help="Attention implementation.")
        ] = "materialised",
        style: Annotated[Literal["github", "json"], typer.Option("--format")] = "github",
    ) -> None:
        """Count the encoder's multiply-adds on the real modules (paper, Table 1).

        Example: python run_ablations.py flops --communication ifc --frames 36 --format json
        """
        rows = _count_rows(
            communication or list(_COMMUNICATIONS),
            tokens,
            [_size(text) for text in size or ["360x640", "720x1280"]],
            frames or [5, 36],
            attention,
        )
        if style == "json":
            print(json.dumps(rows, indent=1))
            return
        from tabulate import tabulate

        shown = [{**row, "macs": f"{row['macs'] / 1e9:.2f} G"} for row in rows]
        print(tabulate(shown, headers="keys", tablefmt="github"))

    @app.command("evaluate")
    def evaluate_command(
        ground_truth: Annotated[Path, typer.Option(help="Annotations in the YouTube-VIS format.")],
        predictions: Annotated[Path, typer.Option(help="A results.json of any system.")],
        style: Annotated[Literal["github", "json"], typer.Option("--format")] = "github",
    ) -> None:
        """Score predictions: the twelve numbers of the YouTube-VIS API, as fractions.

        A number that no ground truth defines is -1, as in the API.

        Example: python run_ablations.py evaluate --ground-truth GT.json --predictions PRED.json
        """
        from tabulate import tabulate

        from ifc_bench.data.youtube_vis import read_instances
        from ifc_bench.evaluation import read_predictions, score_videos

        truth = read_instances(ground_truth)
        scores = score_videos(truth, read_predictions(predictions, truth)).summary()
        if style == "json":
            print(json.dumps(scores))
        else:
            print(tabulate(scores.items(), ["metric", "value"], "github", floatfmt=".4f"))


def _count_rows(
    communications: list[str],
    tokens: int,
    sizes: list[tuple[int, int]],
    frames: list[int],
    attention: AttentionKernel,
) -> list[dict[str, Any]]:
    unknown = [kind for kind in communications if kind not in _COMMUNICATIONS]
    if unknown:
        raise UserError(f"--communication: {unknown[0]!r} is none of {', '.join(_COMMUNICATIONS)}")
    from ifc_bench.profiling.flops import encoder_macs

    return [
        {
            "communication": kind,
            "height": height,
            "width": width,
            "frames": count,
            "macs": encoder_macs(
                ModelConfig(communication=_COMMUNICATIONS[kind](tokens), attention=attention),
                count,
                height,
                width,
            ),
        }
        for kind in communications
        for height, width in sizes
        for count in frames
    ]


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise UserError(f"--size: {text!r} is no HEIGHTxWIDTH such as 360x640")
    return int(height), int(width)
