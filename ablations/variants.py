"""Rows that several tables share: the base model with one factor changed."""

from ifc_bench.config import (
    Communication,
    DecoderKind,
    DecompTHW,
    FullTHW,
    InterFrame,
    ModelConfig,
    NoComm,
)
from ifc_bench.recipe import Row

COMMUNICATIONS: dict[str, Communication] = {
    "No Comm": NoComm(),
    "Full THW": FullTHW(),
    "Decomp T-HW": DecompTHW(),
    "IFC": InterFrame(),
}


def with_communication(base: ModelConfig, label: str, communication: Communication) -> Row:
    """`base` with another communication module."""
    return Row(label=label, model=base.model_copy(update={"communication": communication}))


def with_decoder(base: ModelConfig, label: str, decoder: DecoderKind) -> Row:
    """`base` with another decoder."""
    return Row(label=label, model=base.model_copy(update={"decoder": decoder}))


def both_modes(model: ModelConfig) -> tuple[Row, Row]:
    """`model` near-online in windows of 5, and offline."""
    return (
        Row(label="IFC near-online", model=model, window=5),
        Row(label="IFC offline", model=model, offline=True),
    )
