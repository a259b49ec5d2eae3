"""One cell of a table: its numbers by seed, and their text."""

from __future__ import annotations

from dataclasses import dataclass

from ifc_bench.recipe import Table
from ifc_bench.report.layout import ABSENT, flagged
from ifc_bench.report.origins import Origin
from ifc_bench.report.quantities import ACCURACY
from ifc_bench.report.speeds import Speed
from ifc_bench.report.statistics import Summary, summarise

NOT_RUN = "not run"


@dataclass(frozen=True)
class Cell:
    """One row of a table at one window.

    Attributes:
        values: for each accuracy, its value as a fraction by seed, of the seeds that have one.
        speeds: one for each device that was measured; they never share a mean.
        lost: seeds without a value, by reason ("diverged", "failed", "not run").
        splits: the split hashes behind the values (more than one is a fault, and shown).
        origins: the code and packages behind the values, their training runs and the speeds.
    """

    row: str
    window: int | None
    values: dict[str, dict[int, float]]
    speeds: tuple[Speed, ...]
    lost: dict[str, int]
    splits: frozenset[str]
    origins: frozenset[Origin]

    def summary(self, metric: str) -> Summary | None:
        """Mean and std of an accuracy over seeds."""
        return summarise(list(self.by_seed(metric).values()))

    def by_seed(self, metric: str) -> dict[int, float]:
        """An accuracy of each seed that has one."""
        return self.values.get(metric, {})

    def on(self, setup: tuple[str, str] | None) -> list[Speed]:
        """The speeds on one device with one attention implementation."""
        return [speed for speed in self.speeds if setup == (speed.device, speed.attention)]

    @property
    def recorded(self) -> bool:
        """Whether any record is behind this cell, also of a failure."""
        return bool(self.origins) or any(reason != NOT_RUN for reason in self.lost)


def accuracy(table: Table, cell: Cell, metric: str, most: int) -> str:
    """A mean with its spread (the spread alone in a table of stds), and n where it is not `most`.

    The text counts seeds that ran and have no value: a mean over the others is not the whole.
    """
    summary = cell.summary(metric)
    gone = failures(cell)
    if summary is None:
        return f"{ABSENT} ({', '.join(gone)})" if gone else ABSENT
    points = summary.points
    shown = ACCURACY.with_spread(points.mean, points.std)
    if table.statistic == "std":
        shown = ACCURACY.number(points.std)
    beside = [f"n={summary.n}", *gone] if gone or summary.n < most else []
    return flagged(shown, summary.n) + (f" ({', '.join(beside)})" if beside else "")


def failures(cell: Cell) -> list[str]:
    """Seeds that ran and have no value: "2 diverged"."""
    return counted({reason: n for reason, n in cell.lost.items() if reason != NOT_RUN})


def counted(reasons: dict[str, int]) -> list[str]:
    """Reasons with their numbers, in words."""
    return [f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(reasons.items())]
