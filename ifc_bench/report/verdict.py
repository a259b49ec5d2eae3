"""The verdict on a table in one or two sentences: what exceeds noise, and what could not be seen.

It follows from the records by rule: the tests are those of `significance`, and what could be seen
comes from the stds and the n of the rows. Where the records are few, the committed baseline's
verdict on the same table stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ifc_bench.report.differences import Comparison, spread
from ifc_bench.report.layout import listed, span
from ifc_bench.report.results import AnyResults, Results, comparing
from ifc_bench.report.statistics import FEW

SMOKE = "smoke"  # the preset whose training runs are too short to learn anything
_NAMED = 3


def verdict(
    results: AnyResults, situation: str | None = None, committed: Results | None = None
) -> list[str]:
    """The verdict on a table as a paragraph; none where it has no baseline row.

    `situation` narrows it to the videos of one situation, corrected over all of them; `committed`,
    the table as the committed baseline has it, is quoted where it has more seeds, or is of another
    preset.
    """
    if not comparing(results):
        return []
    baseline = results.table.baseline
    if baseline is None:
        return []
    if results.preset.name == SMOKE:
        return ["Verdict: none; preset smoke proves only that it runs."]
    rows = _rows(results, situation)
    text = [_told(rows, baseline)]
    if committed is not None and _adds(committed, rows, results):
        text += _quoted(_rows(committed, situation), committed)
    return [f"Verdict: {' '.join(text)}"]


def _rows(results: Results, situation: str | None) -> list[Comparison]:
    if situation is None:
        return results.differences
    return [row for row in results.by_situation if row.situation == situation]


def _told(rows: Sequence[Comparison], baseline: str) -> str:
    """Our own sentences, without the committed baseline's."""
    if not rows:
        return f"none; no row can be compared with {baseline} yet."
    judged = [row for row in rows if row.tested.p is not None]
    if not judged:
        return f"none; a single seed cannot tell a difference to {baseline} from noise (n = 1)."
    counts = _counts(judged)
    few = min(counts) < FEW
    sure = [row for row in judged if row.exceeds]
    limit = _limit(judged)
    if few and not sure:
        text = f"cannot tell; with n = {span(counts)}"
        text += f" {limit}." if limit else f" no difference to {baseline} exceeds noise."
    else:
        text = _findings(judged, baseline)
        if few:
            text += f", but with n = {span(counts)} a std is hardly known"
        text += f"; with n = {span(counts)} {limit}." if limit and not few else "."
    left = len(rows) - len(judged)
    return text + (f" {left} more cannot be tested (a single seed)." if left else "")


def _findings(rows: Sequence[Comparison], baseline: str) -> str:
    """ "2 of 12 differences to No Comm exceed noise: IFC at T = 5 (+3.1 AP), ..."."""
    sure = sorted((row for row in rows if row.exceeds), key=lambda row: -abs(row.tested.mean))
    if not sure:
        if len(rows) == 1:
            return f"the difference to {baseline} does not exceed noise"
        return f"none of {len(rows)} differences to {baseline} exceeds noise"
    named = [
        f"{row.row} at T = {row.window or 'video'} ({row.tested.mean:+.1f} AP)"
        for row in sure[:_NAMED]
    ]
    if len(sure) > _NAMED:
        named.append(f"{len(sure) - _NAMED} more")
    if len(rows) == 1:
        return f"the difference to {baseline} exceeds noise: {listed(named)}"
    verb = "exceeds" if len(sure) == 1 else "exceed"
    return f"{len(sure)} of {len(rows)} differences to {baseline} {verb} noise: {listed(named)}"


def _limit(rows: Sequence[Comparison]) -> str:
    """The smallest difference that the fewest seeds can show; empty where no std is known."""
    noise = spread(rows)
    if noise is None:
        return ""
    least = noise.detectable(min(_counts(rows)))
    return f"only differences above {least:.1f} AP could be seen (80% power, {noise})"


def _counts(rows: Sequence[Comparison]) -> list[int]:
    return [side.n for row in rows for side in (row.a, row.b)]


def _adds(committed: Results, rows: Sequence[Comparison], ours: Results) -> bool:
    """Whether the baseline adds something: the same kind of data, other or more training runs."""
    if {one.data.kind for one in ours.table.recipes} != {"synthetic"}:
        return False
    known = min(_counts(rows), default=0)
    there = min(_counts(_rows(committed, None)), default=0)
    return ours.preset.name != committed.preset.name or known < there


def _quoted(rows: Sequence[Comparison], committed: Results) -> list[str]:
    judged = [row for row in rows if row.tested.p is not None]
    if not judged:
        return []
    found = _findings(judged, committed.table.baseline or "")
    named = f"preset {committed.preset.name}, n = {span(_counts(judged))}"
    return [f"The committed baseline ({named}) says: {found}."]
