"""Merges the records of another results directory into this one; no record changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ifc_bench.config import Training
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_bytes
from ifc_bench.records import Record
from ifc_bench.store import Store

_NAMED = 3


@dataclass(frozen=True)
class Merged:
    """Account of the records of the other directory.

    Attributes:
        copied: files that were written here: records, their columns, and kept weights.
        known: records that were here already.
        failed: records of failed work, which are not copied.
    """

    copied: tuple[Path, ...]
    known: int
    failed: int


def merge(ours: Store, theirs: Store) -> Merged:
    """Copy every record of `theirs` that `ours` lacks, and its kept weights; the same files.

    A record of failed work gives way to theirs. Everything is compared first, so after an error
    nothing is written; after an interrupt the same call does the rest.

    Raises:
        UserError: if a record of theirs is damaged, or both have one of the same work with other
            content; it names both.
    """
    new, known, failed, conflicts = list[Record](), 0, 0, list[str]()
    for record in theirs.records(strict=True):
        here = ours.load(record.work)
        if record.status == "failed":
            failed += 1
        elif here is None or here.status == "failed":
            new.append(record)
        elif here == record:
            known += 1
        else:
            conflicts.append(_conflict(ours, theirs, here, record))
    if conflicts:
        more = len(conflicts) - _NAMED
        raise UserError(
            "; ".join(conflicts[:_NAMED])
            + (f"; and {more} more" if more > 0 else "")
            + "; keep one of the two files and delete the other, nothing was copied"
        )
    copied = [path for record in new for path in _copied(ours, theirs, record)]
    return Merged(tuple(copied), known, failed)


def _copied(ours: Store, theirs: Store, record: Record) -> Iterator[Path]:
    """Copy the files of a record; the record itself last, so that it is never without them."""
    sources = theirs.files_of(record.work)
    if isinstance(record.work, Training) and theirs.kept_path(record.work).exists():
        sources = [theirs.kept_path(record.work), *sources]
    for source in sources:
        target = ours.results / source.relative_to(theirs.results)
        write_bytes(target, source.read_bytes())
        yield target


def _conflict(ours: Store, theirs: Store, here: Record, there: Record) -> str:
    paths = (store.record_path(here.work) for store in (ours, theirs))
    origins = (
        f"{one.status}, {one.provenance.device.name}, {one.provenance.created[:19]}"
        for one in (here, there)
    )
    told = (f"{path} ({origin})" for path, origin in zip(paths, origins, strict=True))
    return f"{' and '.join(told)} are records of the same work with other content"
