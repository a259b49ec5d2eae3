"""Checks a directory of profiles before it is committed: what a reader of its records relies on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ifc_bench.config import Profile
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.roofline import has_scope_times, roofline_frame
from ifc_bench.store import Store

_GOOD = ("ok", "out_of_memory")


def contents(store: Store) -> str:
    """Return the numbers of records in words, as in "8 profiles, 16 footprints"."""
    kinds = Counter(record.work.kind for record in store.records())
    return ", ".join(f"{count} {kind}{'s'[: count != 1]}" for kind, count in kinds.items())


def faults(store: Store) -> list[str]:
    """Return what keeps the directory from being committed; empty if nothing does.

    Raises:
        UserError: if a record is damaged.
    """
    found = []
    records = list(store.records("profile", "footprint", "count", strict=True))
    if not any(isinstance(record.work, Profile) for record in records):
        found.append("has no profile")
    for record in records:
        where = f"{record.work.kind} {record.id}"
        if record.provenance.git_dirty:
            found.append(f"{where}: was measured on code that no commit holds; commit it first")
        if record.status not in _GOOD:
            found.append(f"{where}: {record.status}; run the command again")
    scoped = {record.id for record in records if has_scope_times(record)}
    counted = roofline_frame(store)
    if scoped and len(counted) != 4 * len(scoped):
        found.append("counts are missing for some profiles; run `profile` again")
    if scoped:
        found += _table_faults(store)
    return found


def _table_faults(store: Store) -> list[str]:
    path: Path = store.table_path("profile")
    if not path.exists():
        return [f"{path}: is missing; run `profile` again"]
    text = render_profiles(store.records("profile"), paper=PaperNumbers())
    if text != path.read_text(encoding="utf-8"):
        return [f"{path}: is not the table of these records; run `profile` again"]
    return []
