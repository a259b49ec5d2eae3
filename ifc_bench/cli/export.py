"""`export`: the records as tidy tables, a row for each piece of work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text
from ifc_bench.report.exports import frames
from ifc_bench.store import Store


def command(
    *,
    results: Annotated[Path, Parameter(help="Directory of records.")] = Path("results"),
    out: Annotated[Path, Parameter(help="Directory of the tables.")] = Path("export"),
    format: Annotated[Literal["csv", "jsonl"], Parameter(help="Format of the tables.")] = "csv",
) -> None:
    """Write all records as tidy tables: evaluations, trainings, profiles, footprints, counts.

    A table has a row for each record, with its configuration, its numbers (accuracies as
    fractions, times in seconds, sizes in bytes), device and revision. Columns of detections and
    curves are left out.

    Example: python run_ablations.py export --results results --out export --format csv
    """
    if not results.is_dir():
        raise UserError(f"--results: {results}: no such directory; name one with records")
    made = frames(Store(results, results))
    if not made:
        raise UserError(f"--results: {results}: has no records; name the directory of a run")
    for name, frame in made.items():
        path = out / f"{name}.{format}"
        if format == "csv":
            text = frame.to_csv(index=False)
        else:
            text = frame.to_json(orient="records", lines=True, double_precision=15)
        write_text(path, text)
        print(f"{path}  {len(frame)} rows, {len(frame.columns)} columns")
