"""The identity oracle as a table: what better association between frames could still win."""

from __future__ import annotations

from statistics import fmean

from ifc_bench.report.layout import ABSENT, Grid, flagged
from ifc_bench.report.quantities import ACCURACY
from ifc_bench.report.results import Results
from ifc_bench.report.statistics import Summary, summarise


def has_oracle(results: Results) -> bool:
    """Whether any evaluation has AP with the ground truth's identities."""
    return any(result.oracle is not None for _, result in results.evaluated())


def oracle_grid(results: Results) -> Grid:
    """AP before and after tracks are joined again by the ground truth, and how often they break.

    Means over seeds with their sample std, in percentage points.
    """
    head = [
        "in each frame a mask is given to the instance that it covers best (IoU of 0.5 at least), "
        "and what an instance got is joined to one track; masks, classes and scores stay",
        "breaks: how often the track that covers an instance gives way to another, per instance",
    ]
    columns = ["row", "T", "n", "AP", "AP joined", "to win", "breaks"]
    grid = Grid(f"{results.table.title}: identity oracle", head, columns)
    for (row, window), tests in results.tests.items():
        pairs = [
            (result.metrics["AP"], oracle.metrics["AP"], fmean(oracle.breaks))
            for test in tests
            if (result := test.result) and (oracle := result.oracle) and oracle.breaks
        ]
        known = [(a, b, breaks) for a, b, breaks in pairs if a is not None and b is not None]
        before, after, won = (
            summarise(values)
            for values in (
                [a for a, _, _ in known], [b for _, b, _ in known], [b - a for a, b, _ in known],
            )
        )  # fmt: skip
        breaks = summarise([broken for *_, broken in known])
        shown = [_shown(one) for one in (before, after, won)]
        often = ABSENT if breaks is None else f"{breaks.mean:.2f}"
        grid.rows.append([row, str(window or "video"), str(len(known)), *shown, often])
        grid.values.append(
            {
                "row": row, "T": window, "n": len(known),
                "AP": before and before.mean, "AP_joined": after and after.mean,
                "difference": won and won.mean, "breaks": breaks and breaks.mean,
            }
        )  # fmt: skip
    return grid


def _shown(summary: Summary | None) -> str:
    if summary is None:
        return ABSENT
    points = summary.points
    return flagged(ACCURACY.with_spread(points.mean, points.std), summary.n)
