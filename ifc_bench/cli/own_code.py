"""Errors in a module of the user's own that the command line names: told with their place in it."""

from __future__ import annotations

import contextlib
import importlib.util
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path


def told_with_place(error: Exception, arguments: Sequence[str]) -> str | None:
    """One line with file, line and function of `error` in a module that `arguments` name.

    Where the error arises in the network around it, which it does not fit, that place is told. None
    where no such module ("package.module:Class") is named.
    """
    files = dict(_files(arguments))
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename in files:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            return f"{frame.filename}:{frame.lineno}, in {frame.name}: {what}"
    if not files:
        return None
    frames = traceback.extract_tb(error.__traceback__)
    last = next((one for one in reversed(frames) if "ifc_bench" in one.filename), frames[-1])
    named = ", ".join(f"{name} ({file})" for file, name in files.items())
    return (
        f"{named} does not fit the network: {Path(last.filename).name}:{last.lineno}, in "
        f"{last.name}: {what}; see docs/adding_a_variant.md"
    )


def sys_exit_told(error: SystemExit, arguments: Sequence[str]) -> str:
    """One line with the place in a module of the user's that calls sys.exit."""
    files = dict(_files(arguments))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            return f"{frame.filename}:{frame.lineno}: calls sys.exit({error.code!r}); take it out"
    return f"a module called sys.exit({error.code!r}); take that out of it"


def _files(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The file of each module that `arguments` name, with the name."""
    for argument in arguments:
        name, colon, _ = argument.rpartition("=")[2].partition(":")
        if colon and name.replace(".", "").isidentifier():
            with contextlib.suppress(Exception, SystemExit):  # told where the module is built
                spec = importlib.util.find_spec(name)
                if spec is not None and spec.origin is not None:
                    yield spec.origin, argument.rpartition("=")[2]
