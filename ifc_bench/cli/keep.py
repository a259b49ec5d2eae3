"""`keep`: write the final weights of trainings, in half precision or for the authors' code."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.choice import Choice
from ifc_bench.cli.options import Injected, Tables
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device
from ifc_bench.report.quantities import SPACE
from ifc_bench.sweep.plan import label, make_plan

_CHOICE = Choice()


def command(
    *tables: Tables,
    choice: Choice = _CHOICE,
    released: Annotated[
        Path | None,
        Parameter(help="Write ID.pth into this directory instead, for the authors' code."),
    ] = None,
    recipes: Injected,
) -> None:
    """Write the final weights of the trainings of tables to RESULTS/weights, in half precision.

    `predict`, `attention` and `load_model` take them where there is no checkpoint. Tables never
    do: half precision rounds. With --released they are whole checkpoints that the authors' code
    reads; it has IFC alone.

    Example: python run_ablations.py keep table3a --preset full --seeds 1
    """
    preset = choice.resolved(recipes)
    store = choice.store()
    plan = make_plan(choice.tables(recipes, tables, preset), preset, describe_device("cpu", 1))
    there = [one for one in plan.trainings if store.checkpoint_path(one).exists()]
    if not there:
        folder = store.checkpoint_path(plan.trainings[0]).parent if plan.trainings else store.runs
        raise UserError(
            f"{folder}: has no checkpoint of these tables; run them first, or name another "
            "directory with --runs"
        )
    from ifc_bench.training.checkpoint import finished_weights  # torch: only where it is needed
    from ifc_bench.training.kept_weights import write_kept, write_released

    store.prepare()
    kept = 0
    for training in there:
        path = store.kept_path(training) if released is None else released / f"{training.id}.pth"
        try:
            weights = finished_weights(store.checkpoint_path(training), training)
            (write_kept if released is None else write_released)(path, training, weights)
        except UserError as error:  # unfinished, diverged or damaged: the others are kept
            print(f"note: {label(training)}: {error}", file=sys.stderr)
            continue
        kept += 1
        print(f"{path}  {SPACE.text(path.stat().st_size)}  {label(training)}")
    missing, wanted = len(plan.trainings) - kept, len(plan.trainings)
    if missing:
        print(f"{missing} of {wanted} trainings were not written")
