"""Exceptions for errors that the user can fix, and the formatting of their messages."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

# Disk errors: every other piece of work would fail in the same way.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

_VALUE, _WORD, _MESSAGE = 60, 160, 480  # maximum characters; a word may be a long path


class UserError(Exception):
    """Bad input. The message is one line: the file or option, the field, the value and the fix.

    The command line prints it without a traceback and exits with code 2.
    """


def together(errors: Iterable[UserError | str]) -> UserError:
    """One error of several; equal ones stand in it once."""
    return UserError("; also: ".join(dict.fromkeys(map(str, errors))))


class Stopped(BaseException):  # not an `Exception`, because a stop is not a failure
    """Work stopped on request; the message says what was kept."""


def refuse_irregular(path: Path) -> None:
    """Refuse to read from a device or a pipe, which may never end.

    Raises:
        UserError: if `path` is a device or a pipe.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path}: is a device or a pipe; name a regular file")


def told(error: OSError) -> str | None:
    """Format an error of the operating system (disk full, no permission, no directory) in one line.

    Returns None for an error without an errno, which did not come from the operating system.
    """
    if error.filename is None and error.errno is None:
        return None
    why = (error.strerror or type(error).__name__).lower()
    if error.filename is None:
        return f"{why} (a file or standard output); fix that, or write elsewhere"
    return f"{error.filename}: {why}; fix that, or name another file or directory"


def printable(text: str, most: int | None = None) -> str:
    r"""Escape control characters (`\x1b`) of `text`, so that a terminal shows it on one line.

    A text of more than `most` characters is shortened in the middle.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if most is None or len(shown) <= most:
        return shown
    head = (most - 3) * 2 // 3
    return f"{shown[:head]}...{shown[len(shown) - (most - 3 - head) :]}"


def printable_message(message: str) -> str:
    """Escape a message for a terminal, and shorten its long words, long values and the whole."""
    words = [
        printable(word, _VALUE if word.startswith(("'", '"')) else _WORD)
        for word in message.split(" ")
    ]
    return printable(" ".join(words), _MESSAGE)


def first_line(error: BaseException, most: int = 300) -> str:
    """The first line of an error of a library, or its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def refuse_full_disk(error: Exception) -> None:
    """Raise `error` again if the disk is full: this is not a failure of the work."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        raise error
