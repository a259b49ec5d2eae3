"""Predicted frames per second of a GPU that is not here. Always a prediction, never a measurement.

How near a scope comes to its roofline, its efficiency, is taken from measured profiles, where peak
rates are those measured in the same process; against the peak in a data sheet it is 1 at most.
Scopes without MACs (tracker, output, the host) take as long for each window as measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ifc_bench.config import ROOFED, Footprint, NoiseFrames, Profile, RandomWeights, spoken
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.records import Rates, Record
from ifc_bench.report.layout import Grid
from ifc_bench.report.quantities import FPS
from ifc_bench.report.roofline import (
    Costs,
    CountOf,
    Observed,
    least_seconds,
    observed,
    pass_costs,
)
from ifc_bench.tracking.windows import windows

FORECAST_FRAMES = 36  # the longest video of YouTube-VIS 2019


@dataclass(frozen=True)
class Efficiency:
    """The use that a device makes of its peak rates.

    Attributes:
        share: bound over measured time, by scope; over 1 where caches give a scope more than
            the large copy that stands for the peak.
        host_seconds: time for each window that no counted scope takes.
        learned_from: names of the devices behind it.
        error: relative errors of the profiles, each predicted from all others.
    """

    share: dict[str, float]
    host_seconds: float
    learned_from: tuple[str, ...]
    error: tuple[float, ...]


def learn(records: Sequence[Record], count_of: CountOf) -> Efficiency | None:
    """The efficiency behind measured profiles; None where none has times of counted scopes."""
    seen = [one for record in records if (one := observed(record, count_of)) is not None]
    if not seen:
        return None
    share, host = _fitted(seen)
    errors = []
    for left_out in seen:
        rest = [one for one in seen if one is not left_out]
        if rest:
            errors.append(_predicted(left_out, *_fitted(rest)) / left_out.whole - 1)
    names = dict.fromkeys(one.record.provenance.device.name for one in seen)
    return Efficiency(share, host, tuple(names), tuple(errors))


def forecast_grid(
    works: Sequence[Footprint],
    gpus: Sequence[GpuModel],
    records: Sequence[Record],
    count_of: CountOf,
) -> Grid:
    """Predicted FPS of each inference footprint's model on each GPU, at S = 1.

    Profiles of GPUs are used alone where there are any.

    Raises:
        UserError: where no profile has times of scopes.
    """
    on_gpus = [record for record in records if record.provenance.device.kind == "cuda"]
    efficiency = learn(on_gpus or records, count_of)
    if efficiency is None:
        raise UserError("--forecast: that directory has no profiles with scopes; run profile first")
    columns = ["variant", "attention", "precision", "size", "T"]
    grid = Grid("Predicted frames per second", _head(efficiency), columns)
    grid.columns = [*columns, *(f"{gpu.key} (predicted)" for gpu in gpus)]
    for work in works:
        if work.purpose != "inference":
            continue
        size = f"{work.height}x{work.width}"
        named = (
            spoken(work.model.communication), work.model.attention, work.precision, size,
            str(work.frames),
        )  # fmt: skip
        values = [_on(gpu, work, efficiency, count_of) for gpu in gpus]
        grid.rows.append([*named, *map(FPS.number, values)])
        for gpu, value in zip(gpus, values, strict=True):
            row = dict(zip(columns, named, strict=True))
            grid.values.append({**row, "card": gpu.key, "predicted_fps": value})
    return grid


def forecast_profile(work: Footprint) -> Profile:
    """The profile that a forecast of `work` predicts; its `clip_count` has to be counted."""
    length = max(FORECAST_FRAMES, work.frames)
    return Profile(
        weights=RandomWeights(model=work.model),
        footage=NoiseFrames(frames=length, height=work.height, width=work.width),
        window=work.frames,
        stride=work.stride,
        precision=work.precision,
        device="a GPU of the catalogue",
    )


def _on(gpu: GpuModel, work: Footprint, efficiency: Efficiency, count_of: CountOf) -> float | None:
    """FPS; None where the GPU has no such arithmetic or attention."""
    rate = gpu.macs_per_second(work.precision)
    if rate is None or work.model.attention not in gpu.kernels:
        return None
    rates = Rates(macs_per_second=rate, bytes_per_second=gpu.bytes_per_second)
    profile = forecast_profile(work)
    assert isinstance(profile.footage, NoiseFrames)
    length = profile.footage.frames
    assert profile.clip_count is not None
    clip = count_of(profile.clip_count)
    assert clip is not None, "counted before"
    count = len(list(windows(length, profile.window, profile.stride)))
    seconds = count * efficiency.host_seconds
    for scope, bound in _bounds(pass_costs(profile, clip, length), rates).items():
        seconds += bound / min(1.0, efficiency.share[scope])  # a data sheet's peak is a peak
    return length / seconds


def _bounds(costs: Costs, rates: Rates) -> dict[str, float]:
    return {scope: least_seconds(costs[scope], rates) for scope in ROOFED}


def _fitted(seen: Sequence[Observed]) -> tuple[dict[str, float], float]:
    """The efficiency of each scope, and the seconds of a window outside them: medians."""
    bounds = [_bounds(one.costs, one.rates) for one in seen]
    share = {
        scope: median(
            bound[scope] / one.seconds[scope] for bound, one in zip(bounds, seen, strict=True)
        )
        for scope in ROOFED
    }
    rest = [sum(one.seconds.values()) - sum(one.seconds[scope] for scope in ROOFED) for one in seen]
    host = median(left / one.windows for left, one in zip(rest, seen, strict=True))
    return share, host


def _predicted(one: Observed, share: dict[str, float], host: float) -> float:
    """Seconds of a pass of `one` by an efficiency learned elsewhere."""
    bounds = _bounds(one.costs, one.rates)
    return sum(bound / share[scope] for scope, bound in bounds.items()) + host * one.windows


def _head(efficiency: Efficiency) -> list[str]:
    text = f"efficiency learned from {', '.join(efficiency.learned_from)}"
    errors = efficiency.error
    if errors:
        middle, worst = median(abs(e) for e in errors), max(errors, key=abs)
        text += (
            f"; error there, each profile predicted from the others: median {middle:.0%}, "
            f"largest {worst:+.0%}, n = {len(errors)}; on the GPUs below it is not known"
        )
    else:
        text += "; its error is not known (one profile)"
    return [
        "predicted, not measured: the peak rates of each GPU bound every scope (roofline); the "
        "share of the bound that a scope reaches is as measured elsewhere",
        text,
        "S = 1; a video of 36 frames; tracker and output take as long as they did there",
    ]
