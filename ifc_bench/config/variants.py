"""The four variants of the paper's Tables 1 and 3(a), in their order."""

from __future__ import annotations

from typing import NamedTuple

from ifc_bench.config.model import Communication, DecompTHW, FullTHW, InterFrame, NoComm


class Variant(NamedTuple):
    """A communication module and its name in the paper's tables."""

    label: str
    communication: Communication

    @property
    def kind(self) -> str:
        """The name on the command line and in records."""
        return self.communication.kind


VARIANTS = (
    Variant("No Comm", NoComm()),
    Variant("Full THW", FullTHW()),
    Variant("Decomp T-HW", DecompTHW()),
    Variant("IFC", InterFrame()),
)


def paper_label(kind: str) -> str | None:
    """The paper's name of a kind of communication; None for a kind that is not the paper's."""
    return next((variant.label for variant in VARIANTS if variant.kind == kind), None)


def paper_order(kind: str) -> int:
    """The place of a kind of communication in the paper's tables; others follow."""
    kinds = [variant.kind for variant in VARIANTS]
    return kinds.index(kind) if kind in kinds else len(kinds)
