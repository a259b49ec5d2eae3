"""The files of one record: JSON with the hash of its content, and its columns in a file beside it.

They are written atomically; a later change is detected when they are read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from ifc_bench.errors import UserError, refuse_irregular
from ifc_bench.file_io import write_bytes, write_text
from ifc_bench.records import Record, plain
from ifc_bench.records.columns_file import SUFFIX, with_columns, without_columns
from ifc_bench.records.migration import migrated

_SEAL = "sha256"
_COLUMNS = "columns_sha256"
_MEND = "restore it from git, or delete it to do the work again"


class StrayFileError(UserError):
    """A file in a directory of records that is not one of them, whatever its name."""


def write_record(path: Path, record: Record) -> None:
    """Write the record `path`, and its columns before it.

    Raises:
        UserError: if the record contradicts itself; nothing is written then.
    """
    content = plain(record)
    try:
        Record.model_validate(content)  # copies of a record may be unvalidated
    except ValidationError as error:
        raise UserError(
            f"{path}: {_first(error)}; not a valid record, so it is not written"
        ) from None
    content, columns = without_columns(record, content)
    if columns is not None:  # first, because a record without its columns would be damaged
        write_bytes(_columns_path(path), columns)
        content[_COLUMNS] = hashlib.sha256(columns).hexdigest()
    content[_SEAL] = seal(content)
    write_text(path, json.dumps(content, separators=(",", ":"), allow_nan=False) + "\n")


def files_of(path: Path) -> list[Path]:
    """The files of the record `path` that exist, the record itself last."""
    return [one for one in (_columns_path(path), path) if one.exists()]


def is_sealed(path: Path) -> bool:
    """Return whether a record has the hash of its content; earlier versions wrote none."""
    return _SEAL in from_json(path.read_bytes())


def seal(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a record's JSON object without the hash: keys sorted, no spaces."""
    rest = {key: value for key, value in content.items() if key != _SEAL}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_record(path: Path) -> Record:
    """Read the record in a file.

    Raises:
        UserError: if it is damaged, or not a record.
        StrayFileError: if it is empty, or the record of other work.
    """
    text = path.read_bytes()
    if not text.strip():
        raise StrayFileError(f"{path}: is empty; {_MEND}")
    try:
        content = from_json(text)
        known = content.get(_SEAL) if isinstance(content, dict) else None
        intact = known is None or known == seal(content)  # earlier versions wrote no hash
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not JSON ({reason}); {_MEND}") from None
    if not intact:
        raise UserError(f"{path}: was changed after it was written; {_MEND}")
    if isinstance(content, dict):
        content.pop(_SEAL, None)
        if (columns := content.pop(_COLUMNS, None)) is not None:
            content = _joined(content, path, columns)
        try:
            content = migrated(content)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        raise UserError(
            f"{path}: {_first(error)}; not a record of this version, or edited by hand; {_MEND}"
        ) from None
    expected = Path(f"{record.work.kind}s") / f"{record.id}.json"
    if path.parts[-2:] != expected.parts:
        raise StrayFileError(
            f"{path}: holds the record that belongs in {expected}; move it there, or delete it"
        )
    return record


def _columns_path(path: Path) -> Path:
    """The file of the columns of the record `path`."""
    return path.with_name(path.stem + SUFFIX)


def _joined(content: dict[str, Any], path: Path, known: str) -> dict[str, Any]:
    """Put the columns, whose SHA-256 is `known`, into the content of the record `path`."""
    beside = _columns_path(path)
    mend = f"restore it from git, or delete {path.name} to do the work again"
    if not beside.exists():
        raise UserError(f"{beside}: is missing; {mend}")
    refuse_irregular(beside)
    file = beside.read_bytes()
    if hashlib.sha256(file).hexdigest() != known:
        raise UserError(f"{beside}: was changed after it was written; {mend}")
    try:
        return with_columns(content, file)
    except ValueError as error:
        raise UserError(f"{beside}: {error}; {mend}") from None


def _first(error: ValidationError) -> str:
    """Describe the first error, with its field."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{field[:60]}: {first['msg'].removeprefix('Value error, ')}"
