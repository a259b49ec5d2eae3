"""Merges the records of another results directory into this one; no record changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ifc_bench.config import Count, Training
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_bytes
from ifc_bench.records import REPEATED, Record
from ifc_bench.store import Store

_NAMED = 3
_GIVES_WAY = REPEATED | {"out_of_memory", "timed_out"}  # of a machine, and not of the work


@dataclass(frozen=True)
class Merged:
    """Account of the records of the other directory.

    Attributes:
        copied: files that were written here: records, their columns, and kept weights.
        known: records that were here already.
        failed: records of failed work, which are not copied; nor are those of lacking memory or
            time where there is a record here.
    """

    copied: tuple[Path, ...]
    known: int
    failed: int


def merge(ours: Store, theirs: Store) -> Merged:
    """Copy every record of `theirs` that `ours` lacks, and its kept weights; the same files.

    A record of work that failed, or lacked memory or time, gives way to one that did not.
    Everything is compared first, so after an error nothing is written; after an interrupt the same
    call does the rest.

    Raises:
        UserError: if a record of theirs is damaged, or both have one of the same work with other
            content; it names both.
    """
    new, new_weights, conflicts = list[Record](), list[Path](), list[str]()
    known = failed = 0
    for record in theirs.records(strict=True):
        here = ours.load(record.work)
        if record.status in REPEATED:
            failed += 1
        elif here is None:
            new.append(record)
        elif here == record or _same_count(here, record):
            known += 1
            if not _weights(ours, record):  # `keep` may have been called after the last merge
                new_weights += _weights(theirs, record)
        elif record.status in _GIVES_WAY:
            failed += 1
        elif here.status in _GIVES_WAY:
            new.append(record)
        else:
            conflicts.append(_conflict(ours, theirs, here, record))
    if conflicts:
        more = len(conflicts) - _NAMED
        raise UserError(
            "; ".join(conflicts[:_NAMED])
            + (f"; and {more} more" if more > 0 else "")
            + "; keep one of the two files and delete the other, nothing was copied"
        )
    sources = [path for record in new for path in _files(theirs, record)] + new_weights
    copied = [_copied(ours, theirs, source) for source in sources]
    return Merged(tuple(copied), known, failed)


def _files(theirs: Store, record: Record) -> list[Path]:
    """The files of a record; the record itself last, so that it is never without them."""
    return [*_weights(theirs, record), *theirs.files_of(record.work)]


def _weights(store: Store, record: Record) -> list[Path]:
    """The kept weights of a training run, if there are any."""
    if not isinstance(record.work, Training):
        return []
    return [path for path in (store.kept_path(record.work),) if path.exists()]


def _copied(ours: Store, theirs: Store, source: Path) -> Path:
    target = ours.results / source.relative_to(theirs.results)
    write_bytes(target, source.read_bytes())
    return target


def _same_count(here: Record, there: Record) -> bool:
    """Whether both are the same count: exact, so every machine makes the same."""
    same = (here.status, here.result) == (there.status, there.result)
    return isinstance(here.work, Count) and same


def _conflict(ours: Store, theirs: Store, here: Record, there: Record) -> str:
    paths = (store.record_path(here.work) for store in (ours, theirs))
    origins = (
        f"{one.status}, {one.provenance.device.name}, {one.provenance.created[:19]}"
        for one in (here, there)
    )
    told = (f"{path} ({origin})" for path, origin in zip(paths, origins, strict=True))
    return f"{' and '.join(told)} are records of the same work with other content"
