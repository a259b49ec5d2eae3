"""The two sides of `compare`: directories of profiles, narrowed down, and their rows matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.records import Record
from ifc_bench.report.lost import MEASURED, Lost, state
from ifc_bench.report.speeds import row_of
from ifc_bench.store import Store

FIELDS = (
    "device", "variant", "attention", "T", "S", "size", "frames", "precision", "compiled",
    "channels_last", "form", "ladder", "weights", "commit",
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """Records to compare, those of failures among them, and the fields that chose them."""

    text: str
    records: tuple[Record, ...]
    chosen_by: frozenset[str]

    @property
    def commits(self) -> str:
        """The code behind the records."""
        found = {(record.provenance.git_revision or "no commit")[:7] for record in self.records}
        return ", ".join(sorted(found))


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


def matched(a: Side, b: Side) -> list[tuple[str, Record, Record]]:
    """Name and both records of every row that both sides have measured.

    Raises:
        UserError: where no row fits, or several of one side fit one row.
    """
    keys = _matched_fields(a, b)
    left, right = _by_key(a, keys), _by_key(b, keys)
    shared = [key for key in left if key in right]
    if not shared:
        raise UserError(_nothing_in_common(a, b, keys))
    return [
        (_name(key, keys), left[key], right[key])
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
