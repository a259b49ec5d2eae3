"""Checks a directory of records: one of profiles before it is committed, and any from elsewhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ifc_bench.config import Profile
from ifc_bench.errors import UserError
from ifc_bench.records import ProfileResult
from ifc_bench.records.files import is_sealed
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.profiles import render_profiles
from ifc_bench.report.roofline import has_scope_times, roofline_frame
from ifc_bench.report.speeds import doubts_of
from ifc_bench.store import Store

_GOOD = ("ok", "out_of_memory")


def contents(store: Store) -> str:
    """Return the numbers of records in words, as in "8 profiles, 16 footprints"."""
    kinds = Counter(record.work.kind for record in store.records())
    return ", ".join(f"{count} {kind}{'s'[: count != 1]}" for kind, count in kinds.items())


def check_records(store: Store) -> tuple[list[str], list[str]]:
    """Check every record by itself; returns faults and warnings, a line each.

    A damaged record is a fault, and the others are still checked.
    """
    found: list[str] = []
    revisions: dict[str, int] = {}
    missing: Counter[str] = Counter()
    for path in store.record_files():
        try:
            record = store.read(path)
        except UserError as error:
            found.append(str(error))
            continue
        where = f"{record.work.kind}s/{record.id}.json"
        if not is_sealed(path):
            found.append(
                f"{where}: has no sha256, so a change would not show; take the original file"
            )
        if record.provenance.git_dirty:
            found.append(
                f"{where}: was made by code that no commit holds; commit it, and run again"
            )
        if isinstance(record.result, ProfileResult):
            found += [f"{where}: {doubt}; measure it again" for doubt in doubts_of(record.result)]
        if record.status != "ok":
            missing[f"{record.work.kind} {record.status.replace('_', ' ')}"] += 1
        revision = (record.provenance.git_revision or "unknown")[:7]
        revisions[revision] = revisions.get(revision, 0) + 1
    warnings = [f"{count} {words}" for words, count in missing.items()]
    if len(revisions) > 1:
        told = ", ".join(f"{name} ({count} records)" for name, count in revisions.items())
        warnings.append(f"records of {len(revisions)} code revisions: {told}")
    return found, warnings


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
