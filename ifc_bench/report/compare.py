"""Two sets of profiles against each other: commits, devices or variants.

The unit is the process: passes within one process are not independent, so a process counts once,
with its median. With fewer than four processes on each side no rank test can reach 5%.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from scipy.stats import mannwhitneyu

from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.records import ProfileResult, Record
from ifc_bench.report.layout import ABSENT, Caution, Grid
from ifc_bench.report.lost import MEASURED, Lost, state
from ifc_bench.report.speeds import doubts_of, row_of
from ifc_bench.report.statistics import summarise, welch
from ifc_bench.report.three_numbers import process_fps
from ifc_bench.store import Store

Metric = Literal["fps", "memory"]
FIELDS = (
    "device", "variant", "attention", "T", "S", "size", "frames", "precision", "compiled",
    "channels_last", "form", "ladder", "weights", "commit",
)  # fmt: skip
_LEAST_PROCESSES = 4


@dataclass(frozen=True)
class Side:
    """Records to compare, those of failures among them, and the fields that chose them."""

    text: str
    records: tuple[Record, ...]
    chosen_by: frozenset[str]


@dataclass(frozen=True)
class Comparison:
    """One row of both sides: `ratio` is B over A with its 95% interval, `p` a rank test's.

    `low` and `high` are None where one side has a single process, `p` where a rank test says
    nothing. `doubts` are the reasons not to trust each side.
    """

    name: str
    a: tuple[float, ...]
    b: tuple[float, ...]
    ratio: float
    low: float | None
    high: float | None
    p: float | None
    doubts: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def regressed(self, metric: Metric, threshold: float, alpha: float) -> bool:
        """Whether B is worse by more than `threshold`, beyond noise."""
        if metric == "memory":  # an allocator's peak does not vary
            return self.ratio > 1 + threshold
        return self.ratio < 1 - threshold and self.p is not None and self.p < alpha


def read_side(text: str) -> Side:
    """The profiles of "DIRECTORY" or "DIRECTORY:field=value,...".

    Raises:
        UserError: where there is no such directory, field or record.
    """
    folder, _, conditions = text.partition(":")
    store = Store(Path(folder), Path())
    if not store.holds("profile"):
        raise UserError(f"{folder}: has no directory profiles; name one that `profile` wrote")
    records = list(store.records("profile", strict=True))  # no row may get lost
    fields = set()
    for condition in filter(None, conditions.split(",")):
        field, equals, value = condition.partition("=")
        if field not in FIELDS or not equals:
            raise UserError(f"{text}: {condition!r} is no field=value of {', '.join(FIELDS)}")
        records = [record for record in records if _matches(row_of(record), field, value)]
        fields.add(field)
    if not records:
        raise UserError(f"{text}: no profile fits")
    return Side(text, tuple(records), frozenset(fields))


def compare(a: Side, b: Side, metric: Metric = "fps") -> list[Comparison]:
    """Every row that both sides have measured; fields that chose a side may differ.

    Raises:
        UserError: where no row fits, or several of one side fit one row.
    """
    keys = _matched_fields(a, b)
    left, right = _by_key(a, keys), _by_key(b, keys)
    shared = [key for key in left if key in right]
    if not shared:
        raise UserError(_nothing_in_common(a, b, keys))
    return [
        _compared(_name(key, keys), left[key], right[key], metric)
        for key in shared
        if state(left[key]) == state(right[key]) == MEASURED
    ]


def lost_rows(a: Side, b: Side) -> list[Lost]:
    """Every row that has no number on one side or on both."""
    keys = _matched_fields(a, b)
    left, right = _by_key(a, keys), _by_key(b, keys)
    rows = [
        Lost(_name(key, keys), state(left.get(key)), state(right.get(key)))
        for key in dict.fromkeys([*left, *right])
    ]
    return [row for row in rows if not row.a == row.b == MEASURED]


def comparison_grid(
    a: Side,
    b: Side,
    rows: Sequence[Comparison],
    metric: Metric,
    threshold: float,
    alpha: float,
) -> Grid:
    """The table, with what counts as a regression in its head."""
    unit = "FPS" if metric == "fps" else "peak bytes"
    head = [
        f"A: {a.text} ({_commits(a)})",
        f"B: {b.text} ({_commits(b)})",
        f"ratio: B / A of {unit}, with its 95% interval (Welch on logarithms, unit: process)",
        f"a regression: worse by more than {threshold:.0%}"
        + (f" with Mann-Whitney p < {alpha}" if metric == "fps" else "")
        + ", or lost: measured in A and not in B",
        *_doubtful(rows),
    ]
    grid = Grid("Comparison", head, ["row", "A", "B", "n", "ratio", "95%", "p", "verdict"])
    for row in rows:
        verdict = _verdict(row, metric, threshold, alpha)
        interval = ABSENT if row.low is None else f"[{row.low:.3f}, {row.high:.3f}]"
        p = ABSENT if row.p is None else f"{row.p:.3f}"
        digits = 2 if metric == "fps" else 0
        means = [
            f"{fmean(side):.{digits}f}{'!' if doubts else ''}"
            for side, doubts in zip((row.a, row.b), row.doubts, strict=True)
        ]
        count = f"{len(row.a)}, {len(row.b)}"
        grid.rows.append([row.name, *means, count, f"{row.ratio:.3f}", interval, p, verdict])
        grid.values.append({**vars(row), "verdict": verdict})
    for gone in lost_rows(a, b):
        grid.rows.append([gone.name, gone.a, gone.b, *[ABSENT] * 4, gone.verdict])
        grid.values.append({**vars(gone), "verdict": gone.verdict})
    return grid


def _doubtful(rows: Sequence[Comparison]) -> list[str]:
    """Reasons not to trust a number."""
    return [
        Caution(f"! not to be trusted: {side}: {row.name}: {'; '.join(doubts)}")
        for row in rows
        for side, doubts in zip("AB", row.doubts, strict=True)
        if doubts
    ]


def _verdict(row: Comparison, metric: Metric, threshold: float, alpha: float) -> str:
    if row.regressed(metric, threshold, alpha):
        return "regression"
    if metric == "fps" and min(len(row.a), len(row.b)) < _LEAST_PROCESSES:
        return "too few processes to tell"
    if row.p is not None and row.p < alpha:
        return "differs"
    return "no difference shown" if metric == "fps" else "within the threshold"


def _result(record: Record) -> ProfileResult:
    assert isinstance(record.result, ProfileResult)
    return record.result


def _values(result: ProfileResult, metric: Metric) -> tuple[float, ...]:
    if metric == "fps":
        return tuple(process_fps(result))
    return tuple(float(p.memory.peak_allocated_bytes) for p in result.processes)


def _matched_fields(a: Side, b: Side) -> list[str]:
    """The fields that must agree: those that chose no side."""
    free = a.chosen_by | b.chosen_by | {"commit"}
    return [field for field in FIELDS if field not in free]


def _name(key: tuple[Any, ...], keys: Sequence[str]) -> str:
    """A row by its fields."""
    return " ".join(
        f"{field}={value}" if field in ("T", "S") else str(value)
        for field, value in zip(keys, key, strict=True)
        if field not in ("compiled", "channels_last", "ladder", "weights", "frames")
    )


def _compared(name: str, left: Record, right: Record, metric: Metric) -> Comparison:
    a, b = (_values(_result(record), metric) for record in (left, right))
    logs = [[math.log(value) for value in side] for side in (a, b)]
    left_log, right_log = (summarise(side) for side in logs)
    assert left_log is not None
    assert right_log is not None
    difference = welch(left_log, right_log)
    low, high = difference.interval or (None, None)
    p = None
    if metric == "fps" and min(len(a), len(b)) > 1:
        p = float(mannwhitneyu(a, b, alternative="two-sided").pvalue)
    return Comparison(
        name=name,
        a=a,
        b=b,
        ratio=math.exp(difference.mean),
        low=None if low is None else math.exp(low),
        high=None if high is None else math.exp(high),
        p=p,
        doubts=(doubts_of(_result(left)), doubts_of(_result(right))),
    )


def _by_key(side: Side, keys: Sequence[str]) -> dict[tuple[Any, ...], Record]:
    found: dict[tuple[Any, ...], Record] = {}
    for record in side.records:
        row = row_of(record)
        key = tuple(row[field] for field in keys)
        if state(found.get(key)) != MEASURED:  # a failure, if any, gives way
            found[key] = record
        elif state(record) == MEASURED:
            raise UserError(
                f"{side.text}: {found[key].id} and {record.id} are one row; narrow it down with "
                f":field=value ({', '.join(FIELDS)})"
            )
    return found


def _nothing_in_common(a: Side, b: Side, keys: Sequence[str]) -> str:
    for field in keys:
        left, right = ({str(row_of(r)[field]) for r in side.records} for side in (a, b))
        if not left & right:
            return (
                f"compare: {field}: {', '.join(sorted(left))} in A, {', '.join(sorted(right))} in "
                f"B; to compare across it, name it on both sides ({a.text}:{field}=...)"
            )
    return "compare: the two sides have no row in common"


def _matches(row: dict[str, Any], field: str, value: str) -> bool:
    if field == "device":
        return same_gpu(value, row[field])
    if field == "commit":
        return str(row[field]).startswith(value)
    return str(row[field]) == value or (field == "variant" and row["communication"] == value)


def _commits(side: Side) -> str:
    """The code behind a side."""
    found = {(record.provenance.git_revision or "no commit")[:7] for record in side.records}
    return ", ".join(sorted(found))
