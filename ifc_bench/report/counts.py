"""The records behind a table of MACs, read once and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ifc_bench.recipe import TableOfCounts
from ifc_bench.records import CountResult, Record
from ifc_bench.store import Store


@dataclass(frozen=True)
class Counts:
    """The records behind a table of MACs.

    `macs` holds them by row, frame size and T; None where they are not counted yet.
    """

    table: TableOfCounts
    macs: Mapping[tuple[str, tuple[int, int], int], int | None]

    @classmethod
    def read(cls, table: TableOfCounts, store: Store) -> Counts:
        """Read every record that `table` needs."""
        return cls(
            table,
            {
                (row.label, size, frames): _macs(store.load(table.count(row, size, frames)))
                for row in table.rows
                for size in table.sizes
                for frames in table.frames
            },
        )

    @property
    def recorded(self) -> bool:
        """Whether anything is counted."""
        return any(macs is not None for macs in self.macs.values())

    @property
    def devices(self) -> list[str]:
        """Empty: a count is the same on every device."""
        return []


def _macs(record: Record | None) -> int | None:
    result = record.result if record else None
    return result.encoder_macs if isinstance(result, CountResult) else None
