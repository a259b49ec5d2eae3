"""Options that several commands share, and the form of numbers; groups of options are classes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from ifc_bench.cli.recipes import Recipes
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.records import Device

MOST_FRAMES = 1024  # of a window, and of a noise video
MOST_SIDE = 8192  # pixels
MOST_TOKENS = 4096
MOST_THREADS = 1024  # and processes
_MOST_DIGITS = 20  # a longer number is larger than any bound


def number(
    text: str, least: float = 0, most: float = math.inf, name: str | None = None
) -> Parameter:
    """Declare an option with one or more numbers from `least` to `most`, with help `text`."""
    bound = f"from {least:g} to {most:g}" if most < math.inf else f"{least:g} or more"

    def converted(kind: Any, tokens: Sequence[Token]) -> Any:
        found = []
        for token in tokens:
            value = _number(token.value, "float" in str(kind))
            if not least <= value <= most:  # True for nan
                raise ValueError(f'"{token.value[:60]}" must be {bound}.')
            found.append(value)
        if "tuple" in str(kind):
            return tuple(found)
        return found if "list" in str(kind) else found[0]

    return Parameter(name=name, converter=converted, help=text)


def share(text: str) -> Parameter:
    """Declare an option with a share above 0 and below 1, such as "1%" or "0.01"."""

    def converted(kind: Any, tokens: Sequence[Token]) -> float:
        given = tokens[0].value
        value = _number(given.removesuffix("%"), True) / (100 if given.endswith("%") else 1)
        if not 0 < value < 1:
            raise ValueError(f'"{given[:60]}" must be above 0% and below 100%.')
        return value

    return Parameter(converter=converted, help=text)


def _number(text: str, fraction: bool) -> float:
    """Parse a number; "1.5" and digits other than 0 to 9 are not whole numbers.

    Raises:
        ValueError: if `text` is not a number.
    """
    plain = text.removeprefix("-").removeprefix("+")
    if fraction and text.isascii() and "_" not in text:
        with contextlib.suppress(ValueError):
            return float(text)
    if not fraction and plain.isascii() and plain.isdigit():
        return int(text) if len(text) <= _MOST_DIGITS else math.inf
    kind = "number" if fraction else "whole number"
    raise ValueError(f'"{text[:60]}" is not a {kind}.')


Tables = Annotated[str, Parameter(help="Names of tables. Default: those of the preset.")]
Injected = Annotated[Recipes, Parameter(parse=False)]
Style = Annotated[
    Literal["github", "latex", "csv", "json"], Parameter("--format", help="Format of the tables.")
]
DeviceName = Annotated[str, Parameter("--device", help="auto, cpu or cuda:N.")]
Threads = Annotated[int, number("Threads of a CPU.", 1, MOST_THREADS)]
ShortEdge = Annotated[
    int | None, number("Short edge of the frames in pixels (paper: 360).", 32, MOST_SIDE)
]
ExpectGpu = Annotated[
    str | None, Parameter(help='Refuse any GPU but this one, such as "RTX 2080 Ti".')
]
Compare = Annotated[
    Literal["paper"] | None, Parameter(help="Print the paper's numbers beside ours.")
]
Retry = Literal["failed", "oom", "diverged", "timeout", "all"]
RetryOption = Annotated[
    Retry | None,
    Parameter(
        "--retry",
        help="Repeat work that ran out of memory (oom), diverged, or took too long (timeout), or "
        "all of it. Failed work is always repeated.",
    ),
]


def refuse_other_gpu(expected: str | None, name: str) -> None:
    """Refuse a device that is not the `expected` GPU, if any.

    Raises:
        UserError: if it is another device.
    """
    if expected is not None and not same_gpu(expected, name):
        raise UserError(
            f"--expect-gpu: {expected!r} is expected, but the device is {name!r}; measure on that "
            "GPU, or leave the option out"
        )


def results_for(results: Path, device: Device) -> Path:
    """Replace `{device}` in `results` by the device's name, in a form safe for a directory."""
    name = "".join(c if c.isalnum() else "-" for c in device.name.lower())
    return Path(str(results).replace("{device}", "-".join(filter(None, name.split("-")))))
