"""`run`: train, evaluate and measure what tables need."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from ifc_bench.cli.answers import Answers, print_and_keep
from ifc_bench.cli.machine import Machine
from ifc_bench.cli.options import (
    Choice,
    Compare,
    Injected,
    Retry,
    RetryOption,
    Tables,
)
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.sweep_display import SweepDisplay
from ifc_bench.config import AnyWork
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device
from ifc_bench.hardware.precision import require_precision
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Plan, make_plan
from ifc_bench.sweep.scheduler import run
from ifc_bench.sweep.tasks import Outcome, Settings

_CHOICE, _MACHINE = Choice(), Machine()


def command(
    *tables: Tables,
    choice: Choice = _CHOICE,
    machine: Machine = _MACHINE,
    compare: Compare = None,
    retry: RetryOption = None,
    recipes: Injected,
) -> None:
    """Train, evaluate and measure what tables need, then print them.

    Work that has a record is not repeated; an interrupted run can be continued. The exit code is 2
    if anything that the tables need is missing (failed, diverged, out of memory).

    Example: python run_ablations.py run table3a table3d --preset full

    Eight GPUs, a training on each: python run_ablations.py run table3a --preset paper --data ROOT
    --device all

    Real data: python run_ablations.py run table3a --preset paper --data ROOT

    Several GPUs: torchrun --nproc-per-node 8 run_ablations.py run table3a --preset paper
    --data ROOT
    """
    run_tables(choice, machine, recipes, tables, bool(compare), retry)


def default_job(recipes: Recipes) -> None:
    """Run the tables of preset quick."""
    run_tables(_CHOICE, _MACHINE, recipes)


def run_tables(
    choice: Choice,
    machine: Machine,
    recipes: Recipes,
    names: tuple[str, ...] = (),
    compare: bool = False,
    retry: Retry | None = None,
) -> None:
    """Plan the work, run it, then write and print the tables.

    Raises:
        UserError: if the device lacks the arithmetic of a test, or anything that the tables need
            is missing at the end.
    """
    preset = choice.resolved(recipes)
    tables = choice.tables(recipes, names, preset)
    settings, store = machine.settings(), choice.store(retry)
    paper = PaperNumbers() if compare else None
    described = describe_device(settings.device, settings.threads)
    plan = make_plan(tables, preset, described)
    if settings.executor == "slurm":  # its nodes measure, by the names of their own devices
        plan = replace(plan, profiles=())
    for precision in plan.precisions_left(store):
        require_precision(precision, described, "--test-precision")
    outcome = _do(plan, store, settings, described.name, recipes.given)
    if outcome is None:
        return
    shown: list[AnyWork] = [*plan.counts, *plan.evaluations]
    if outcome.errors and not any(store.load(work) for work in shown):
        raise UserError("; also: ".join(outcome.errors))
    print_and_keep(tables, Answers(recipes, preset, store, paper=paper))
    _refuse_incomplete(plan, store, outcome.errors)


def _saying(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)


def _refuse_incomplete(plan: Plan, store: Store, errors: list[str]) -> None:
    missing = plan.missing(store)
    if errors:
        raise UserError(f"{'; also: '.join(errors)} (so far: {', '.join(missing)})")
    if missing:
        raise UserError(
            f"incomplete: {', '.join(missing)}; see the records under {store.results}. The same "
            "command repeats failed work, and with --retry oom, diverged, timeout or all the rest"
        )


def _do(
    plan: Plan, store: Store, settings: Settings, device: str, given: tuple[str, ...]
) -> Outcome | None:
    """Run the rest of `plan`; returns None in torchrun's processes other than the first."""
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if not together:
        for sign in (signal.SIGTERM, signal.SIGHUP):  # from schedulers, and a closed terminal
            if signal.getsignal(sign) != signal.SIG_IGN:  # nohup ignores it
                signal.signal(sign, signal.default_int_handler)
    pieces = plan.pieces(store)
    if pieces:
        store.prepare()
    if together:
        from ifc_bench.sweep.distributed import first_process, run_together  # torch: only here

        if not first_process():
            run_together(plan, store, settings, lambda task, event: None)
            return None
    elif settings.executor == "ray" and pieces:
        from ifc_bench.sweep.ray import connected  # an optional package

        connected(settings)
    console = Console(stderr=True, highlight=False)
    if settings.executor == "slurm" and pieces:
        from ifc_bench.sweep.slurm import run_on_slurm  # an optional package

        return run_on_slurm(plan, store, settings, given, _saying(console))
    count = len(settings.devices)
    where = device if count == 1 else f"{count} devices ({device})"
    console.print(
        f"{plan.preset.name}: {pieces} pieces of work on {where}, "
        f"{1 if together else settings.workers} at a time; about "
        f"{plan.seconds(store, settings.workers) / 60:.0f} min (an estimate)",
        soft_wrap=True,
    )
    with SweepDisplay(console, plan, store) as display:
        if together:
            return run_together(plan, store, settings, display.tell)
        return run(plan, store, settings, display.tell)
