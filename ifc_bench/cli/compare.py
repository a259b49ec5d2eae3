"""`compare`: compare two sets of profiles, for example to detect regressions in CI."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from ifc_bench.cli.options import Style, number, share
from ifc_bench.errors import UserError
from ifc_bench.report.compare import Question, compare, exit_code
from ifc_bench.report.comparison_table import comparison_grid
from ifc_bench.report.layout import write
from ifc_bench.report.sides import lost_rows, read_side
from ifc_bench.report.verdicts_of_speed import Limits


def command(
    a: Annotated[str, Parameter(help="DIRECTORY or DIRECTORY:field=value,...")],
    b: Annotated[str, Parameter(help="The same, compared with A.")],
    /,
    *,
    metric: Annotated[Literal["fps", "memory"], Parameter(help="What to compare.")] = "fps",
    which: Annotated[
        Literal["network", "masks", "results"] | None,
        Parameter(
            "--number",
            help="FPS of the network, to masks, or to results.json. Default: masks; of older "
            "records without them, results.",
        ),
    ] = None,
    margin: Annotated[float, number("How much worse B may be, as a fraction.")] = 0.05,
    alpha: Annotated[float, share("1 less the level of the interval, for each row.")] = 0.05,
    style: Style = "github",
) -> int:
    """Compare two sets of profiles, of two commits, GPUs or variants, row by row.

    DIRECTORY is one written by `profile --results`. Fields: device, variant, attention, T, S, size,
    frames, precision, compiled, channels_last, form, ladder, weights, commit. Each row is slower,
    faster, same (the whole interval of the ratio is within the margin) or cannot tell, with the
    reason. The exit code is 1 when a row is slower (or needs more memory) by more than the margin
    and beyond noise, or when a row of A is missing in B, failed there or ran out of memory; 3 when
    there is no such row, but one of cannot tell; 0 otherwise, and 2 for bad input.

    Example: python run_ablations.py compare results:variant=none results:variant=ifc
    """
    if which and metric == "memory":
        raise UserError(f"--number {which}: is for FPS; leave it out with --metric memory")
    question = Question(metric, which, Limits(margin, alpha))
    sides = read_side(a), read_side(b)
    rows, lost = compare(*sides, question), lost_rows(*sides)
    print(write(comparison_grid(*sides, rows, question), style))
    code = exit_code(rows, lost)
    if not rows and not code:
        raise UserError(f"compare: {a}, {b}: no row is measured in both; see the table")
    return code
