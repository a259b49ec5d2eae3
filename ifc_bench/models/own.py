"""Communication modules of the user, resolved by name, without a change to this package.

Networks of the user (`own_network.py`) are found and imported by the same rules. Resolving a name
does not import the module (only the `__init__` of its parent packages); building a network does.
Only modules named by the user are imported, never those named in a record, because a record may
come from anyone.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from importlib.machinery import SOURCE_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ifc_bench.config import OwnModule
from ifc_bench.errors import UserError

if TYPE_CHECKING:
    from ifc_bench.models.communication import Communication

FIELD = "communication"
_LOADED: dict[str, str] = {}  # the digest of each module's file when it was imported
_NAMED: set[str] = set()


def own_module(source: str, memory_tokens: int = 0) -> OwnModule:
    """Create the configuration of "package.module:Class", with the current hash of its source.

    Raises:
        UserError: if `source` does not have this form, Python finds no such module, or the module
            has no such class.
    """
    try:
        digest = digest_of(source, FIELD)
        own = OwnModule(source=source, sha256=digest, memory_tokens=memory_tokens)
    except ValidationError as error:
        raise UserError(
            f"communication: {source[:60]!r} is not a package.module:Class, or memory tokens are "
            "negative"
        ) from error
    refuse_missing(source, FIELD)
    let_import([source])
    return own


def named() -> tuple[str, ...]:
    """Return the modules named in this process, to pass them on to spawned processes."""
    return tuple(sorted(_NAMED))


def let_import(sources: Iterable[str]) -> None:
    """Allow `load_own` to import these modules in this process, because the user named them."""
    _NAMED.update(sources)


def load_own(own: OwnModule) -> type[Communication]:
    """Load the class that `own` names.

    Raises:
        UserError: if the user did not name it in this process, it does not exist, it is not a
            subclass of `Communication`, or its code has changed since.
    """
    naming = f"--own {own.source} (--communication if the command has that, own_module in Python)"
    found = load_named(own.source, own.sha256, FIELD, naming)
    from ifc_bench.models.communication import Communication

    if not (isinstance(found, type) and issubclass(found, Communication)):
        raise UserError(
            f"communication: {own.source!r} is not a subclass of "
            "ifc_bench.models.communication.Communication"
        )
    return found


def load_named(source: str, sha256: str, field: str, naming: str) -> Any:
    """Import the module of "package.module:name" and return what the name stands for, or None.

    `field` begins messages; `naming` says how the user names a source.

    Raises:
        UserError: if the user did not name it in this process, or its code has changed since.
            Errors of the module itself are raised as they are.
    """
    if source not in _NAMED:
        raise UserError(
            f"{field}: this work uses your module {source!r}, which is imported only if you name "
            f"it: {naming}"
        )
    if digest_of(source, field) != sha256:
        raise UserError(
            f"{field}: the code of {source!r} has changed since this work was defined; name it "
            "again, which gives new work"
        )
    name, _, wanted = source.partition(":")
    return getattr(_imported(name, sha256), wanted, None)


def _imported(name: str, digest: str) -> ModuleType:
    """Import the module, or reload it if its file changed since (in a notebook)."""
    if name not in sys.modules:
        module = importlib.import_module(name)
    elif _LOADED.get(name) != digest:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some libraries warn when loaded twice
            module = importlib.reload(sys.modules[name])
    else:
        module = sys.modules[name]
    _LOADED[name] = digest
    return module


def digest_of(source: str, field: str) -> str:
    """Return the SHA-256 of the file of "package.module:name"; the file is not run.

    Raises:
        UserError: if Python finds no such module; the message names `field`.
    """
    return hashlib.sha256(_file(source, field).read_bytes()).hexdigest()


def _file(source: str, field: str) -> Path:
    """Find the file of "package.module:name"."""
    module = source.partition(":")[0]
    try:
        importlib.invalidate_caches()  # the file may be newer than the caches
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        spec = None
    except Exception as error:  # from the __init__ of a parent package, which runs
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename}:{where.lineno}"
        if isinstance(error, SyntaxError):
            place = f"{error.filename}:{error.lineno}"
        raise UserError(
            f"{field}: {module[:60]!r} cannot be imported: {place}: {type(error).__name__}: {error}"
        ) from None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UserError(
            f"{field}: Python finds no module {module[:60]!r} for {source[:60]!r}; put its "
            "directory on sys.path, or on PYTHONPATH"
        )
    return Path(spec.origin)


def refuse_missing(source: str, field: str, noun: str = "class") -> None:
    """Search the source text for the name, to refuse a wrong one before long work starts.

    `noun` is "class", or "factory" for a function or a class.

    Raises:
        UserError: if the module has no such name, or is not valid Python.
    """
    module, _, wanted = source.partition(":")
    file = _file(source, field)
    if file.suffix not in SOURCE_SUFFIXES:
        return  # compiled: only an import would show the names
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        where = f":{line}" if line else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(
            f"{field}: {file}{where}: {type(error).__name__}: {message}; the module {module} "
            "is not valid Python"
        ) from None
    if set(_bound(tree)).isdisjoint((wanted, "*", "__getattr__")):  # these two may define any name
        kinds = (ast.ClassDef,) if noun == "class" else (ast.ClassDef, ast.FunctionDef)
        known = [node.name for node in tree.body if isinstance(node, kinds)]
        raise UserError(
            f"{field}: the module {module} has no {noun} {wanted}; it has: "
            f"{', '.join(known[:5]) or 'none'}"
        )


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module binds at its top level; "*" for a star import."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            match node:
                case (
                    ast.ClassDef(name=name)
                    | ast.FunctionDef(name=name)
                    | ast.AsyncFunctionDef(name=name)
                ):
                    yield name  # names inside it are not at the top level
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
                case ast.Name(id=name, ctx=ast.Store()):
                    yield name
                case _:
                    waiting.append(node)
