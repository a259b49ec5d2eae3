"""Models by the words of the command line: `--communication`, `--tokens`, `--size` and the like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Optional

import typer

from ifc_bench.config import (
    AttentionKernel,
    Communication,
    DecompTHW,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
)
from ifc_bench.errors import UserError

COMMUNICATIONS: dict[str, Callable[[int], Communication]] = {
    "none": lambda tokens: NoComm(),
    "full": lambda tokens: FullTHW(),
    "decomposed": lambda tokens: DecompTHW(),
    "ifc": lambda tokens: InterFrame(memory_tokens=tokens),
}

Kinds = Annotated[
    Optional[list[str]],
    typer.Option("--communication", help="none, full, decomposed or ifc. Default: all."),
]
Tokens = Annotated[
    Optional[list[int]], typer.Option("--tokens", min=0, help="Memory tokens M of ifc. Default: 8.")
]
Sizes = Annotated[Optional[list[str]], typer.Option("--size", help="Frames, HEIGHTxWIDTH.")]


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
            if kind not in COMMUNICATIONS:
                known = ", ".join(COMMUNICATIONS)
                raise UserError(f"--communication: {kind!r} is none of {known}")
            for count in tokens or [8]:
                talk = COMMUNICATIONS[kind](count)
                found.append(ModelConfig(communication=talk, attention=attention))
    return list(dict.fromkeys(found))


def parse_size(text: str) -> tuple[int, int]:
    """Height and width of "360x640".

    Raises:
        UserError: where `text` is none.
    """
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise UserError(f"--size: {text!r} is no HEIGHTxWIDTH such as 360x640")
    return int(height), int(width)
