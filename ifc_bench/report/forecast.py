"""Predicted frames per second of a GPU that is not here. Always a prediction, never a measurement.

Efficiencies are taken from measured profiles (`report/efficiency.py`); against the peak in a data
sheet an efficiency is 1 at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ifc_bench.config import (
    Arithmetic,
    Footprint,
    ModelConfig,
    NoiseFrames,
    Profile,
    RandomWeights,
    variant_name,
)
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.records import Rates, Record
from ifc_bench.report.efficiency import Efficiency, costs, footage_of, learn, least_of
from ifc_bench.report.footprints import runs_on
from ifc_bench.report.layout import Caution, Grid, listed
from ifc_bench.report.quantities import FPS
from ifc_bench.report.roofline import CountOf
from ifc_bench.tracking.windows import windows

FORECAST_FRAMES = 36  # the longest video of YouTube-VIS 2019


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
    works = forecasted(works)
    grid = Grid("Predicted frames per second", _head(efficiency, works), columns)
    grid.columns = [*columns, *(f"{gpu.key} (predicted)" for gpu in gpus)]
    for work in works:
        size = f"{work.height}x{work.width}"
        named = (
            variant_name(work.model), work.model.attention, work.precision, size,
            str(work.frames),
        )  # fmt: skip
        values = [_on(gpu, work, efficiency, count_of) for gpu in gpus]
        grid.rows.append([*named, *map(FPS.number, values)])
        for gpu, value in zip(gpus, values, strict=True):
            row = dict(zip(columns, named, strict=True))
            grid.values.append({**row, "card": gpu.key, "predicted_fps": value})
    return grid


def forecasted(works: Sequence[Footprint]) -> list[Footprint]:
    """Those that have a forecast: inference of the built-in networks."""
    return [
        work
        for work in works
        if work.purpose == "inference" and isinstance(work.model, ModelConfig)
    ]


def forecast_profile(work: Footprint) -> Profile:
    """The profile that a forecast of `work` predicts; its `clip_count` has to be counted."""
    assert isinstance(work.model, ModelConfig)
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
    if rate is None or not runs_on(work, gpu):
        return None
    rates = Rates(macs_per_second=rate, bytes_per_second=gpu.bytes_per_second)
    profile = forecast_profile(work)
    assert isinstance(profile.footage, NoiseFrames)
    length = profile.footage.frames
    assert profile.clip_count is not None
    clip = count_of(profile.clip_count)
    assert clip is not None, "counted before"
    count = len(list(windows(length, profile.window, profile.stride)))
    seconds = efficiency.host.seconds(length, count, work.frames, work.height * work.width)
    shares = efficiency.of(work.precision)
    least = least_of(costs(profile, clip, length), rates)
    for scope, share in shares.items():
        seconds += least[scope] / min(1.0, share)  # a data sheet's peak is a peak
    return length / seconds


def _head(learned: Efficiency, works: Sequence[Footprint]) -> list[str]:
    profiles = learned.learned_from
    text = f"efficiency learned from {', '.join(dict.fromkeys(one.device for one in profiles))}"
    errors = learned.error
    if errors:
        middle, worst = median(abs(e) for e in errors), max(errors, key=abs)
        text += (
            f"; error there, each profile predicted from the others: median {middle:.0%}, "
            f"largest {worst:+.0%}, n = {len(errors)}; on the GPUs below it is not known"
        )
    else:
        text += "; its error is not known (one profile)"
    sizes, precisions, frames = _learned(profiles)
    return [
        "predicted, not measured: the peak rates of each GPU bound every scope (roofline); the "
        "share of the bound that a scope reaches is as measured elsewhere",
        text,
        f"learned from {len(profiles)} profiles of a {'GPU' if learned.on_gpu else 'CPU'}: frames "
        f"of {listed(sizes)}, {listed(precisions)}, T = {listed(list(map(str, frames)))}",
        "S = 1; a video of 36 frames; output grows with the pixels of a frame, the tracker "
        "with those of a window, and the rest of a window takes as long as there",
        *_beyond(learned, works),
    ]


def _learned(profiles: Sequence[Profile]) -> tuple[list[str], list[Arithmetic], list[int]]:
    """Frame sizes, precisions and windows of the profiles."""
    footage = [footage_of(one) for one in profiles]
    sizes = dict.fromkeys(f"{one.height}x{one.width}" for one in footage)
    frames = {one.window or there.frames for one, there in zip(profiles, footage, strict=True)}
    return list(sizes), list(dict.fromkeys(one.precision for one in profiles)), sorted(frames)


def _beyond(learned: Efficiency, works: Sequence[Footprint]) -> list[str]:
    """Warn of all that the forecast is for and no profile was of."""
    sizes, precisions, frames = _learned(learned.learned_from)
    new_sizes = dict.fromkeys(f"{one.height}x{one.width}" for one in works)
    new_precisions = dict.fromkeys(one.precision for one in works)
    new_frames = sorted({one.frames for one in works})
    beyond = []
    if not learned.on_gpu:
        beyond.append("to a GPU from a CPU")
    if unseen_sizes := [size for size in new_sizes if size not in sizes]:
        beyond.append(f"to frames of {listed(unseen_sizes)}")
    if unseen := [one for one in new_precisions if one not in precisions]:
        beyond.append(f"to {listed(unseen)} by the efficiency in {listed(precisions)}")
    if unseen_frames := [str(t) for t in new_frames if not frames[0] <= t <= frames[-1]]:
        beyond.append(f"to T = {listed(unseen_frames)}")
    return [Caution(f"extrapolates {'; '.join(beyond)}")] if beyond else []
