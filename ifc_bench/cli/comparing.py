"""`compare`: two sets of profiles; guards speed in CI."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from ifc_bench.cli.options import Style
from ifc_bench.errors import UserError
from ifc_bench.report.compare import FIELDS, compare, lost_rows, read_side, render_comparison


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("compare")
    def compare_command(
        a: Annotated[str, typer.Argument(metavar="A", help="FOLDER or FOLDER:field=value,...")],
        b: Annotated[str, typer.Argument(metavar="B", help="The same, held against A.")],
        metric: Annotated[Literal["fps", "memory"], typer.Option(help="What to compare.")] = "fps",
        threshold: Annotated[
            float, typer.Option(min=0, help="How much worse B may be, as a fraction.")
        ] = 0.05,
        alpha: Annotated[
            float, typer.Option(min=0, max=1, help="The test's level, for each row.")
        ] = 0.05,
        style: Style = "github",
    ) -> None:
        """Compare two sets of profiles, of two commits, cards or variants, row by row.

        A FOLDER is one that `profile --results` wrote. Exit code 1 when B is slower (or larger) by
        more than the threshold and that is no noise, or when a row that A has is missing in B,
        failed there or ran out of memory.

        Example: python run_ablations.py compare results:variant=none results:variant=ifc
        """
        sides = read_side(a), read_side(b)
        rows = compare(*sides, metric)
        print(render_comparison(*sides, rows, metric, threshold, alpha, style))
        lost = [row for row in lost_rows(*sides) if row.regressed]
        if lost or any(row.regressed(metric, threshold, alpha) for row in rows):
            raise typer.Exit(1)
        if not rows:
            raise UserError(f"compare: {a}, {b}: no row is measured on both sides; see the table")

    compare_command.__doc__ = (compare_command.__doc__ or "").replace(
        "Exit code 1", f"Fields: {', '.join(FIELDS)}. Exit code 1"
    )
