"""The one exception that means "the user can mend this", and what to say of the system's own."""


class UserError(Exception):
    """Bad input. The message is one line: the file or option, the field, the value and the mend.

    The command line prints it without a traceback and exits with code 2.
    """


def told(error: OSError) -> str | None:
    """One line for what the system refuses (full, not allowed, no folder); None without a place."""
    if error.filename is None:
        return None
    why = (error.strerror or type(error).__name__).lower()
    return f"{error.filename}: {why}; mend that, or name another file or folder"
