"""The one exception that means "the user can mend this", and what to say of the system's own."""

from __future__ import annotations

import errno

# Of the disk, so every other piece of work would meet it as well.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class UserError(Exception):
    """Bad input. The message is one line: the file or option, the field, the value and the mend.

    The command line prints it without a traceback and exits with code 2.
    """


class Stopped(BaseException):  # not for `except Exception`: a stop is no failure
    """Work that was asked to stop has done so; the message says what of it was kept."""


def told(error: OSError) -> str | None:
    """One line for what the system refuses (full, not allowed, no folder); None without a place."""
    if error.filename is None:
        return None
    why = (error.strerror or type(error).__name__).lower()
    return f"{error.filename}: {why}; mend that, or name another file or folder"
