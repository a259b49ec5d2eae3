"""Predicts footprints in number, checks them on a device, and searches the largest that fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Literal

from ifc_bench.config import Footprint
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.measuring.footprints import measure_footprint, predict_footprint
from ifc_bench.measuring.isolation import Died, in_process, measuring
from ifc_bench.provenance import provenance
from ifc_bench.records import Device, FootprintResult, Record, Status
from ifc_bench.store import Store

Tell = Callable[[int, int], None]  # done, total

_MOST_FRAMES = 1024
_MOST_SIDE = 4320
_STEP = 32  # frame heights are searched in steps of the network's coarsest stride


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
    emulated: str | None,
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
        changes = {"measured_on": described.name, "emulated": emulated}
        real = work.model_copy(update=changes)
        record = store.load(real)
        if record is None or not store.done(real):
            with measuring(lambda: None):
                answer = in_process(measure_footprint, real, device)
            if isinstance(answer, Died):
                raise UserError(f"{real.id}: {answer.message.strip().splitlines()[-1]}")
            record = _save(real, answer, device, store)
        pairs.append((prediction, record))
    return pairs


def largest(
    works: Sequence[Footprint],
    cards: Sequence[GpuModel],
    what: Literal["frames", "size"],
    tell: Tell,
) -> list[tuple[Footprint, GpuModel, Footprint | None]]:
    """For each model and card the largest T at its size, or 16:9 frame at its T, that fits.

    None where not even the smallest does. Cards that lack the attention kernel are left out.
    """
    peaks: dict[str, int] = {}

    def best(base: Footprint, card: GpuModel) -> Footprint | None:
        def holds(value: int) -> bool:
            work = _scaled(base, what, value)
            if work.id not in peaks:
                peaks[work.id] = predict_footprint(work).peak_bytes or 0
            return peaks[work.id] <= card.usable_bytes

        value = _last(holds, _MOST_FRAMES if what == "frames" else _MOST_SIDE // _STEP)
        return _scaled(base, what, value) if value else None

    free = {"frames": 1} if what == "frames" else {"height": 360, "width": 640}
    bases = list(dict.fromkeys(work.model_copy(update=free) for work in works))
    wanted = [pair for pair in product(bases, cards) if pair[0].model.attention in pair[1].kernels]
    found = []
    for done, (base, card) in enumerate(wanted):
        tell(done, len(wanted))
        found.append((base, card, best(base, card)))
    return found


def _scaled(base: Footprint, what: Literal["frames", "size"], value: int) -> Footprint:
    """`base` with T = `value`, or with frames of `value` steps and 16:9."""
    if what == "frames":
        return base.model_copy(update={"frames": value})
    height = value * _STEP
    width = round(height * 16 / 9 / _STEP) * _STEP
    return base.model_copy(update={"height": height, "width": width})


def _last(holds: Callable[[int], bool], most: int) -> int:
    """The last of 1..`most` for which `holds`, 0 where there is none; it holds up to a point."""
    low, high = 0, 1
    while high <= most and holds(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


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
