"""The id of a piece of work: a hash of all that determines its result."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ifc_bench.config.strict import Strict

_FIRST_DEFAULTS: dict[tuple[str, str], object] = {("Protocol", "edition"): 1}


class Work(Strict):
    """A piece of work; its id is the hash of all that determines its result.

    Fields at their defaults are left out of the hash, so a later version can add a field and
    still find all records. In return, a released default never changes; where it has to, the first
    one (`_FIRST_DEFAULTS`) is left out.
    """

    @property
    def id(self) -> str:
        canonical = json.dumps(_essence(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _essence(value: Strict) -> dict[str, Any]:
    """The fields that differ from their defaults, and every `kind`; values within values alike."""
    fields = {}
    for name, field in type(value).model_fields.items():
        content = getattr(value, name)
        default = _FIRST_DEFAULTS.get((type(value).__name__, name), field.default)
        if name == "kind" or content != default:
            fields[name] = _essence(content) if isinstance(content, Strict) else content
    return fields
