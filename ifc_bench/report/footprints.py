"""Tables of predicted footprints: which GPUs have enough memory, and the error of predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from ifc_bench.config import Footprint, OwnNetwork, paper_order, variant_kind, variant_name
from ifc_bench.hardware.catalogue import CONTEXT_BYTES, DRIVER_SHARE, TIGHT_SHARE, GpuModel
from ifc_bench.hardware.cublas import workspace_bytes
from ifc_bench.records import Device, FootprintResult, Record
from ifc_bench.report.layout import ABSENT, Format, Grid, write
from ifc_bench.report.quantities import EXACT_MEMORY, GPU_MEMORY


def verdict(peak: int | None, gpu: GpuModel) -> str:
    """Whether a peak fits a GPU."""
    if peak is None:
        return ABSENT
    if peak > gpu.usable_bytes:
        return "does not fit"
    return "tight" if peak > TIGHT_SHARE * gpu.usable_bytes else "fits"


def render_fits(records: Iterable[Record], gpus: Sequence[GpuModel], style: Format) -> str:
    """`fit_grid`, written down."""
    return write(fit_grid(records, gpus), style)


def fit_grid(records: Iterable[Record], gpus: Sequence[GpuModel]) -> Grid:
    """One line for each predicted footprint, one column for each GPU."""
    kept = newest(records)
    head = [
        "predicted from the real modules on fake tensors: peak of torch's allocations, weights "
        "included; cuDNN's workspaces are not in it, cuBLAS's is in each GPU's verdict",
        f"usable memory (an estimate): {1 - DRIVER_SHARE:.0%} of the GPU's memory less "
        f"{CONTEXT_BYTES >> 20} MiB; tight: over {TIGHT_SHARE:.0%} of that",
    ]
    columns = [*PLACE, "peak GB", *(gpu.key for gpu in gpus)]
    grid = Grid("Memory: which GPUs have enough (predicted)", head, columns)
    if any(work.purpose == "inference" and work.version > 1 for work, _ in map(footprint_of, kept)):
        grid.head.append(_TRACKER)
    grid.head += dict.fromkeys(map(_not_predicted, filter(_is_unpredicted, kept)))
    for record in sorted(kept, key=_order):
        work, peak = footprint_of(record)
        shown = [GPU_MEMORY.number(peak or None)]
        verdicts = [
            verdict(None if peak is None else peak + _workspace(work, gpu.compute_capability), gpu)
            if runs_on(work, gpu)
            else f"no {work.model.attention}"
            for gpu in gpus
        ]
        grid.rows.append([*place(work), *shown, *verdicts])
        fits = dict(zip((gpu.key for gpu in gpus), verdicts, strict=True))
        grid.values.append({**values(work), "peak_bytes": peak, **fits})
    return grid


def runs_on(work: Footprint, gpu: GpuModel) -> bool:
    """Whether a GPU has the attention implementation; a user's own network chooses its own."""
    return isinstance(work.model, OwnNetwork) or work.model.attention in gpu.kernels


def _is_unpredicted(record: Record) -> bool:
    return isinstance(record.result, FootprintResult) and record.result.not_predicted is not None


def _not_predicted(record: Record) -> str:
    work, _ = footprint_of(record)
    assert isinstance(record.result, FootprintResult)
    return f"{variant_name(work.model)}: not predicted: {record.result.not_predicted}"


def newest(records: Iterable[Record]) -> list[Record]:
    """Leave out each footprint that a later version of the same work replaces."""
    latest: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: footprint_of(record)[0].version):
        work, _ = footprint_of(record)
        latest[work.model_copy(update={"version": 1}).id] = record
    return list(latest.values())


def expected_peak(predicted: Record, device: Device) -> int | None:
    """Return a predicted peak with cuBLAS's workspace, as torch's allocator on `device` counts."""
    work, peak = footprint_of(predicted)
    return None if peak is None else peak + _workspace(work, device.compute_capability)


def _workspace(work: Footprint, compute_capability: str | None) -> int:
    if work.allocator == "cpu":
        return 0
    return workspace_bytes(compute_capability, threads=2 if work.purpose == "training" else 1)


def render_check(pairs: Sequence[tuple[Record, Record]], device: str, style: Format) -> str:
    """Predicted against measured peaks: (prediction, measurement) of the same work."""
    grid = Grid(
        f"Prediction against {device}", [], [*PLACE, "predicted MB", "measured MB", "error"]
    )
    errors = []
    for predicted, measured in pairs:
        work, found = footprint_of(measured)
        expected = expected_peak(predicted, measured.provenance.device)
        if _is_unpredicted(predicted):
            grid.head += [line for line in [_not_predicted(predicted)] if line not in grid.head]
        shown = [
            EXACT_MEMORY.number(expected),
            EXACT_MEMORY.number(found) if found else "out of memory",
        ]
        error = expected / found - 1 if expected and found else None
        errors += [] if error is None else [error]
        grid.rows.append([*place(work), *shown, ABSENT if error is None else f"{error:+.2%}"])
        grid.values.append(
            {**values(work), "predicted_bytes": expected, "measured_bytes": found, "error": error}
        )
    if errors:
        worst = max(errors, key=abs)
        middle = median(abs(error) for error in errors)
        grid.head.append(f"error: median {middle:.2%}, largest {worst:+.2%}, n = {len(errors)}")
    return write(grid, style)


_TRACKER = (
    "a long video, with T / S windows of the tracker alive, and 10 instances that keep their tracks"
)
PLACE = ["variant", "attention", "purpose", "precision", "size", "T"]


def place(work: Footprint) -> list[str]:
    """Return the cells of `PLACE`."""
    purpose = work.purpose if work.purpose == "inference" else f"training, {work.clips} clips"
    size = f"{work.height}x{work.width}"
    named = variant_name(work.model)
    return [named, work.model.attention, purpose, work.precision, size, str(work.frames)]


def values(work: Footprint) -> dict[str, object]:
    """Return the fields that differ between footprints, by name."""
    keys = ("purpose", "precision", "height", "width", "frames", "clips", "allocator")
    named = {"variant": variant_name(work.model), "attention": work.model.attention}
    return {**named, **{key: getattr(work, key) for key in keys}}


def footprint_of(record: Record) -> tuple[Footprint, int | None]:
    """Return the work of a record, and its peak in bytes; None where memory ran out."""
    assert isinstance(record.work, Footprint)
    result = record.result
    return record.work, result.peak_bytes if isinstance(result, FootprintResult) else None


def _order(record: Record) -> tuple[object, ...]:
    work, _ = footprint_of(record)
    place = (work.height, work.frames, work.precision, work.model.attention)
    kind, name = variant_kind(work.model), variant_name(work.model)
    return (*place, paper_order(kind), name, record.id)
