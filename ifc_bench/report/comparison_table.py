"""The table of `compare`: a line for each row, the rule of the verdicts in its head."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ifc_bench.report.compare import PLAIN, Comparison, Question, Remark
from ifc_bench.report.layout import ABSENT, Caution, Grid
from ifc_bench.report.sides import Side, lost_rows


def comparison_grid(
    a: Side, b: Side, rows: Sequence[Comparison], question: Question = PLAIN
) -> Grid:
    """The table, with the rule of its verdicts in its head."""
    interval = question.limits.shown_level
    columns = ["row", "A", "B", "n", "ratio", interval, "p", "verdict"]
    grid = Grid("Comparison", _head(a, b, rows, question), columns)
    digits = 2 if question.metric == "fps" else 0
    for row in rows:
        means = [
            f"{fmean(side):.{digits}f}{'!' if doubts else ''}"
            for side, doubts in zip((row.a, row.b), row.doubts, strict=True)
        ]
        shown = row.ratio.shown_interval if row.ratio.interval else ABSENT
        p = ABSENT if row.p is None else f"{row.p:.3f}"
        counts = f"{len(row.a)}, {len(row.b)}"
        cells = [row.name, *means, counts, f"{row.ratio.value:.3f}", shown, p, str(row.verdict)]
        grid.rows.append(cells)
        grid.values.append(row.values)
    for gone in lost_rows(a, b):
        grid.rows.append([gone.name, gone.a, gone.b, *[ABSENT] * 4, str(gone)])
        grid.values.append({**vars(gone), "verdict": gone.verdict, "reason": gone.reason})
    return grid


def _head(a: Side, b: Side, rows: Sequence[Comparison], question: Question) -> list[str]:
    limits = question.limits
    margin = limits.shown_margin
    sides = [f"A: {a.text} ({a.commits})", f"B: {b.text} ({b.commits})"]
    quantities = " or ".join(dict.fromkeys(row.quantity for row in rows))
    if question.metric == "memory":
        rule = [
            f"ratio: B / A of {quantities or 'peak bytes'}; it does not vary, so it decides alone",
            f"more, less: beyond {margin}; same: within; lost: measured in A and not in B",
        ]
    else:
        rule = [
            f"ratio: B / A of {quantities or 'FPS'}, with its {limits.shown_level} interval (Welch "
            "on logarithms, unit: process)",
            f"slower, faster: the interval does not hold 1 and the ratio is beyond {margin}; same: "
            f"the whole interval is within {margin}; lost: measured in A and not in B; p: "
            "Mann-Whitney's, decides nothing",
        ]
    if any(row.cycles for row in rows):
        rule.append("on a GPU a difference must hold in frames per cycle of the SM clock too")
    return [*sides, *rule, *_remarked(rows), *_doubtful(rows)]


def _remarked(rows: Sequence[Comparison]) -> list[str]:
    """Differences between the sides that affect how their numbers compare."""
    found: dict[Remark, list[str]] = {}
    for row in rows:
        for remark in row.remarks:
            found.setdefault(remark, []).append(row.name)
    named = {
        remark: "all rows" if len(names) == len(rows) else "; ".join(names)
        for remark, names in found.items()
    }
    lines: list[str] = []
    if "unequal work" in named:
        told = "tracker and output were given other tracks in A than in B"
        lines.append(Caution(f"unequal work: {told}: {named['unequal work']}"))
    if "older records" in named:
        told = "older records end at run lengths, before the text of results.json, and their memory"
        told += " is of older code"
        lines.append(Caution(f"one side is older: {told}: {named['older records']}"))
    if "two GPU models" in named:
        told = "clock cycles of one are not those of the other, so seconds decide alone"
        lines.append(f"two GPU models: {told}: {named['two GPU models']}")
    return lines


def _doubtful(rows: Sequence[Comparison]) -> list[str]:
    """Reasons not to trust a number."""
    return [
        Caution(f"! not to be trusted: {side}: {row.name}: {'; '.join(doubts)}")
        for row in rows
        for side, doubts in zip("AB", row.doubts, strict=True)
        if doubts
    ]
