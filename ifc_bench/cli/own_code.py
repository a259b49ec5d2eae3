"""Formats errors in the user's modules named on the command line, with file and line."""

from __future__ import annotations

import contextlib
import importlib.util
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path


def told_with_place(error: Exception, arguments: Sequence[str]) -> str | None:
    """Format `error` in one line, with file, line and function in a module named in `arguments`.

    If the error is raised in the network instead, because the module does not match it, the line
    there is given. None if `arguments` name no module ("package.module:Class").
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
        f"{named} does not match the network: {Path(last.filename).name}:{last.lineno}, in "
        f"{last.name}: {what}; see docs/adding_a_variant.md"
    )


def sys_exit_told(error: SystemExit, arguments: Sequence[str]) -> str:
    """Format in one line the file and line of the user's module that calls sys.exit."""
    files = dict(_files(arguments))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in files:
            return f"{frame.filename}:{frame.lineno}: calls sys.exit({error.code!r}); remove that"
    return f"a module called sys.exit({error.code!r}); remove that call"


def _files(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (file, name) of each module named in `arguments`."""
    for argument in arguments:
        name, colon, _ = argument.rpartition("=")[2].partition(":")
        if colon and name.replace(".", "").isidentifier():
            with contextlib.suppress(Exception, SystemExit):  # reported when the module is built
                spec = importlib.util.find_spec(name)
                if spec is not None and spec.origin is not None:
                    yield spec.origin, argument.rpartition("=")[2]
