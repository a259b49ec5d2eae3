"""`run`, `plan` and `report`: from tables to records and back."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from rich.console import Console

from ifc_bench.cli.recipes import Recipes
from ifc_bench.config import AnyWork, Evaluation, Profile
from ifc_bench.data.catalogue import LAYOUTS
from ifc_bench.errors import UserError
from ifc_bench.progress import SweepDisplay
from ifc_bench.provenance import describe_device, resolve_device
from ifc_bench.recipe import Preset
from ifc_bench.report import render
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.store import Store, write_text
from ifc_bench.sweep.executors import Outcome, Settings, run
from ifc_bench.sweep.plan import Plan, label, make_plan
from ifc_bench.sweep.sources import with_data, with_start

Tables = Annotated[
    Optional[list[str]],
    typer.Argument(metavar="[TABLE]...", help="Tables by name; none: those of the preset."),
]
PresetName = Annotated[
    str, typer.Option("--preset", help="smoke, quick, full; paper and released need --data.")
]
Seeds = Annotated[
    Optional[int], typer.Option(min=1, help="Seeds 0..N-1 instead of the preset's number.")
]
Windows = Annotated[
    Optional[list[int]],
    typer.Option("--window", min=1, help="T of testing instead of the preset's; repeat for more."),
]
Results = Annotated[Path, typer.Option("--results", help="Where records and tables lie.")]
Runs = Annotated[Path, typer.Option("--runs", help="Where checkpoints and data lie.")]
DeviceName = Annotated[str, typer.Option("--device", help="auto, cpu or cuda:N.")]
Workers = Annotated[
    Optional[int],
    typer.Option(min=1, help="Processes at a time. Default: one for each core, or one on a GPU."),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads of each process.")]
Compare = Annotated[
    Optional[Literal["paper"]], typer.Option(help="Print the paper's numbers beside ours.")
]
Data = Annotated[
    Optional[Path],
    typer.Option(help="The folder of your data, where the preset needs it or instead of its own."),
]
DataSet = Annotated[
    Optional[str],
    typer.Option(
        help=f"What lies in --data: {', '.join(LAYOUTS)}. Default: the preset's, or folder."
    ),
]
Size = Annotated[
    Optional[int],
    typer.Option(
        min=32, help="Shorter side of frames, in training and testing. Default: preset's."
    ),
]
StartFrom = Annotated[
    Optional[Path],
    typer.Option(
        "--start", help="Weights to start from: ImageNet's for the ResNet, or a released IFC."
    ),
]
Style = Annotated[
    Literal["github", "latex", "csv", "json"],
    typer.Option("--format", help="How to write the tables."),
]


@dataclass(frozen=True)
class Setup:
    """Where and on what a sweep runs."""

    results: Path = Path("results")
    runs: Path = Path("runs")
    device: str = "auto"
    workers: int | None = None
    threads: int = 1
    tensorboard: bool = False
    data: Path | None = None
    dataset: str | None = None
    start: Path | None = None
    size: int | None = None

    def resolved(self, preset: Preset) -> Preset:
        """`preset` on the data and weights that the user points at."""
        if self.dataset is not None and self.dataset not in LAYOUTS:
            raise UserError(f"--dataset: {self.dataset!r} is none of {', '.join(LAYOUTS)}")
        found = with_data(preset, self.data, self.dataset, self.store())
        found = with_start(found, self.start, self.store())
        return found if self.size is None else found.at_size(self.size)

    def store(self) -> Store:
        return Store(self.results, self.runs)

    def settings(self) -> Settings:
        """With the device resolved, and as many processes as it can feed."""
        device = resolve_device(self.device)
        cores = max(1, (os.cpu_count() or 1) // self.threads)
        workers = self.workers or (cores if device == "cpu" else 1)
        return Settings(device, self.threads, workers, self.tensorboard)


def add_to(app: typer.Typer, recipes: Recipes) -> None:
    """Add the three commands."""

    @app.command("run")
    def run_command(
        tables: Tables = None,
        preset: PresetName = "quick",
        seeds: Seeds = None,
        window: Windows = None,
        results: Results = Path("results"),
        runs: Runs = Path("runs"),
        device: DeviceName = "auto",
        workers: Workers = None,
        threads: Threads = 1,
        data: Data = None,
        dataset: DataSet = None,
        start: StartFrom = None,
        size: Size = None,
        tensorboard: Annotated[
            bool, typer.Option(help="Write curves for TensorBoard under the runs folder.")
        ] = False,
        compare: Compare = None,
    ) -> None:
        """Train, evaluate and measure what tables need, then print them.

        What has a record is not done again; a stopped run goes on where it was.

        Example: python run_ablations.py run table3a table3d --preset full

        Real data: python run_ablations.py run table3a --preset paper --data ROOT

        Several GPUs: torchrun --nproc-per-node 8 run_ablations.py run table3a --preset paper ...
        """
        setup = Setup(
            results, runs, device, workers, threads, tensorboard, data, dataset, start, size
        )
        chosen = setup.resolved(recipes.preset(preset, seeds, window))
        run_tables(chosen, recipes, tables, setup, bool(compare))

    @app.command("plan")
    def plan_command(
        tables: Tables = None,
        preset: PresetName = "quick",
        seeds: Seeds = None,
        window: Windows = None,
        results: Results = Path("results"),
        runs: Runs = Path("runs"),
        device: DeviceName = "auto",
        workers: Workers = None,
        data: Data = None,
        dataset: DataSet = None,
        start: StartFrom = None,
        size: Size = None,
    ) -> None:
        """List the work behind tables: what exists, what is shared, what the rest takes.

        Starts nothing.

        Example: python run_ablations.py plan table3a table3c table3d --preset full
        """
        setup = Setup(
            results, runs, device, workers, data=data, dataset=dataset, start=start, size=size
        )
        chosen = setup.resolved(recipes.preset(preset, seeds, window))
        settings = setup.settings()
        described = describe_device(settings.device, settings.threads)
        plan = make_plan(recipes.chosen(tables, chosen), chosen, described)
        _print_plan(plan, setup.store(), settings.workers)

    @app.command("report")
    def report_command(
        tables: Tables = None,
        preset: PresetName = "quick",
        seeds: Seeds = None,
        window: Windows = None,
        results: Results = Path("results"),
        runs: Runs = Path("runs"),
        data: Data = None,
        dataset: DataSet = None,
        start: StartFrom = None,
        size: Size = None,
        style: Style = "github",
        compare: Compare = None,
        situation: Annotated[
            Optional[str], typer.Option(help="Accuracies on one situation's videos alone.")
        ] = None,
    ) -> None:
        """Print tables from records alone.

        Example: python run_ablations.py report table3a --preset full --compare paper
        """
        setup = Setup(results, runs, data=data, dataset=dataset, start=start, size=size)
        chosen = setup.resolved(recipes.preset(preset, seeds, window))
        for table in recipes.chosen(tables, chosen):
            paper = PaperNumbers() if compare else None
            print(render(table, chosen, setup.store(), style, paper, situation))


def run_tables(
    preset: Preset,
    recipes: Recipes,
    names: list[str] | None = None,
    setup: Setup | None = None,
    compare: bool = False,
) -> None:
    """The main job: plan, do, print the tables and write them.

    Raises:
        UserError: where bad input stopped the sweep, or pieces of it failed.
    """
    setup = setup or Setup()
    tables = recipes.chosen(names, preset)
    settings, store = setup.settings(), setup.store()
    paper = PaperNumbers() if compare else None
    described = describe_device(settings.device, settings.threads)
    plan = make_plan(tables, preset, described)
    pieces = len(plan.jobs(store)) + bool(plan.profiles_left(store)) + bool(plan.counts_left(store))
    console = Console(stderr=True, highlight=False)
    console.print(
        f"{preset.name}: {pieces} pieces of work on {described.name}, {settings.workers} at a "
        f"time; about {plan.seconds(store, settings.workers) / 60:.0f} min (an estimate)",
        soft_wrap=True,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # schedulers ask this way
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        outcome = _run_together(plan, store, settings, console, pieces)
        if outcome is None:
            return
    else:
        with SweepDisplay(console, pieces) as display:
            outcome = run(plan, store, settings, display.tell)
    if outcome.error:
        raise UserError(outcome.error)
    for table in tables:
        text = render(table, preset, store, "github", paper)
        print(text)
        write_text(setup.results / "tables" / f"{table.name}-{preset.name}.md", text)
    failed = sum(record.status == "failed" for record in outcome.records)
    if failed:
        raise UserError(
            f"{failed} pieces of work failed; their records under {setup.results} hold the "
            "tracebacks, and the same command tries them again"
        )


def _run_together(
    plan: Plan, store: Store, settings: Settings, console: Console, pieces: int
) -> Outcome | None:
    """The part of this process, of all that torchrun started; None in all but the first."""
    from ifc_bench.sweep.distributed import first_process, run_together  # torch: only here

    if not first_process():
        run_together(plan, store, settings, lambda task, event: None)
        return None
    with SweepDisplay(console, pieces) as display:
        return run_together(plan, store, settings, display.tell)


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
    uses: tuple[Evaluation | Profile, ...] = (*plan.evaluations, *plan.profiles)
    for training in plan.trainings:
        tables = ", ".join(plan.needed_by[training.id])
        print(f"  {training.id}  {_state(training, store)}  {label(training)}  ({tables})")
        for use in uses:
            if use.training == training:
                print(f"    {use.id}  {_state(use, store)}  {use.kind} T={use.window}")
    preset = plan.preset
    seconds = plan.seconds(store, 1 if preset.gpus else workers)
    if preset.gpus:
        hours = seconds / 3600
        print(
            f"about {hours * preset.gpus:.0f} GPU-hours, {hours:.0f} h on {preset.gpus} GPUs "
            f"({preset.timed})"
        )
    else:
        print(f"about {seconds / 60:.0f} min with {workers} processes ({preset.timed})")
    gigabytes = len(plan.trainings) * preset.checkpoint_bytes / 1e9
    print(f"about {gigabytes:.1f} GB of disk for {len(plan.trainings)} checkpoints")


def _state(work: AnyWork, store: Store) -> str:
    record = store.load(work)
    return f"{'to do' if record is None else record.status:12}"
