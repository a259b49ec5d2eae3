"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """Bad input. The message is one line: the file or option, the field, the value and the mend.

    The command line prints it without a traceback and exits with code 2.
    """
