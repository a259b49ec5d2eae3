"""Directories of profiles beside a report: the names of their sections, and their origin."""

from __future__ import annotations

from collections.abc import Sequence

from ifc_bench.config import Profile
from ifc_bench.records import Record
from ifc_bench.report.layout import Caution
from ifc_bench.store import Store

ELSEWHERE = "not measured here"


def random_profiles(store: Store) -> list[Record]:
    """Profiles of random weights, and rungs of ladders; those of trainings are in their tables."""
    return [
        record
        for record in store.records("profile")
        if isinstance(record.work, Profile) and record.work.weights.kind == "random"
    ]


def section_name(profiles: Sequence[Record], taken: set[str]) -> str:
    """A name for files and links after the devices, not after the directory."""
    devices = "-".join(sorted({record.provenance.device.name for record in profiles})).lower()
    letters = "".join(letter if letter.isalnum() else "-" for letter in devices)
    base = "-".join(filter(None, letters.split("-"))) or "predicted"
    names = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def whence(directory: str, profiles: Sequence[Record], here: set[str]) -> str:
    """The directory of profiles, and whether devices of these names made the records `here`.

    Only names are known: two machines may have CPUs of the same name.
    """
    if here & {record.provenance.device.name for record in profiles}:
        return f"from the directory {directory}; a device of the same name made these records"
    made = f"these records were made on {', '.join(sorted(here))}" if here else "no records here"
    return Caution(f"{ELSEWHERE}: from the directory {directory}; {made}")
