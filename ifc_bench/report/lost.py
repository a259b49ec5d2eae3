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
        """ "lost", or "not compared"."""
        return "lost" if self.regressed else "not compared"

    @property
    def reason(self) -> str:
        """The sides without a number, in words."""
        told = [
            f"{found} in {side}"
            for side, found in (("A", self.a), ("B", self.b))
            if found != MEASURED
        ]
        return ", ".join(told)

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}"


def state(record: Record | None) -> str:
    """ "measured", or why there is no number: "missing", "out of memory", "failed"."""
    if record is None:
        return "missing"
    if record.status != "ok":
        return record.status.replace("_", " ")
    result = record.result
    return MEASURED if isinstance(result, ProfileResult) and result.processes else "empty"
