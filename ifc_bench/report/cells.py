"""Writes single cells of a table: a mean, its spread, and what a reader must know beside it."""

from __future__ import annotations

from ifc_bench.recipe import Table
from ifc_bench.report.aggregate import NOT_RUN, Cell
from ifc_bench.report.layout import ABSENT, flagged, percent


def accuracy(table: Table, cell: Cell, metric: str, most: int) -> str:
    """A mean with its spread (the spread alone in a table of stds), and n where it is not `most`.

    Seeds that ran and have no value are told, for a mean over those that are left is not the mean.
    """
    summary = cell.summary(metric)
    gone = failures(cell)
    if summary is None:
        return f"{ABSENT} ({', '.join(gone)})" if gone else ABSENT
    std = None if summary.std is None else 100 * summary.std
    shown = percent(100 * summary.mean, std)
    if table.statistic == "std":
        shown = ABSENT if std is None else percent(std, None)
    beside = [f"n={summary.n}", *gone] if gone or summary.n < most else []
    return flagged(shown, summary.n) + (f" ({', '.join(beside)})" if beside else "")


def failures(cell: Cell) -> list[str]:
    """The seeds that ran and gave nothing: "2 diverged"."""
    return counted({reason: n for reason, n in cell.lost.items() if reason != NOT_RUN})


def counted(reasons: dict[str, int]) -> list[str]:
    """Reasons with their numbers, in words."""
    return [f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(reasons.items())]
