"""The profiles behind a row of a table, with their speeds."""

from __future__ import annotations

from ifc_bench.config import Profile
from ifc_bench.recipe import Preset, Row, Table
from ifc_bench.records import Device, Record
from ifc_bench.report.speeds import Speed, speed_of
from ifc_bench.store import Store


def profiles_of(store: Store) -> dict[str, list[Record]]:
    """All profiles, by the id that they have without their device."""
    found: dict[str, list[Record]] = {}
    for record in store.records("profile"):
        if isinstance(record.work, Profile):
            found.setdefault(record.work.id_anywhere, []).append(record)
    return found


def speeds_of(
    table: Table, preset: Preset, row: Row, window: int | None, profiles: dict[str, list[Record]]
) -> tuple[tuple[Record, Speed], ...]:
    """The profiles of a row at one window on every device, of all that `profiles_of` has."""
    wanted = table.profile(preset, row, window, Device(kind="cpu", name=""))
    if wanted is None:
        return ()
    # Older records stand in where a row has no number of today's protocol.
    found = profiles.get(wanted.id_anywhere) or profiles.get(wanted.older.id_anywhere, [])
    return tuple((record, speed) for record in found if (speed := speed_of(record)))
