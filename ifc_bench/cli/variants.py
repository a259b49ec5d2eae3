"""Models by the words of the command line: `--communication`, `--tokens`, `--size` and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Optional, get_args

import typer

from ifc_bench.cli.numbers import MOST_FRAMES, MOST_SIDE, MOST_TOKENS
from ifc_bench.config import (
    Arithmetic,
    AttentionKernel,
    Communication,
    DecompTHW,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
)
from ifc_bench.errors import UserError
from ifc_bench.models.own import own_module

COMMUNICATIONS: dict[str, Callable[[int], Communication]] = {
    "none": lambda tokens: NoComm(),
    "full": lambda tokens: FullTHW(),
    "decomposed": lambda tokens: DecompTHW(),
    "ifc": lambda tokens: InterFrame(memory_tokens=tokens),
}

Kinds = Annotated[
    Optional[list[str]],
    typer.Option(
        "--communication",
        help="none, full, decomposed, ifc, or your own as package.module:Class. Default: all four.",
    ),
]
Tokens = Annotated[
    Optional[list[int]],
    typer.Option("--tokens", min=0, max=MOST_TOKENS, help="Memory tokens M of ifc. Default: 8."),
]
Sizes = Annotated[Optional[list[str]], typer.Option("--size", help="Frames, HEIGHTxWIDTH.")]
Windows = Annotated[
    Optional[list[int]],
    typer.Option("--frames", min=1, max=MOST_FRAMES, help="T. Default: 5 10 15 20 36."),
]
Attentions = Annotated[
    Optional[list[str]],
    typer.Option("--attention", help="materialised, math, efficient or flash."),
]
Precisions = Annotated[
    Optional[list[str]],
    typer.Option("--precision", help="fp32, tf32, bf16 or fp16. Default: fp32."),
]
DEFAULT_WINDOWS = (5, 10, 15, 20, 36)


def attentions(names: Sequence[str] | None, default: Sequence[str]) -> list[AttentionKernel]:
    """The implementations that `--attention` names.

    Raises:
        UserError: where one is not known.
    """
    known = get_args(AttentionKernel)
    return [_one_of("--attention", name, known) for name in names or default]


def precisions(names: Sequence[str] | None) -> list[Arithmetic]:
    """The types that `--precision` names.

    Raises:
        UserError: where one is not known.
    """
    return [_one_of("--precision", name, get_args(Arithmetic)) for name in names or ["fp32"]]


def models(
    kinds: Sequence[str] | None,
    tokens: Sequence[int] | None,
    attentions: Sequence[AttentionKernel],
) -> list[ModelConfig]:
    """Every model that the options ask for, each once.

    Raises:
        UserError: where a kind of communication is not known.
    """
    found = []
    for attention in attentions:
        for kind in kinds or list(COMMUNICATIONS):
            for count in tokens or [8]:
                talk = communication_of(kind, count)
                found.append(ModelConfig(communication=talk, attention=attention))
    return list(dict.fromkeys(found))


def communication_of(kind: str, tokens: int) -> Communication:
    """The variant of that name, or "package.module:Class" of the user's own, without memory tokens.

    Raises:
        UserError: where there is none.
    """
    if ":" in kind:
        return own_module(kind)
    known = (*COMMUNICATIONS, "package.module:Class")
    return COMMUNICATIONS[_one_of("--communication", kind, known)](tokens)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "360x640".

    Raises:
        UserError: where `text` is none.
    """
    height, _, width = text.partition("x")
    sides = [_pixels(side) for side in (height, width)]
    if 0 in sides:
        raise UserError(f"--size: {text!r} is no HEIGHTxWIDTH such as 360x640")
    if max(sides) > MOST_SIDE:
        raise UserError(f"--size: {text!r} has a side of more than {MOST_SIDE} pixels")
    return sides[0], sides[1]


def _pixels(text: str) -> int:
    """A whole number, at most one too many; 0 for other text."""
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text) if len(text) <= len(str(MOST_SIDE)) else MOST_SIDE + 1


def _one_of(option: str, name: str, known: tuple[Any, ...]) -> Any:
    if name not in known:
        raise UserError(f"{option}: {name!r} is none of {', '.join(known)}")
    return name
