"""Predict footprints in number, and check them on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ifc_bench.config import Footprint
from ifc_bench.errors import UserError
from ifc_bench.measuring.footprints import measure_footprint, predict_footprint
from ifc_bench.measuring.isolation import Died, in_process, measuring
from ifc_bench.provenance import provenance
from ifc_bench.records import Device, FootprintResult, Record, Status
from ifc_bench.store import Store

Tell = Callable[[int, int], None]  # done, total


def predict_all(works: Sequence[Footprint], store: Store, tell: Tell) -> list[Record]:
    """The record of each prediction, made where there is none."""
    records = []
    for done, work in enumerate(works):
        tell(done, len(works))
        record = store.load(work)
        records.append(record or _save(work, predict_footprint(work), "cpu", store))
    return records


def check_all(
    works: Sequence[Footprint],
    store: Store,
    device: str,
    described: Device,
    tell: Tell,
) -> list[tuple[Record, Record]]:
    """Prediction and measurement of each, every measurement in a process of its own.

    Raises:
        UserError: where a measurement failed for another reason than memory.
    """
    here = _on_this_allocator(works, described)
    predicted = predict_all(here, store, lambda done, total: None)
    pairs = []
    for done, (work, prediction) in enumerate(zip(here, predicted, strict=True)):
        tell(done, len(here))
        real = work.model_copy(update={"measured_on": described.name})
        record = store.load(real)
        if record is None or not store.done(real):
            with measuring(lambda: None):
                answer = in_process(measure_footprint, real, device)
            if isinstance(answer, Died):
                raise UserError(f"{real.id}: {answer.message.strip().splitlines()[-1]}")
            record = _save(real, answer, device, store)
        pairs.append((prediction, record))
    return pairs


def _on_this_allocator(works: Sequence[Footprint], device: Device) -> list[Footprint]:
    """The same for the allocator that is here.

    A processor's only fused kernel is called flash, and it knows no dropout, so no training.
    """
    if device.kind == "cuda":
        return list(works)
    found = []
    for work in works:
        model = work.model
        if model.attention == "efficient":
            model = model.model_copy(update={"attention": "flash"})
        if model.attention == "flash" and work.purpose == "training":
            continue
        changes = {"model": model, "allocator": "cpu", "threads": device.threads or 1}
        found.append(work.model_copy(update=changes))
    return list(dict.fromkeys(found))


def _save(work: Footprint, result: FootprintResult, device: str, store: Store) -> Record:
    status: Status = "ok" if result.peak_bytes is not None else "out_of_memory"
    record = Record.of(work, provenance(device, work.threads), result, status=status)
    store.save(record)
    return record
