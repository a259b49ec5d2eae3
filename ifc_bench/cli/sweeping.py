"""`run`, `plan`, `report` and `significance`: from tables to records and back."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Literal, Optional

import typer
from rich.console import Console

from ifc_bench.cli.answers import Answers, comparable, print_and_keep, with_baseline
from ifc_bench.cli.options import (
    Choice,
    ExpectGpu,
    Machine,
    Retry,
    RetryOption,
    Style,
    refuse_other_card,
    spread,
)
from ifc_bench.cli.progress import SweepDisplay
from ifc_bench.cli.recipes import Recipes
from ifc_bench.config import AnyWork, Evaluation, Profile, Training
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device
from ifc_bench.report.layout import write
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.presence import refuse_nothing
from ifc_bench.report.results import read_all
from ifc_bench.report.significance import paper_grid, significance_grid, situation_grid
from ifc_bench.store import Store
from ifc_bench.sweep.executors import Outcome, Settings, run
from ifc_bench.sweep.plan import Plan, label, make_plan

Tables = Annotated[
    Optional[list[str]],
    typer.Argument(metavar="[TABLE]...", help="Tables by name; none: those of the preset."),
]
Compare = Annotated[
    Optional[Literal["paper"]], typer.Option(help="Print the paper's numbers beside ours.")
]


def add_to(app: typer.Typer, recipes: Recipes) -> None:
    """Add the three commands."""

    @app.command("run")
    @spread
    def run_command(
        choice: Choice,
        machine: Machine,
        tables: Tables = None,
        compare: Compare = None,
        retry: RetryOption = None,
    ) -> None:
        """Train, evaluate and measure what tables need, then print them.

        What has a record is not done again; a stopped run goes on where it was. The exit code is
        2 while anything that the tables ask for is missing (failed, diverged, out of memory).

        Example: python run_ablations.py run table3a table3d --preset full

        Real data: python run_ablations.py run table3a --preset paper --data ROOT

        Several GPUs: torchrun --nproc-per-node 8 run_ablations.py run table3a --preset paper
        --data ROOT
        """
        run_tables(choice, machine, recipes, tables, bool(compare), retry)

    @app.command("plan")
    @spread
    def plan_command(
        choice: Choice, machine: Machine, tables: Tables = None, retry: RetryOption = None
    ) -> None:
        """List the work behind tables: what exists, what is shared, what the rest takes.

        Starts nothing.

        Example: python run_ablations.py plan table3a table3c table3d --preset full
        """
        preset, settings = choice.resolved(recipes), machine.settings()
        described = describe_device(settings.device, settings.threads)
        plan = make_plan(choice.tables(recipes, tables, preset), preset, described)
        _print_plan(plan, choice.store(retry), settings.workers)

    @app.command("report")
    @spread
    def report_command(
        choice: Choice,
        tables: Tables = None,
        style: Style = "github",
        compare: Compare = None,
        situation: Annotated[
            Optional[str], typer.Option(help="Accuracies on one situation's videos alone.")
        ] = None,
        expect_gpu: ExpectGpu = None,
        out: Annotated[
            Optional[Path],
            typer.Option(help="Write tables in all formats, figures and index.html there instead."),
        ] = None,
        machines: Annotated[
            Optional[Path],
            typer.Option(
                help="Folders of profiles and footprints that --out adds. "
                "Default: results/machines, where it is."
            ),
        ] = None,
    ) -> None:
        """Print tables from records alone, or write a whole report.

        Example: python run_ablations.py report table3a --preset full --compare paper

        Figures and a page: python run_ablations.py report --out report
        """
        preset, store = choice.resolved(recipes), choice.store()
        chosen = choice.tables(recipes, tables, preset)
        if out is not None:
            from ifc_bench.report.publish import publish  # matplotlib: only where it is needed

            found = read_all(chosen, preset, store)
            refuse_nothing(found, preset, store, recipes.tables, recipes.presets)
            if machines is not None and not machines.is_dir():
                raise UserError(f"--machines: {machines}: no such folder")
            beside = machines or Path("results/machines")
            folders = sorted(path for path in beside.glob("*") if path.is_dir())
            for path in publish(found, preset, store, out, folders):
                print(path)
            return
        paper = PaperNumbers() if compare else None
        answers = Answers(recipes, preset, store, style, paper, situation)
        found = read_all(chosen, preset, store)
        answers.refuse_empty(found)
        for one in found:
            if paper is not None:
                for device in one.devices:
                    refuse_other_card(expect_gpu, device)
            print(answers.text(one))

    @app.command("significance")
    @spread
    def significance_command(
        choice: Choice,
        tables: Tables = None,
        style: Style = "github",
        paper: Annotated[
            bool, typer.Option("--paper", help="The paper's own differences, from what it prints.")
        ] = False,
        by_situation: Annotated[
            bool, typer.Option("--by-situation", help="On the videos of each situation alone.")
        ] = False,
    ) -> None:
        """Tell which differences of tables exceed noise, ours or the paper's; from records alone.

        Example: python run_ablations.py significance table3a --preset full
        """
        if paper and by_situation:
            raise UserError("--paper, --by-situation: the paper prints no numbers by situation")
        preset, store = choice.resolved(recipes), choice.store()
        chosen = with_baseline(choice.tables(recipes, tables, preset), recipes, preset)
        if paper:
            grids = [paper_grid(table, PaperNumbers()) for table in chosen]
        else:
            found = read_all(chosen, preset, store)
            refuse_nothing(found, preset, store, recipes.tables, recipes.presets)
            ours = situation_grid if by_situation else significance_grid
            grids = [ours(one) for one in comparable(found, store.results)]
        for grid in grids:
            print(write(grid, style))


def run_tables(
    choice: Choice,
    machine: Machine,
    recipes: Recipes,
    names: list[str] | None = None,
    compare: bool = False,
    retry: Retry | None = None,
) -> None:
    """The main job: plan, do, print the tables and write them.

    Raises:
        UserError: where anything that the tables ask for is missing at the end.
    """
    preset = choice.resolved(recipes)
    tables = choice.tables(recipes, names, preset)
    settings, store = machine.settings(), choice.store(retry)
    paper = PaperNumbers() if compare else None
    described = describe_device(settings.device, settings.threads)
    plan = make_plan(tables, preset, described)
    outcome = _do(plan, store, settings, described.name)
    if outcome is None:
        return
    shown: list[AnyWork] = [*plan.counts, *plan.evaluations]
    if outcome.errors and not any(store.load(work) for work in shown):
        raise UserError("; also: ".join(outcome.errors))
    print_and_keep(tables, Answers(recipes, preset, store, paper=paper))
    _refuse_incomplete(plan, store, outcome.errors)


def _refuse_incomplete(plan: Plan, store: Store, errors: list[str]) -> None:
    missing = plan.missing(store)
    if errors:
        raise UserError(f"{'; also: '.join(errors)} (so far: {', '.join(missing)})")
    if missing:
        raise UserError(
            f"incomplete: {', '.join(missing)}; the records under {store.results} tell why. The "
            "same command tries again what failed, and with --retry oom, diverged or all the rest"
        )


def _do(plan: Plan, store: Store, settings: Settings, device: str) -> Outcome | None:
    """Do what is left of `plan`; None in all but the first of the processes of torchrun."""
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not together:
        for sign in (signal.SIGTERM, signal.SIGHUP):  # of schedulers, and of a closed terminal
            if signal.getsignal(sign) != signal.SIG_IGN:  # as nohup sets it
                signal.signal(sign, signal.default_int_handler)
    pieces = len(plan.jobs(store)) + bool(plan.profiles_left(store)) + bool(plan.counts_left(store))
    if pieces:
        store.prepare()
    if together:
        from ifc_bench.sweep.distributed import first_process, run_together  # torch: only here

        if not first_process():
            run_together(plan, store, settings, lambda task, event: None)
            return None
    console = Console(stderr=True, highlight=False)
    console.print(
        f"{plan.preset.name}: {pieces} pieces of work on {device}, "
        f"{1 if together else settings.workers} at a time; about "
        f"{plan.seconds(store, settings.workers) / 60:.0f} min (an estimate)",
        soft_wrap=True,
    )
    with SweepDisplay(console, pieces, store) as display:
        if together:
            return run_together(plan, store, settings, display.tell)
        return run(plan, store, settings, display.tell)


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
    uses: dict[str, list[Evaluation | Profile]] = defaultdict(list)
    for evaluation in plan.evaluations:
        uses[evaluation.training.id].append(evaluation)
    for profile in plan.profiles:
        uses[profile.weights.id if isinstance(profile.weights, Training) else ""].append(profile)
    for training in plan.trainings:
        tables = ", ".join(plan.needed_by[training.id])
        print(f"  {training.id}  {_state(training, store)}  {label(training)}  ({tables})")
        for use in uses[training.id]:
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
