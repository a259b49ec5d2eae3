"""A network of a user's own, to be measured beside the built-in ones; and the name of either."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from ifc_bench.config.model import ModelConfig, spoken
from ifc_bench.config.strict import Strict


class OwnNetwork(Strict):
    """A network that a function or class makes: "package.module:factory" (docs/your_network.md).

    `sha256` is of the module's source file, so that the same name with other code is other work.
    Tracker and output are given `instances` recorded tracks of `classes` classes in every window,
    whatever the network answers, as for random weights.
    `ifc_bench.models.own_network.own_network` makes one.
    """

    kind: Literal["own"] = "own"
    source: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    sha256: str
    instances: PositiveInt = 10
    classes: PositiveInt = 40

    @property
    def attention(self) -> str:
        """The column of the built-in networks' attention implementation; none is chosen here."""
        return "own"

    @property
    def network(self) -> OwnNetwork:
        """The same without the tracker's share: that of counts."""
        return OwnNetwork(source=self.source, sha256=self.sha256)


def variant_name(model: ModelConfig | OwnNetwork) -> str:
    """The variant in tables: a communication module in a few words, or the factory's name."""
    if isinstance(model, OwnNetwork):
        return model.source.partition(":")[2]
    return spoken(model.communication)


def variant_kind(model: ModelConfig | OwnNetwork) -> str:
    """The kind of a communication module, or the whole name of an own network."""
    return model.source if isinstance(model, OwnNetwork) else model.communication.kind
