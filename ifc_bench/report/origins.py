"""Warns of tables that mix records of different code or packages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ifc_bench.records import Record
from ifc_bench.report.layout import Caution

_PACKAGES = ("torch", "torchvision", "numpy", "pycocotools")  # those that change numbers
_SHOWN = 3


@dataclass(frozen=True)
class Origin:
    """The code and the packages behind a record.

    Attributes:
        revision: of git; None where there was no repository.
        dirty: whether the code had changes that no commit holds.
        packages: name and version of those that change numbers.
    """

    revision: str | None
    dirty: bool
    packages: tuple[tuple[str, str], ...]


def origin_of(record: Record) -> Origin:
    """The origin of a record."""
    provenance = record.provenance
    versions = (
        (name, provenance.packages[name]) for name in _PACKAGES if name in provenance.packages
    )
    return Origin(provenance.git_revision, bool(provenance.git_dirty), tuple(versions))


def origin_lines(origins: Iterable[Origin]) -> list[str]:
    """One line on mixed origins for the head of a table; none where all are alike.

    It is a warning where packages differ or code had changes, for then numbers may.
    """
    found = set(origins)
    revisions = sorted({(one.revision or "no commit")[:7] for one in found})
    changed = sorted({(one.revision or "no commit")[:7] for one in found if one.dirty})
    parts = []
    if len(revisions) > 1:
        parts.append(f"records of {len(revisions)} code revisions ({_few(revisions)})")
    warnings = []
    if changed:
        warnings.append(f"code with changes that no commit holds ({_few(changed)})")
    for name in _PACKAGES:
        versions = sorted({v for one in found for package, v in one.packages if package == name})
        if len(versions) > 1:
            warnings.append(f"{len(versions)} versions of {name} ({_few(versions)})")
    if not parts and not warnings:
        return []
    text = ", ".join([*parts, *warnings])
    return [Caution(f"warning: {text}") if warnings else text]


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
