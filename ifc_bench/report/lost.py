"""Rows of a comparison of profiles that have no number on one side or on both.

A row with a number in A and none in B is a regression: a variant that no longer fits its GPU is
not as fast as before.
"""

from __future__ import annotations

from dataclasses import dataclass

from ifc_bench.records import ProfileResult, Record

MEASURED = "measured"


@dataclass(frozen=True)
class Lost:
    """A row without a number; `a` and `b` are the states of both sides (see `state`)."""

    name: str
    a: str
    b: str

    @property
    def regressed(self) -> bool:
        """Whether A has a number and B has none."""
        return self.a == MEASURED and self.b != MEASURED

    @property
    def verdict(self) -> str:
        """The row in words."""
        if self.regressed:
            return f"regression: {self.b} in B"
        if self.b == MEASURED:
            return f"{self.a} in A"
        return f"{self.a} in A, {self.b} in B"


def state(record: Record | None) -> str:
    """ "measured", or why there is no number: "missing", "out of memory", "failed"."""
    if record is None:
        return "missing"
    if record.status != "ok":
        return record.status.replace("_", " ")
    result = record.result
    return MEASURED if isinstance(result, ProfileResult) and result.processes else "empty"
