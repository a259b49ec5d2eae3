"""The columns of a record, in a compressed file beside it: they are most of its bytes."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

from ifc_bench.records.consistency import Columns
from ifc_bench.records.record import Record

SUFFIX = ".columns.json.gz"
_CURVES = ("loss", "loss_parts")  # of a training run


def without_columns(record: Record, content: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """Take the columns out of the JSON values of `record`.

    Returns:
        The other values, and the gzip file of the columns; None if the record has none. The same
        columns give the same bytes, which contain no time and no name.
    """
    result = content["result"] or {}
    names = [
        name
        for name in result
        if name in _CURVES or isinstance(getattr(record.result, name), Columns)
    ]
    if not names:
        return content, None
    columns = {name: result[name] for name in names}
    rest = {name: value for name, value in result.items() if name not in columns}
    text = json.dumps(columns, separators=(",", ":"), allow_nan=False)
    return {**content, "result": rest}, gzip.compress(text.encode(), mtime=0)


def with_columns(content: dict[str, Any], file: bytes) -> dict[str, Any]:
    """Put the columns of a file that `without_columns` made back into the values of a record.

    Raises:
        ValueError: if the file is not what it wrote.
    """
    try:
        columns = json.loads(gzip.decompress(file))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not a gzip file ({error})") from None
    if not isinstance(columns, dict) or not isinstance(content.get("result"), dict):
        raise ValueError("not the columns of a result")
    return {**content, "result": {**content["result"], **columns}}
