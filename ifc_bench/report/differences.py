"""Differences between rows of a table, and which of them exceed noise.

Each row is compared with the table's baseline row, at every window. Tests are two-sided; Holm's
correction is over all tests of one table and metric. Rows whose training runs of one seed start
from one pretraining of that seed are compared pair by pair: what the pretraining decides is in both
and cancels. This follows from how the rows are trained, never from their results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ifc_bench.report.cells import Cell
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.statistics import (
    Difference,
    Summary,
    detectable,
    holm,
    paired,
    probability_of_improvement,
    seeds_needed,
    welch,
)

_LEVEL = 0.05
_PAPER_RUNS = 5  # the paper's n (Section 4)
Paired = Callable[[str, str], bool]  # whether two rows are compared pair by pair


@dataclass(frozen=True)
class Comparison:
    """A row against the baseline at one window; numbers are in percentage points.

    `free` is over independent runs (Welch), `matched` over pairs of a seed, None for the paper,
    which prints no runs. `pairs` says which of them is the test; `corrected` is its p after Holm.
    """

    row: str
    window: int | None
    a: Summary
    b: Summary
    free: Difference
    matched: Difference | None
    improvement: float | None
    corrected: float | None
    situation: str | None = None
    pairs: bool = False

    @property
    def tested(self) -> Difference:
        """The difference that is tested."""
        return self.matched if self.pairs and self.matched is not None else self.free

    @property
    def label(self) -> str:
        """The row, and the situation where it is one."""
        return f"{self.situation.replace('_', ' ')}: {self.row}" if self.situation else self.row

    @property
    def exceeds(self) -> bool:
        """Whether the difference is more than noise."""
        return self.corrected is not None and self.corrected < _LEVEL


def _never(row: str, against: str) -> bool:
    return False


def compare(
    cells: Sequence[Cell],
    baseline: str,
    metric: str = "AP",
    situation: str | None = None,
    pairs: Paired = _never,
) -> list[Comparison]:
    """Every row against `baseline` at the same window; not corrected, see `corrected`."""
    at = {(cell.row, cell.window): cell for cell in cells}
    comparisons = []
    for window in [cell.window for cell in cells if cell.row == baseline]:
        base = at[baseline, window]
        for row in dict.fromkeys(cell.row for cell in cells):
            other = at.get((row, window))
            if row == baseline or other is None:
                continue
            before, after = base.summary(metric), other.summary(metric)
            if before is None or after is None:
                continue
            a, b = before.points, after.points
            x, y = base.by_seed(metric), other.by_seed(metric)
            comparisons.append(
                Comparison(
                    row=row,
                    window=window,
                    a=a,
                    b=b,
                    free=welch(a, b),
                    matched=paired(_hundredfold(x), _hundredfold(y)),
                    improvement=probability_of_improvement(list(x.values()), list(y.values())),
                    corrected=None,
                    situation=situation,
                    pairs=pairs(row, baseline),
                )
            )
    return comparisons


def corrected(rows: list[Comparison]) -> list[Comparison]:
    """With Holm's correction over all that have a p."""
    known = [index for index, row in enumerate(rows) if row.tested.p is not None]
    adjusted = holm([rows[index].tested.p or 0.0 for index in known])
    values = dict(zip(known, adjusted, strict=True))
    return [
        Comparison(**{**vars(row), "corrected": values.get(index)})
        for index, row in enumerate(rows)
    ]


def best_rows(
    cells: Sequence[Cell], metric: str, pairs_of: Paired = _never
) -> set[tuple[str, int | None]]:
    """Rows better than every other row at their window by more than noise.

    The best is chosen by the same data, so Holm's correction is over all pairs of rows of all
    windows.
    """
    pairs: list[tuple[tuple[str, int | None], tuple[str, int | None], float | None]] = []
    means: dict[tuple[str, int | None], float] = {}
    for window in dict.fromkeys(cell.window for cell in cells):
        known = [c for c in cells if c.window == window and c.summary(metric)]
        means |= {(c.row, window): s.mean for c in known if (s := c.summary(metric))}
        pairs += [
            ((a.row, window), (b.row, window), _p(a, b, metric, pairs_of(b.row, a.row)))
            for a, b in combinations(known, 2)
        ]
    adjusted = holm([1.0 if p is None else p for *_, p in pairs])
    beaten: dict[tuple[str, int | None], set[bool]] = {}
    for (a, b, _), p in zip(pairs, adjusted, strict=True):
        for one, other in ((a, b), (b, a)):
            better = means[one] > means[other] and p < _LEVEL
            beaten.setdefault(one, set()).add(better)
    return {place for place, all_of_them in beaten.items() if all_of_them == {True}}


def _p(a: Cell, b: Cell, metric: str, pairs: bool) -> float | None:
    """The p of no difference between two cells, seed by seed with `pairs`."""
    if pairs:
        matched = paired(a.by_seed(metric), b.by_seed(metric))
        return None if matched is None else matched.p
    left, right = a.summary(metric), b.summary(metric)
    return None if left is None or right is None else welch(left, right).p


def compare_paper(
    paper: PaperNumbers, table: str, baseline: str, metric: str = "AP"
) -> list[Comparison]:
    """Every printed row of one of the paper's tables against `baseline`.

    Assumes independent runs, n = 5 each as the paper says, and that its ± is a sample std.
    """
    frame = paper.frame
    rows = frame[(frame["table"] == table) & (frame["metric"] == metric) & frame["std"].notna()]
    found = []
    for window in sorted(rows["T"].dropna().unique()):
        at = {str(r.variant): r for r in rows[rows["T"] == window].itertuples()}
        a = Summary(_PAPER_RUNS, float(at[baseline].mean), float(at[baseline].std))
        for variant, row in at.items():
            if variant != baseline:
                b = Summary(_PAPER_RUNS, float(row.mean), float(row.std))
                found.append(Comparison(variant, int(window), a, b, welch(a, b), None, None, None))
    return corrected(found)


def pooled_std(rows: Sequence[Comparison]) -> float | None:
    """The std over seeds, pooled over rows and baseline, each once; None where all are alike."""
    sides = {(row.situation, row.window, row.row): row.b for row in rows}
    sides |= {(row.situation, row.window, ""): row.a for row in rows}  # the baseline
    known = [(side.n - 1, side.std) for side in sides.values() if side.std is not None]
    freedom = sum(n for n, _ in known)
    squares = sum(n * std**2 for n, std in known)
    return (squares / freedom) ** 0.5 if squares else None


@dataclass(frozen=True)
class Spread:
    """The noise of differences: the std of a run or, with `pairs`, of the difference of a pair."""

    std: float
    pairs: bool

    def __str__(self) -> str:
        return f"std{' of a paired difference' if self.pairs else ''} {self.std:.1f}"

    def detectable(self, n: int) -> float:
        """The smallest difference that n seeds find with 80% power."""
        return detectable(self.std, n, pairs=self.pairs)

    def seeds_needed(self, difference: float) -> int:
        """The seeds of a row that find a `difference` with 80% power."""
        return seeds_needed(difference, self.std, pairs=self.pairs)


def spread(rows: Sequence[Comparison]) -> Spread | None:
    """The noise of all `rows`; None where none is known. By pairs only where all of them are."""
    if not rows or not all(row.pairs for row in rows):
        std = pooled_std(rows)
        return None if std is None else Spread(std, False)
    matched = [row.matched for row in rows if row.matched is not None]
    known = [(one.n[0] - 1, one.std) for one in matched if one.std is not None]
    freedom = sum(n for n, _ in known)
    squares = sum(n * std**2 for n, std in known)
    return Spread((squares / freedom) ** 0.5, True) if squares else None


def _hundredfold(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: 100 * value for seed, value in values.items()}
