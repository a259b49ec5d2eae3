"""Counts what a clip costs, on the meta device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from ifc_bench.config import Count
from ifc_bench.measuring.macs import encoder_macs
from ifc_bench.measuring.scopes import model_costs
from ifc_bench.provenance import provenance
from ifc_bench.records import CountResult, Record, ScopeCost
from ifc_bench.store import Store


def counted(work: Count) -> CountResult:
    """The encoder's multiply-adds, or every scope's cost."""
    clip = work.model, work.frames, work.height, work.width
    if not work.scopes:
        return CountResult(encoder_macs=encoder_macs(*clip))
    costs = model_costs(*clip)
    return CountResult(
        encoder_macs=costs["encoder"].macs,
        scopes={name: ScopeCost(**asdict(cost)) for name, cost in costs.items()},
    )


def count_all(works: Sequence[Count], store: Store) -> None:
    """Write a record of each that has none."""
    for work in works:
        if not store.done(work):
            store.save(Record.of(work, provenance("cpu", 1), counted(work)))
