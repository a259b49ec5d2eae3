"""Differences of a table, and which exceed noise: ours from records, the paper's as printed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from statistics import fmean

from ifc_bench.errors import UserError
from ifc_bench.recipe import AnyTable
from ifc_bench.report.crossed import Crossed
from ifc_bench.report.differences import Comparison, compare_paper, spread
from ifc_bench.report.heads import data_of
from ifc_bench.report.layout import ABSENT, Grid
from ifc_bench.report.over_videos import over_videos
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.results import Results
from ifc_bench.report.statistics import Difference

_PAIRED = "a t-test of pairs, since both runs of a seed start from one pretraining"
_WORTH_FINDING = (0.01, 0.02, 0.03)  # differences of AP, as fractions


def significance_grid(results: Results) -> Grid:
    """Our own differences, and which exceed noise."""
    table, rows = results.table, results.differences
    baseline = table.baseline or ""
    both = [over_videos(results, row.row, baseline, row.window) for row in rows]
    head = [*_told(results), *_parts(both), *power_lines(rows)]
    return _grid(f"{table.title}: what exceeds noise", table.baseline or "", rows, head, both)


def situation_grid(results: Results) -> Grid:
    """Our own differences on the videos of each situation, and which exceed noise.

    Raises:
        UserError: where the data tell no situations.
    """
    table, rows = results.table, results.by_situation
    if not rows:
        raise UserError(f"--by-situation: {table.name}: no record has situations")
    title = f"{table.title}: what exceeds noise, by situation"
    return _grid(title, table.baseline or "", rows, _told(results))


def paper_grid(table: AnyTable, paper: PaperNumbers) -> Grid:
    """The differences of the paper, and which exceed noise.

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


def _told(results: Results) -> list[str]:
    return [f"data: {data_of(results.table)}", f"preset: {results.preset.name}"]


def _parts(both: Sequence[Crossed | None]) -> list[str]:
    """The parts of a difference's std, of the seeds and of the videos; empty where not known."""
    known = [one for one in both if one is not None and _ends(one)]
    if not known:
        return []
    seeds = 100 * fmean((one.seed_std or 0.0) ** 2 for one in known) ** 0.5
    videos = 100 * fmean((one.video_std or 0.0) ** 2 for one in known) ** 0.5
    return [
        f"intervals and p are over seeds, on these videos, but for one column; the std of a "
        f"difference is {seeds:.1f} over other seeds and {videos:.1f} over other videos "
        f"({known[0].videos} here)"
    ]


def _grid(
    title: str,
    baseline: str,
    rows: Sequence[Comparison],
    head: Sequence[str],
    both: Sequence[Crossed | None] = (),
) -> Grid:
    """The comparisons as a table; the last columns only where runs are known one by one."""
    ours = any(row.matched is not None for row in rows)
    placed = any(row.situation for row in rows)
    columns = ["situation"] if placed else []
    columns += ["T", "row", "difference [95%]", "p", "p (Holm)", "Hedges' g"]
    columns += ["over seeds and videos [95%]"] if any(both) else []
    kinds = {row.pairs for row in rows}
    other = "other test" if len(kinds) > 1 else "unpaired" if kinds == {True} else "paired"
    columns += [f"{other} [95%]", f"p ({other}, not corrected)", "P(better)"] if ours else []
    grid = Grid(title, [*_explained(baseline, rows), *head], [*columns, "exceeds noise"])
    for row, over in zip_longest(rows, both):
        line = [str(row.situation)] if placed else []
        tested, beside = row.tested, row.free if row.pairs else row.matched
        line += [str(row.window or "video"), row.row, *_difference(tested), _p(row.corrected)]
        line.append(ABSENT if tested.effect is None else f"{tested.effect:+.2f}")
        line += [_over(over)] if any(both) else []
        if ours:
            line += [*(_difference(beside) if beside else (ABSENT, ABSENT))]
            line.append(ABSENT if row.improvement is None else f"{row.improvement:.2f}")
        grid.rows.append([*line, "yes" if row.exceeds else "no"])
        # Draws of the videos are sums of many numbers, which CPUs round differently.
        interval = _ends(over)
        ends = None if interval is None else tuple(round(end, 6) for end in interval)
        grid.values.append({**_values(row), **({"over_videos": ends} if any(both) else {})})
    return grid


def _over(found: Crossed | None) -> str:
    interval = _ends(found)
    if interval is None:
        return ABSENT
    low, high = interval
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def _ends(found: Crossed | None) -> tuple[float, float] | None:
    """The ends of an interval over seeds and videos; None where one of them has no std."""
    return found.interval() if found is not None and found.seed_std is not None else None


def power_lines(rows: Sequence[Comparison]) -> list[str]:
    """Seeds that a row needs to show differences worth finding, from the stds seen."""
    noise = spread(rows)
    if noise is None:
        return []
    needed = [f"{100 * d:.0f} AP: {noise.seeds_needed(100 * d)}" for d in _WORTH_FINDING]
    return [
        f"seeds a row for 80% power at 5% (t-test, {noise}, without correction): "
        + ", ".join(needed)
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
    paired = sum(row.pairs for row in rows)
    test = "Welch's test" if not paired else _PAIRED
    if 0 < paired < len(rows):
        test = f"{_PAIRED} for {paired} rows, Welch's test for the rest"
    lines = [
        f"against {baseline}; differences in points of AP; {test}, n = {n} runs a row; "
        f"Holm over {len(rows)} tests",
        f"{sum(row.exceeds for row in rows)} of {len(rows)} differences exceed noise",
    ]
    return [*lines, "warning: fewer than 3 runs somewhere; read nothing into it"] if few else lines


def _difference(found: Difference) -> tuple[str, str]:
    if found.interval is None:
        return f"{found.mean:+.1f}", ABSENT
    low, high = found.interval
    return f"{found.mean:+.1f} [{low:+.1f}, {high:+.1f}]", _p(found.p)


def _p(p: float | None) -> str:
    if p is None:
        return ABSENT
    return f"{p:.3f}" if p >= 0.001 else "<0.001"


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
        "tested": "paired" if row.tested is row.matched else "welch",
        "probability_of_improvement": row.improvement,
        "exceeds_noise": row.exceeds,
    }
