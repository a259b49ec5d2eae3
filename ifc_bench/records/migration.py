"""Brings records of older schema versions to this one.

A new field with a default needs no version: older records are read as they are. A change of meaning
does: it adds one to `SCHEMA_VERSION`, and a step here. Files never change; each reading migrates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ifc_bench.records.record import SCHEMA_VERSION

Content = dict[str, Any]
# From each version to the next.
STEPS: Mapping[int, Callable[[Content], Content]] = {}


def migrated(
    content: Content,
    steps: Mapping[int, Callable[[Content], Content]] = STEPS,
    newest: int = SCHEMA_VERSION,
) -> Content:
    """Return the content of a record in this version's schema.

    Raises:
        ValueError: if it is of a newer version, or none.
    """
    version = content.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError("schema_version: is no whole number; not a record")
    if version > newest:
        raise ValueError(
            f"schema_version: is {version}, this version reads up to {newest}; update ifc_bench"
        )
    while version < newest:
        if version not in steps:
            raise ValueError(f"schema_version: {version} is not known")
        content = {**steps[version](content), "schema_version": version + 1}
        version += 1
    return content
