"""Options that choose models: `--communication`, `--tokens`, `--frame-size` ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.options import MOST_FRAMES, MOST_SIDE, MOST_TOKENS, number
from ifc_bench.config import (
    VARIANTS,
    Arithmetic,
    AttentionKernel,
    Communication,
    InterFrame,
    ModelConfig,
    OwnNetwork,
)
from ifc_bench.errors import UserError
from ifc_bench.models.own import own_module
from ifc_bench.models.own_network import own_network

DEFAULT_WINDOWS = (5, 10, 15, 20, 36)

Kinds = Annotated[
    list[str] | None,
    Parameter(
        "--communication",
        help="none, full, decomposed, ifc, or your module as package.module:Class. Default: the "
        "first four.",
    ),
]
Networks = Annotated[
    list[str] | None,
    Parameter(
        "--model",
        help="A network of yours as package.module:factory (docs/your_network.md), beside those of "
        "--communication, or alone.",
    ),
]
Tokens = Annotated[
    list[int] | None, number("Memory tokens M of ifc. Default: 8.", 0, MOST_TOKENS, "--tokens")
]
FrameSizes = Annotated[
    list[str] | None, Parameter("--frame-size", help="Frame sizes, HEIGHTxWIDTH in pixels.")
]
Windows = Annotated[
    list[int] | None,
    number("T: frames of a window. Default: 5 10 15 20 36.", 1, MOST_FRAMES, "--window"),
]
Attentions = Annotated[
    list[AttentionKernel] | None, Parameter("--attention", help="Attention implementations.")
]
Precisions = Annotated[
    list[Arithmetic] | None, Parameter("--precision", help="Arithmetic. Default: fp32.")
]


def models(
    kinds: Sequence[str] | None,
    tokens: Sequence[int] | None,
    attentions: Sequence[AttentionKernel],
) -> list[ModelConfig]:
    """Return every model that the options select, each once.

    Raises:
        UserError: if a kind of communication is unknown.
    """
    found = []
    for attention in attentions:
        for kind in kinds or [variant.kind for variant in VARIANTS]:
            for count in tokens or [8]:
                talk = communication_of(kind, count)
                found.append(ModelConfig(communication=talk, attention=attention))
    return list(dict.fromkeys(found))


def networks(sources: Sequence[str] | None, instances: int = 10) -> list[OwnNetwork]:
    """Return the networks of `sources`, each once; the tracker is given `instances` of them.

    Raises:
        UserError: if Python finds no such module, or the module has no such factory.
    """
    return [own_network(source, instances) for source in dict.fromkeys(sources or [])]


def with_own(
    built_in: Sequence[ModelConfig],
    own: Sequence[OwnNetwork],
    kinds: Sequence[str] | None,
) -> list[ModelConfig | OwnNetwork]:
    """The networks to measure: a user's own alone, unless --communication names `kinds` as well."""
    return [*built_in, *own] if kinds or not own else [*own]


def communication_of(kind: str, tokens: int) -> Communication:
    """Return the variant of that name, or a module "package.module:Class" without memory tokens.

    Raises:
        UserError: if there is none.
    """
    if ":" in kind:
        return own_module(kind)
    found = {variant.kind: variant.communication for variant in VARIANTS}.get(kind)
    if found is None:
        known = (*(variant.kind for variant in VARIANTS), "package.module:Class")
        raise UserError(f"--communication: {kind!r} is none of {', '.join(known)}")
    return InterFrame(memory_tokens=tokens) if isinstance(found, InterFrame) else found


def parse_size(text: str) -> tuple[int, int]:
    """Parse "360x640" into height and width.

    Raises:
        UserError: if `text` does not have this form, or a side is too large.
    """
    height, _, width = text.partition("x")
    sides = [_pixels(side) for side in (height, width)]
    if 0 in sides:
        raise UserError(f"--frame-size: {text!r} is not HEIGHTxWIDTH, such as 360x640")
    if max(sides) > MOST_SIDE:
        raise UserError(f"--frame-size: {text!r} has a side of more than {MOST_SIDE} pixels")
    return sides[0], sides[1]


def _pixels(text: str) -> int:
    """Parse a whole number, limited to `MOST_SIDE` + 1; 0 for other text."""
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text) if len(text) <= len(str(MOST_SIDE)) else MOST_SIDE + 1
