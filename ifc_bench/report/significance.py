"""Which differences of a table exceed noise: ours from records, the paper's from what it prints.

Each row is held against the table's baseline row, at every window. Tests are two-sided; Holm's
correction is over all tests of one table and metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ifc_bench.errors import UserError
from ifc_bench.recipe import Preset, Table
from ifc_bench.report.aggregate import Cell, collect, situations_of
from ifc_bench.report.layout import ABSENT, Grid, describe
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.statistics import (
    Difference,
    Summary,
    holm,
    paired,
    probability_of_improvement,
    seeds_needed,
    welch,
)
from ifc_bench.store import Store

_LEVEL = 0.05
_PAPER_RUNS = 5  # the paper's n (Section 4)
_WORTH_FINDING = (0.01, 0.02, 0.03)  # differences of AP, as fractions


@dataclass(frozen=True)
class Comparison:
    """A row against the baseline at one window; numbers are in percentage points.

    `matched` is the paired difference over seeds, None for the paper, which prints no runs;
    `corrected` is Welch's p after Holm.
    """

    row: str
    window: int | None
    a: Summary
    b: Summary
    free: Difference
    matched: Difference | None
    improvement: tuple[float, tuple[float, float] | None] | None
    corrected: float | None
    situation: str | None = None

    @property
    def label(self) -> str:
        """The row, and the situation where it is one."""
        return f"{self.situation.replace('_', ' ')}: {self.row}" if self.situation else self.row

    @property
    def exceeds(self) -> bool:
        """Whether the difference is more than noise."""
        return self.corrected is not None and self.corrected < _LEVEL


def significance_grid(table: Table, preset: Preset, store: Store) -> Grid:
    """Which of our own differences exceed noise."""
    rows = compare_rows(table, preset, store)
    head = [f"data: {describe(preset.data)}", f"preset: {preset.name}", *power_lines(rows)]
    return _grid(f"{table.title}: what exceeds noise", table.baseline or "", rows, head)


def situation_grid(table: Table, preset: Preset, store: Store) -> Grid:
    """Which of our own differences exceed noise on the videos of one situation.

    Raises:
        UserError: where the data tell no situations.
    """
    rows = compare_situations(table, preset, store)
    if not rows:
        raise UserError(f"--by-situation: {table.name}: no record tells situations of its videos")
    head = [f"data: {describe(preset.data)}", f"preset: {preset.name}"]
    title = f"{table.title}: what exceeds noise, by situation"
    return _grid(title, table.baseline or "", rows, head)


def paper_grid(table: Table, paper: PaperNumbers) -> Grid:
    """Which of the paper's differences exceed noise.

    Raises:
        UserError: where it prints no stds for this table.
    """
    if not paper.has_stds(table.paper_table):
        raise UserError(f"--paper: {table.name}: the paper prints no stds for it")
    baseline = table.baseline or ""
    rows = compare_paper(paper, table.paper_table or "", baseline)
    head = [
        "computed here from the printed means and stds, taken as sample stds of n = 5 independent "
        "runs; the paper makes no such test",
        *power_lines(rows),
    ]
    return _grid(f"{table.title}: what exceeds noise in the paper", baseline, rows, head)


def best_rows(
    table: Table, preset: Preset, store: Store, metric: str
) -> set[tuple[str, int | None]]:
    """Rows that beat every other one at their window by more than noise (Welch, Holm)."""
    cells = collect(table, preset, store)
    found = set()
    for window in dict.fromkeys(cell.window for cell in cells):
        known = [(c.row, s) for c in cells if c.window == window and (s := c.summary(metric))]
        if len(known) < 2:
            continue
        row, best = max(known, key=lambda pair: pair[1].mean)
        ps = [welch(other, best).p for name, other in known if name != row]
        if all(p is not None for p in ps) and max(holm([p or 0.0 for p in ps])) < _LEVEL:
            found.add((row, window))
    return found


def compare_rows(
    table: Table, preset: Preset, store: Store, metric: str = "AP"
) -> list[Comparison]:
    """Every row of ours against `table.baseline`, from records; corrected over the table."""
    return _corrected(_differences(table, collect(table, preset, store), metric))


def compare_situations(
    table: Table, preset: Preset, store: Store, metric: str = "AP"
) -> list[Comparison]:
    """The same on the videos of each situation alone; corrected over all situations together.

    Empty where the data tell no situations.
    """
    found: list[Comparison] = []
    for situation in situations_of(table, preset, store):
        cells = collect(table, preset, store, situation)
        found += _differences(table, cells, metric, situation)
    return _corrected(found)


def _differences(
    table: Table, found: list[Cell], metric: str, situation: str | None = None
) -> list[Comparison]:
    """Every row against the baseline at the same window, not corrected yet."""
    cells = {(cell.row, cell.window): cell for cell in found}
    comparisons = []
    for window in [cell.window for cell in found if cell.row == table.baseline]:
        base = cells[table.baseline or "", window]
        for row in table.rows:
            other = cells.get((row.label, window))
            if row.label == table.baseline or other is None:
                continue
            before, after = base.summary(metric), other.summary(metric)
            if before is None or after is None:
                continue
            a, b = _points(before), _points(after)
            x, y = base.by_seed(metric), other.by_seed(metric)
            comparisons.append(
                Comparison(
                    row=row.label,
                    window=window,
                    a=a,
                    b=b,
                    free=welch(a, b),
                    matched=paired(_hundredfold(x), _hundredfold(y)),
                    improvement=probability_of_improvement(list(x.values()), list(y.values())),
                    corrected=None,
                    situation=situation,
                )
            )
    return comparisons


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
    return _corrected(found)


def _grid(title: str, baseline: str, rows: Sequence[Comparison], head: Sequence[str]) -> Grid:
    """The comparisons as a table; the last columns only where runs are known one by one."""
    ours = any(row.matched is not None for row in rows)
    placed = any(row.situation for row in rows)
    columns = ["situation"] if placed else []
    columns += ["T", "row", "difference [95%]", "p", "p (Holm)", "Hedges' g"]
    columns += ["paired [95%]", "p (paired)", "P(better) [95%]"] if ours else []
    grid = Grid(title, [*_explained(baseline, rows), *head], [*columns, "exceeds noise"])
    for row in rows:
        line = [str(row.situation)] if placed else []
        line += [str(row.window or "video"), row.row, *_difference(row.free), _p(row.corrected)]
        line.append(ABSENT if row.free.effect is None else f"{row.free.effect:+.2f}")
        if ours:
            line += [*(_difference(row.matched) if row.matched else (ABSENT, ABSENT))]
            line.append(_share(row.improvement))
        grid.rows.append([*line, "yes" if row.exceeds else "no"])
        grid.values.append(_values(row))
    return grid


def pooled_std(rows: Sequence[Comparison]) -> float | None:
    """The std behind both sides of all comparisons, in points; None where none has one."""
    stds = [summary.std for row in rows for summary in (row.a, row.b) if summary.std]
    return (sum(std**2 for std in stds) / len(stds)) ** 0.5 if stds else None


def power_lines(rows: Sequence[Comparison]) -> list[str]:
    """How many seeds a row would need to find differences worth finding, from the stds seen."""
    pooled = pooled_std(rows)
    if pooled is None:
        return []
    needed = [f"{100 * d:.0f} AP: {seeds_needed(100 * d, pooled)}" for d in _WORTH_FINDING]
    return [
        f"seeds a row for 80% power at 5% (t-test, std {pooled:.1f}, without correction): "
        + ", ".join(needed)
    ]


def _corrected(rows: list[Comparison]) -> list[Comparison]:
    """With Holm's correction over all that have a p."""
    known = [index for index, row in enumerate(rows) if row.free.p is not None]
    adjusted = holm([rows[index].free.p or 0.0 for index in known])
    values = dict(zip(known, adjusted, strict=True))
    return [
        Comparison(**{**vars(row), "corrected": values.get(index)})
        for index, row in enumerate(rows)
    ]


def _explained(baseline: str, rows: Sequence[Comparison]) -> list[str]:
    counts = sorted({summary.n for row in rows for summary in (row.a, row.b)})
    n = (
        str(counts[0])
        if len(set(counts)) == 1
        else f"{counts[0]} to {counts[-1]}"
        if counts
        else "0"
    )
    few = any(summary.few for row in rows for summary in (row.a, row.b))
    lines = [
        f"against {baseline}; differences in points of AP; Welch's test, n = {n} runs a row; "
        f"Holm over {len(rows)} tests",
        f"{sum(row.exceeds for row in rows)} of {len(rows)} differences exceed noise",
    ]
    return [*lines, "warning: fewer than 3 runs somewhere; read nothing into it"] if few else lines


def _points(summary: Summary) -> Summary:
    std = None if summary.std is None else 100 * summary.std
    return Summary(summary.n, 100 * summary.mean, std)


def _hundredfold(values: dict[int, float]) -> dict[int, float]:
    return {seed: 100 * value for seed, value in values.items()}


def _difference(found: Difference) -> tuple[str, str]:
    if found.interval is None:
        return f"{found.mean:+.1f}", ABSENT
    low, high = found.interval
    return f"{found.mean:+.1f} [{low:+.1f}, {high:+.1f}]", _p(found.p)


def _p(p: float | None) -> str:
    if p is None:
        return ABSENT
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


def _share(found: tuple[float, tuple[float, float] | None] | None) -> str:
    if found is None:
        return ABSENT
    known = "" if found[1] is None else f" [{found[1][0]:.2f}, {found[1][1]:.2f}]"
    return f"{found[0]:.2f}{known}"


def _values(row: Comparison) -> dict[str, object]:
    return {
        **({"situation": row.situation} if row.situation else {}),
        "T": row.window,
        "row": row.row,
        "baseline_mean": row.a.mean,
        "mean": row.b.mean,
        "welch": vars(row.free),
        "p_holm": row.corrected,
        "paired": None if row.matched is None else vars(row.matched),
        "probability_of_improvement": row.improvement,
        "exceeds_noise": row.exceeds,
    }
