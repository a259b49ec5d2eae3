"""Two sets of profiles against each other, row by row: commits, devices or variants.

The interval of the ratio decides (`verdicts_of_speed.py`); the p of a rank test is shown beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from scipy.stats import mannwhitneyu

from ifc_bench.config import Profile
from ifc_bench.errors import UserError
from ifc_bench.records import Record
from ifc_bench.report.lost import Lost
from ifc_bench.report.rates import Number, Rates, has, main_number, profile_of, rates_of
from ifc_bench.report.sides import Side, matched
from ifc_bench.report.speeds import doubts_of
from ifc_bench.report.three_numbers import ENDS
from ifc_bench.report.verdicts_of_speed import (
    WORSE,
    Cycles,
    Limits,
    Ratio,
    Verdict,
    ratio_of,
    verdict_on_memory,
    verdict_on_speed,
)

Metric = Literal["fps", "memory"]
Remark = Literal["unequal work", "older records", "two GPU models"]
NUMBERS: dict[Number, str] = {
    "network": "of the network",
    "masks": ENDS["masks"],
    "results": ENDS["results"],
}


@dataclass(frozen=True)
class Question:
    """The quantity to compare, and the difference that counts.

    `number` None: to masks, or to run lengths where both records are older.
    """

    metric: Metric = "fps"
    number: Number | None = None
    limits: Limits = field(default_factory=Limits)


PLAIN = Question()


@dataclass(frozen=True)
class Comparison:
    """One row of both sides.

    Attributes:
        quantity: what is compared, in words.
        a, b: one value of each process: FPS, or peak bytes.
        ratio: B over A; of memory without an interval.
        p: Mann-Whitney's; None for memory, or where one side has a single process.
        cycles: the ratio in clock cycles; None where it was not or cannot be known.
        doubts: reasons not to trust each side.
        remarks: for the head of the table.
    """

    name: str
    quantity: str
    a: tuple[float, ...]
    b: tuple[float, ...]
    ratio: Ratio
    p: float | None
    cycles: Cycles | None
    verdict: Verdict
    doubts: tuple[tuple[str, ...], tuple[str, ...]]
    remarks: tuple[Remark, ...]

    @property
    def values(self) -> dict[str, object]:
        """The row at full precision, for JSON and CSV."""
        low, high = self.ratio.interval or (None, None)
        cycles = self.cycles
        cycles_low, cycles_high = (cycles and cycles.ratio.interval) or (None, None)
        return {
            "name": self.name,
            "quantity": self.quantity,
            "a": self.a,
            "b": self.b,
            "ratio": self.ratio.value,
            "low": low,
            "high": high,
            "p": self.p,
            "cycles_ratio": cycles and cycles.ratio.value,
            "cycles_low": cycles_low,
            "cycles_high": cycles_high,
            "sm_clock_mhz": cycles and cycles.clocks,
            "doubts": self.doubts,
            "remarks": self.remarks,
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
        }


def compare(a: Side, b: Side, question: Question = PLAIN) -> list[Comparison]:
    """Every row that both sides have measured; fields that chose a side may differ.

    Raises:
        UserError: where no row fits, several of one side fit one row, or a record does not have the
            number that is asked for.
    """
    made = _memory if question.metric == "memory" else _speed
    return [made(name, (left, right), (a, b), question) for name, left, right in matched(a, b)]


def exit_code(rows: Sequence[Comparison], lost: Sequence[Lost]) -> int:
    """0: no row is worse; 1: one is worse or lost; 3: none is, but a verdict is "cannot tell"."""
    if any(row.regressed for row in lost) or any(row.verdict.word in WORSE for row in rows):
        return 1
    return 3 if any(row.verdict.word == "cannot tell" for row in rows) else 0


def _speed(
    name: str, records: tuple[Record, Record], sides: tuple[Side, Side], question: Question
) -> Comparison:
    number = _number(records, sides, question.number)
    a, b = (rates_of(record, number) for record in records)
    alpha = question.limits.alpha
    one_model = _one_gpu_model(records)
    cycles = _cycles(a, b, alpha) if one_model else None
    verdict = verdict_on_speed(a.fps, b.fps, question.limits, cycles)
    unknown = " and ".join(side for side, one in (("A", a), ("B", b)) if one.per_cycle is None)
    notes = [f"the SM clock is not known in {unknown}"] if one_model and unknown else []
    quantity = f"FPS {NUMBERS[number]}"
    if number == "results" and not any(has(record, "masks") for record in records):
        quantity = "FPS to run lengths (older records)"
    remarks = _unequal(records)
    if one_model is False:
        remarks += ("two GPU models",)
    doubts = _doubts(records)
    p = None
    if min(len(a.fps), len(b.fps)) > 1:
        p = float(mannwhitneyu(a.fps, b.fps, alternative="two-sided").pvalue)
    return Comparison(
        name=name,
        quantity=quantity,
        a=a.fps,
        b=b.fps,
        ratio=ratio_of(a.fps, b.fps, alpha),
        p=p,
        cycles=cycles,
        verdict=verdict.noting([*notes, *_marks(doubts)]),
        doubts=doubts,
        remarks=remarks,
    )


def _memory(
    name: str, records: tuple[Record, Record], sides: tuple[Side, Side], question: Question
) -> Comparison:
    a, b = (
        tuple(float(p.memory.peak_allocated_bytes) for p in profile_of(record).processes)
        for record in records
    )
    ratio = fmean(b) / fmean(a)
    doubts = _doubts(records)
    return Comparison(
        name=name,
        quantity="peak bytes",
        a=a,
        b=b,
        ratio=Ratio(ratio, None),
        p=None,
        cycles=None,
        verdict=verdict_on_memory(ratio, question.limits.margin).noting(_marks(doubts)),
        doubts=doubts,
        remarks=_unequal(records),
    )


def _number(
    records: tuple[Record, Record], sides: tuple[Side, Side], asked: Number | None
) -> Number:
    """The number of speed to compare.

    Raises:
        UserError: where a record does not have it, or the main numbers are not alike.
    """
    if asked is not None:
        for record, side in zip(records, sides, strict=True):
            if not has(record, asked):
                raise UserError(
                    f"--number {asked}: {side.text}: {record.id} has no FPS {NUMBERS[asked]}; "
                    "measure it again, or choose another number"
                )
        return asked
    numbers = [main_number(record) for record in records]
    if numbers[0] != numbers[1]:
        older = numbers.index("results")
        raise UserError(
            f"{sides[older].text}: {records[older].id} is an older record without FPS to masks, "
            "which the other side has; measure it again, or compare with --number results"
        )
    return numbers[0]


def _cycles(a: Rates, b: Rates, alpha: float) -> Cycles | None:
    if a.per_cycle is None or b.per_cycle is None or a.clock is None or b.clock is None:
        return None
    return Cycles(ratio_of(a.per_cycle, b.per_cycle, alpha), (a.clock, b.clock))


def _one_gpu_model(records: tuple[Record, Record]) -> bool | None:
    """Whether both sides are of one GPU model; None where one is no GPU."""
    devices = [record.provenance.device for record in records]
    if any(device.kind != "cuda" for device in devices):
        return None
    return devices[0].name == devices[1].name


def _unequal(records: tuple[Record, Record]) -> tuple[Remark, ...]:
    """Unequal work of tracker and output, and records of unlike age.

    The work of trained weights may always differ.
    """
    contents = []
    for record in records:
        assert isinstance(record.work, Profile)
        hashes = {p.content for p in profile_of(record).processes if p.content}
        contents.append(hashes if record.work.equal_work else set())
    found: tuple[Remark, ...] = ()
    if all(contents) and contents[0] != contents[1]:
        found += ("unequal work",)
    return (
        found if has(records[0], "masks") == has(records[1], "masks") else (*found, "older records")
    )


def _doubts(records: tuple[Record, Record]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return doubts_of(profile_of(records[0])), doubts_of(profile_of(records[1]))


def _marks(doubts: tuple[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    """Doubts, for the reason of a verdict."""
    return [
        f"! {side} is not to be trusted: {', '.join(found)}"
        for side, found in zip("AB", doubts, strict=True)
        if found
    ]
