"""Lets a repeatable option take several values at once: `--frames 5 10 15`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def repeated(group: Any, arguments: Sequence[str]) -> list[str]:
    """`arguments` with the option's name before each further value.

    In a command that also takes positional arguments only whole numbers are taken as further
    values, for a table's name might follow.
    """
    command, found = group, []
    repeatable: set[str] = set()
    numbers_only, open_option, given = False, "", 0
    for argument in arguments:
        subcommands = getattr(command, "commands", {})
        if argument in subcommands:
            command = subcommands[argument]
            repeatable = {name for p in command.params for name in p.opts if _repeats(p)}
            numbers_only = any(p.param_type_name == "argument" for p in command.params)
        if argument.startswith("-"):
            open_option, given = (argument, 0) if argument in repeatable else ("", 0)
        elif open_option:
            if given and numbers_only and not argument.isdigit():
                open_option = ""
            elif given:
                found.append(open_option)
            given += 1
        found.append(argument)
    return found


def _repeats(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and bool(getattr(parameter, "multiple", False))
