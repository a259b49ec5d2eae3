"""`run`: train, evaluate and measure what tables need."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console

from ifc_bench.cli.answers import Answers, print_and_keep
from ifc_bench.cli.choice import Choice
from ifc_bench.cli.machine import Machine
from ifc_bench.cli.older_rows import tell_of_older
from ifc_bench.cli.options import Compare, Injected, Retry, RetryOption, Tables
from ifc_bench.cli.recipes import Recipes
from ifc_bench.cli.sweep_display import SweepDisplay
from ifc_bench.config import AnyWork
from ifc_bench.errors import UserError, together
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
    settings = machine.settings()
    paper = PaperNumbers() if compare else None
    described = describe_device(settings.device, settings.threads)
    store = choice.store(retry, described.memory_bytes)
    plan = make_plan(tables, preset, described)
    if settings.executor == "slurm":  # its nodes measure, by the names of their own devices
        plan = replace(plan, profiles=())
    for precision in plan.precisions_left(store):
        require_precision(precision, described, "--test-precision")
    tell_of_older(plan.profiles, store, described)
    outcome = _do(plan, store, settings, described.name, recipes.given)
    if outcome is None:
        return
    shown: list[AnyWork] = [*plan.counts, *plan.evaluations]
    if outcome.errors and not any(store.load(work) for work in shown):
        raise together(outcome.errors)
    print_and_keep(tables, Answers(recipes, preset, store, paper=paper))
    _refuse_incomplete(plan, store, outcome.errors)


def _saying(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)


def _refuse_incomplete(plan: Plan, store: Store, errors: list[str]) -> None:
    missing = plan.missing(store)
    if errors:
        raise UserError(f"{together(errors)} (so far: {', '.join(missing)})")
    if missing:
        raise UserError(
            f"incomplete: {', '.join(missing)}; see the records under {store.results}. The same "
            "command repeats failed work, and with --retry oom, diverged, timeout or all the rest"
        )


def _do(
    plan: Plan, store: Store, settings: Settings, device: str, given: tuple[str, ...]
) -> Outcome | None:
    """Run the rest of `plan`; returns None in torchrun's processes other than the first."""
    pieces = plan.pieces(store)
    if pieces:
        store.prepare()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return _together(plan, store, settings, device)
    for sign in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):  # a closed terminal is SIGHUP
        if signal.getsignal(sign) != signal.SIG_IGN:  # nohup ignores it
            signal.signal(sign, signal.default_int_handler)
    if settings.executor == "slurm" and pieces:
        from ifc_bench.sweep.slurm import run_on_slurm  # an optional package

        console = Console(stderr=True, highlight=False)
        return run_on_slurm(plan, store, settings, given, _saying(console))
    if settings.executor == "ray" and pieces:
        from ifc_bench.sweep.ray import connected  # an optional package

        connected(settings)
    with _display(plan, store, settings, device, settings.workers) as display:
        return run(plan, store, settings, display.tell)


def _together(plan: Plan, store: Store, settings: Settings, device: str) -> Outcome | None:
    """Run the trainings and evaluations under torchrun; the first process then measures alone."""
    from ifc_bench.sweep.distributed import (  # torch: only here
        alone_again,
        first_process,
        run_together,
    )

    if not first_process():
        run_together(plan, store, settings, lambda task, event: None)
        return None
    with _display(plan, store, settings, device, 1) as display:
        outcome = run_together(plan, store, settings, display.tell)
    if plan.profiles_left(store) and not outcome.errors:
        alone_again()
    return outcome


def _display(
    plan: Plan, store: Store, settings: Settings, device: str, workers: int
) -> SweepDisplay:
    """Print what is left to do, and return the live view of it."""
    console = Console(stderr=True, highlight=False)
    display, count = SweepDisplay(console, plan, store), len(settings.devices)
    where = device if count == 1 else f"{count} devices ({device})"
    console.print(
        f"{plan.preset.name}: {display.pieces} pieces of work on {where}, {workers} at a time; "
        f"about {plan.seconds(store, workers) / 60:.0f} min (an estimate)",
        soft_wrap=True,
    )
    return display
