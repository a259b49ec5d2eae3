"""Communication modules of a user's own, found by name: nothing of this package has to change.

Naming a module runs no code of it (of a package around it, its `__init__`); building a network with
it does, as any import would.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ifc_bench.config import OwnModule
from ifc_bench.errors import UserError

if TYPE_CHECKING:
    from ifc_bench.models.communication import Communication

_LOADED: dict[str, str] = {}  # the digest of each module's file when it was imported


def own_module(source: str, memory_tokens: int = 0) -> OwnModule:
    """The configuration of "package.module:Class", with the hash of its source as it is now.

    Raises:
        UserError: where `source` is no such name, or Python finds no such module.
    """
    try:
        return OwnModule(source=source, sha256=_digest(source), memory_tokens=memory_tokens)
    except ValidationError as error:
        raise UserError(
            f"communication: {source!r} is no package.module:Class with memory tokens of 0 or more"
        ) from error


def load_own(own: OwnModule) -> type[Communication]:
    """The class that `own` names.

    Raises:
        UserError: where it is not there, is no `Communication`, or its code has changed since.
    """
    from ifc_bench.models.communication import Communication

    if _digest(own.source) != own.sha256:
        raise UserError(
            f"communication: the code of {own.source!r} is not what it was when this work was "
            "named; name it again with own_module, which makes new work of it"
        )
    name, _, wanted = own.source.partition(":")
    found = getattr(_imported(name, own.sha256), wanted, None)
    if not (isinstance(found, type) and issubclass(found, Communication)):
        raise UserError(
            f"communication: {own.source!r} is no subclass of "
            "ifc_bench.models.communication.Communication"
        )
    return found


def _imported(name: str, digest: str) -> ModuleType:
    """The module as its file is now: a notebook may have imported it before the file changed."""
    if name not in sys.modules:
        module = importlib.import_module(name)
    elif _LOADED.get(name) != digest:
        module = importlib.reload(sys.modules[name])
    else:
        module = sys.modules[name]
    _LOADED[name] = digest
    return module


def _digest(source: str) -> str:
    """SHA-256 of the file that holds a class; the file is not run."""
    module = source.partition(":")[0]
    try:
        importlib.invalidate_caches()  # the file may be a minute old
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UserError(
            f"communication: Python finds no module {module!r} for {source!r}; put its folder on "
            "sys.path, or on PYTHONPATH"
        )
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
