"""`merge`: copy the records of another results directory into this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.errors import UserError
from ifc_bench.merge import merge
from ifc_bench.store import Store


def command(
    other: Annotated[Path, Parameter(help="Results directory of another machine or sweep.")],
    /,
    *,
    results: Annotated[Path, Parameter(help="Directory of records that they join.")] = Path(
        "results"
    ),
) -> None:
    """Copy the records of another results directory into this one, with their kept weights.

    Records that are in both are left as they are, so the same call may be made again. Two records
    of the same work with other content are an error that names both; nothing is copied then.

    Example: python run_ablations.py merge from-another-machine/results --results results
    """
    if not other.is_dir():
        raise UserError(f"{other}: no such directory; name one with records")
    if other.resolve() == results.resolve():
        raise UserError(f"{other}: is --results itself; name another directory")
    theirs = Store(other, other)
    if not any(True for _ in theirs.records(strict=True)):
        raise UserError(f"{other}: has no records; name the results directory of a run")
    found = merge(Store(results, results), theirs)
    failed = f"; {found.failed} of failed work left" if found.failed else ""
    print(f"{results}: {len(found.copied)} files copied, {found.known} records known{failed}")
