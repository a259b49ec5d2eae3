"""The one exception that means "the user can mend this", and how such a message is printed."""

from __future__ import annotations

import errno
from pathlib import Path

# Of the disk, so every other piece of work would meet it as well.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

_VALUE, _WORD, _MESSAGE = 60, 160, 480  # most characters; a word may be a long path


class UserError(Exception):
    """Bad input. The message is one line: the file or option, the field, the value and the mend.

    The command line prints it without a traceback and exits with code 2.
    """


class Stopped(BaseException):  # not for `except Exception`: a stop is no failure
    """Work that was asked to stop has done so; the message says what of it was kept."""


def refuse_irregular(path: Path) -> None:
    """Refuse a device or a pipe, which may have no end, where a file is to be read.

    Raises:
        UserError: where `path` is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"{path}: is a device or a pipe; name a regular file")


def told(error: OSError) -> str | None:
    """One line for what the system refuses (full, not allowed, no folder).

    None for an error that did not come from the system: it has no number.
    """
    if error.filename is None and error.errno is None:
        return None
    why = (error.strerror or type(error).__name__).lower()
    if error.filename is None:
        return f"{why}, of a file or of standard output; mend that, or write elsewhere"
    return f"{error.filename}: {why}; mend that, or name another file or folder"


def printable(text: str, most: int | None = None) -> str:
    r"""`text` for a terminal: control characters as escapes (`\x1b`), all on one line.

    What has more than `most` characters then loses its middle.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if most is None or len(shown) <= most:
        return shown
    head = (most - 3) * 2 // 3
    return f"{shown[:head]}...{shown[len(shown) - (most - 3 - head) :]}"


def printable_message(message: str) -> str:
    """A whole message for a terminal: long words and values shortened, and the message as well."""
    words = [
        printable(word, _VALUE if word.startswith(("'", '"')) else _WORD)
        for word in message.split(" ")
    ]
    return printable(" ".join(words), _MESSAGE)
