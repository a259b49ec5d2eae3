"""`compare`: compare two sets of profiles, for example to detect regressions in CI."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from ifc_bench.cli.options import Style, number
from ifc_bench.errors import UserError
from ifc_bench.report.compare import compare, comparison_grid, lost_rows, read_side
from ifc_bench.report.layout import write


def command(
    a: Annotated[str, Parameter(help="DIRECTORY or DIRECTORY:field=value,...")],
    b: Annotated[str, Parameter(help="The same, compared with A.")],
    /,
    *,
    metric: Annotated[Literal["fps", "memory"], Parameter(help="What to compare.")] = "fps",
    margin: Annotated[float, number("How much worse B may be, as a fraction.")] = 0.05,
    alpha: Annotated[float, number("Level of the test, for each row.", 0, 1)] = 0.05,
    style: Style = "github",
) -> int:
    """Compare two sets of profiles, of two commits, GPUs or variants, row by row.

    DIRECTORY is one written by `profile --results`. Fields: device, variant, attention, T, S, size,
    frames, precision, compiled, weights, commit. The exit code is 1 when B is slower (or larger) by
    more than the margin and that exceeds noise, or when a row of A is missing in B, failed there or
    ran out of memory.

    Example: python run_ablations.py compare results:variant=none results:variant=ifc
    """
    sides = read_side(a), read_side(b)
    rows = compare(*sides, metric)
    print(write(comparison_grid(*sides, rows, metric, margin, alpha), style))
    lost = [row for row in lost_rows(*sides) if row.regressed]
    if lost or any(row.regressed(metric, margin, alpha) for row in rows):
        return 1
    if not rows:
        raise UserError(f"compare: {a}, {b}: no row is measured in both; see the table")
    return 0
