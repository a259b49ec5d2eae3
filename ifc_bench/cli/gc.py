"""`gc`: delete what no record needs from the runs directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from tabulate import tabulate

from ifc_bench.cli.directories import RunsDirectory
from ifc_bench.report.quantities import FILE_SIZE
from ifc_bench.store import Store
from ifc_bench.sweep.leftovers import leftovers


def command(
    *,
    results: Annotated[Path, Parameter(help="Directory of records.")] = Path("results"),
    runs: RunsDirectory = Path("runs"),
    checkpoints: Annotated[
        bool, Parameter(help="Also final weights of trainings that have a record.")
    ] = False,
    yes: Annotated[bool, Parameter(help="Delete what is listed.")] = False,
) -> None:
    """List files under --runs that no record needs; with --yes, delete them.

    Records, checkpoints of trainings that are not finished, and your data sets always stay. If
    several results directories share --runs, keep in mind that only the records of one are read.

    Example: python run_ablations.py gc --results results --runs runs
    """
    found = leftovers(Store(results, runs), checkpoints)
    if not found:
        print(f"{runs}: has nothing that no record needs")
        return
    rows = [(one.path, FILE_SIZE.text(one.size), one.reason) for one in found]
    print(tabulate(rows, ["path", "size", "reason"], "github", disable_numparse=True))
    total = FILE_SIZE.text(sum(one.size for one in found))
    if not yes:
        print(f"\n{total} in {len(found)} places; with --yes they are deleted")
        return
    for one in found:
        one.delete()
    print(f"\n{total} in {len(found)} places deleted")
