"""`status`: how far the work behind tables is."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from ifc_bench.cli.choice import Choice
from ifc_bench.cli.options import Injected, Tables
from ifc_bench.hardware.device import describe_device
from ifc_bench.sweep.plan import make_plan
from ifc_bench.sweep.status import progress, running, spent

_CHOICE = Choice()


def command(*tables: Tables, choice: Choice = _CHOICE, recipes: Injected) -> None:
    """Show what is done, running, failed and not run, by table, runner and device.

    Reads records and the claims of runners; it starts nothing and changes nothing, so it may be
    called beside a sweep. Profiles are those of this machine's CPU.

    Example: python run_ablations.py status table3a --preset full
    """
    preset = choice.resolved(recipes)
    store = choice.store()
    plan = make_plan(choice.tables(recipes, tables, preset), preset, describe_device("cpu", 1))
    rows = [
        (one.table, one.kind, one.done, one.running, _bad(one.bad), one.not_run)
        for one in progress(plan, store)
    ]
    _print(rows, ["table", "work", "done", "running", "without a result", "not run"])
    now = running(plan, store)
    if now:
        print()
        alive = {True: "yes", False: "no", None: "another host"}
        lines = [
            (one.name, one.host, one.process, alive[one.alive], f"{one.seconds:.0f}") for one in now
        ]
        _print(lines, ["claimed", "host", "process", "alive", "seconds since its last sign"])
    devices = spent(plan, store)
    if devices:
        print()
        made = [
            (one.device, *(one.pieces.get(kind, 0) for kind in ("training", "evaluation")),
             f"{one.training_hours:.1f}")
            for one in devices
        ]  # fmt: skip
        _print(made, ["device", "trainings", "evaluations", "hours of training, all processes"])


def _bad(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in found.items()) or "0"


def _print(rows: Sequence[tuple[object, ...]], head: list[str]) -> None:
    print(tabulate(rows, head, "github", disable_numparse=True))
