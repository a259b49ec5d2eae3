"""Communication modules of a user's own, found by name: nothing of this package has to change.

Naming a module runs no code of it (of a package around it, its `__init__`); building a network with
it does, as any import would. Only what a person named is imported: a record may come from anywhere,
and nothing that it names is.
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
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ifc_bench.config import OwnModule
from ifc_bench.errors import UserError

if TYPE_CHECKING:
    from ifc_bench.models.communication import Communication

_LOADED: dict[str, str] = {}  # the digest of each module's file when it was imported
_NAMED: set[str] = set()


def own_module(source: str, memory_tokens: int = 0) -> OwnModule:
    """The configuration of "package.module:Class", with the hash of its source as it is now.

    Raises:
        UserError: if `source` is no such name, Python finds no such module, or the module has no
            such class.
    """
    try:
        own = OwnModule(source=source, sha256=_digest(source), memory_tokens=memory_tokens)
    except ValidationError as error:
        raise UserError(
            f"communication: {source[:60]!r} is no package.module:Class with memory tokens of 0 or "
            "more"
        ) from error
    _refuse_missing(source)
    let_import([source])
    return own


def named() -> tuple[str, ...]:
    """What was named in this process, to be passed on to those that it starts."""
    return tuple(sorted(_NAMED))


def let_import(sources: Iterable[str]) -> None:
    """Let `load_own` import these in this process: a person named them."""
    _NAMED.update(sources)


def load_own(own: OwnModule) -> type[Communication]:
    """The class that `own` names.

    Raises:
        UserError: if nobody named it in this process, it is not there, is no `Communication`, or
            its code has changed since.
    """
    if own.source not in _NAMED:
        raise UserError(
            f"communication: this work has a module of the user's own, {own.source!r}; a record "
            f"imports nothing, so name it: --own {own.source} (--communication where a command has "
            "that, own_module in Python)"
        )
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some libraries warn of being loaded twice
            module = importlib.reload(sys.modules[name])
    else:
        module = sys.modules[name]
    _LOADED[name] = digest
    return module


def _digest(source: str) -> str:
    """SHA-256 of the file that holds a class; the file is not run."""
    return hashlib.sha256(_file(source).read_bytes()).hexdigest()


def _file(source: str) -> Path:
    """The file that holds a class."""
    module = source.partition(":")[0]
    try:
        importlib.invalidate_caches()  # the file may be a minute old
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        spec = None
    except Exception as error:  # of a package around it, whose __init__ runs
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{where.filename}:{where.lineno}"
        if isinstance(error, SyntaxError):
            place = f"{error.filename}:{error.lineno}"
        raise UserError(
            f"communication: {module[:60]!r} cannot be imported: {place}: "
            f"{type(error).__name__}: {error}"
        ) from None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UserError(
            f"communication: Python finds no module {module[:60]!r} for {source[:60]!r}; put its "
            "folder on sys.path, or on PYTHONPATH"
        )
    return Path(spec.origin)


def _refuse_missing(source: str) -> None:
    """Look for the class in the text of its module, before anything is trained."""
    module, _, wanted = source.partition(":")
    file = _file(source)
    if file.suffix not in SOURCE_SUFFIXES:
        return  # compiled: only importing it can tell
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        where = f":{line}" if line else ""
        told = error.msg if isinstance(error, SyntaxError) else str(error)
        raise UserError(
            f"communication: {file}{where}: {type(error).__name__}: {told}; the module {module} is "
            "no Python"
        ) from None
    if set(_bound(tree)).isdisjoint((wanted, "*", "__getattr__")):  # those may make any name
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        raise UserError(
            f"communication: the module {module} has no class {wanted}; it has: "
            f"{', '.join(classes[:5]) or 'none'}"
        )


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that a module binds at its top level; "*" where it takes all of another's."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        for node in ast.iter_child_nodes(waiting.pop()):
            match node:
                case (
                    ast.ClassDef(name=name)
                    | ast.FunctionDef(name=name)
                    | ast.AsyncFunctionDef(name=name)
                ):
                    yield name  # what is inside is bound elsewhere
                case ast.Import(names=names) | ast.ImportFrom(names=names):
                    yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
                case ast.Name(id=name, ctx=ast.Store()):
                    yield name
                case _:
                    waiting.append(node)
