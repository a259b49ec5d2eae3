"""Errors in a module of the user's own that the command line names: told with their place in it."""

from __future__ import annotations

import contextlib
import importlib.util
import traceback
from collections.abc import Iterator, Sequence


def told_with_place(error: Exception, arguments: Sequence[str]) -> str | None:
    """One line with file, line and function of `error` in a module that `arguments` name.

    None where no such module ("package.module:Class") took part.
    """
    files = set(_files(arguments))
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename in files:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            return f"{frame.filename}:{frame.lineno}, in {frame.name}: {what}"
    return None


def _files(arguments: Sequence[str]) -> Iterator[str]:
    for argument in arguments:
        name, colon, _ = argument.rpartition("=")[2].partition(":")
        if colon and name.replace(".", "").isidentifier():
            with contextlib.suppress(ImportError, ValueError):
                spec = importlib.util.find_spec(name)
                if spec is not None and spec.origin is not None:
                    yield spec.origin
