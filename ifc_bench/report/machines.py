"""Folders of profiles beside a report: how their sections are named, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence

from ifc_bench.config import Profile
from ifc_bench.records import Record
from ifc_bench.report.layout import Caution
from ifc_bench.store import Store

ELSEWHERE = "not measured here"


def random_profiles(store: Store) -> list[Record]:
    """Profiles of random weights; those of trainings are in their tables already."""
    return [
        record
        for record in store.records("profile")
        if isinstance(record.work, Profile) and record.work.weights.kind == "random"
    ]


def section_name(profiles: Sequence[Record], taken: set[str]) -> str:
    """A name for files and links after the devices, for a folder's name says nothing of them."""
    devices = "-".join(sorted({record.provenance.device.name for record in profiles})).lower()
    letters = "".join(letter if letter.isalnum() else "-" for letter in devices)
    base = "-".join(filter(None, letters.split("-"))) or "predicted"
    names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def whence(folder: str, profiles: Sequence[Record], here: set[str]) -> str:
    """Tell the folder of profiles, and whether a device of these names made the records `here`.

    Names are all that is known: two machines may have processors of one name.
    """
    if here & {record.provenance.device.name for record in profiles}:
        return f"from the folder {folder}; a device of the same name made these records"
    made = f"these records were made on {', '.join(sorted(here))}" if here else "no records here"
    return Caution(f"{ELSEWHERE}: from the folder {folder}; {made}")
