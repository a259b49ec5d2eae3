"""`check`: check a results directory that somebody else made, before its numbers are used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.errors import UserError
from ifc_bench.report.folder_check import check_records, contents
from ifc_bench.store import Store


def command(
    folder: Annotated[Path, Parameter(help="Results directory, with its records.")], /
) -> None:
    """Check every record: schema, id, hash, commit, and doubts about what was measured.

    A fault is a record that is damaged, whose id is not that of its work, that was made by code
    which no commit holds, or whose measurement was disturbed. The exit code is 2 if there is one.
    Warnings are work without a result, and records of several revisions.

    Example: python run_ablations.py check from-another-machine/results
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such directory; name one with records")
    store = Store(folder, folder)
    faults, warnings = check_records(store)
    for line in warnings:
        print(f"warning: {line}")
    for line in faults:
        print(f"fault: {line}")
    if faults:
        count = len(faults)
        raise UserError(f"{folder}: {count} fault{'s'[: count != 1]}; the first is: {faults[0]}")
    known = contents(store)
    if not known:
        raise UserError(f"{folder}: has no records; name the results directory of a run")
    print(f"{folder}: {known}; no faults")
