"""Predicted frames per second of a GPU that is not here. Always a prediction, never a measurement.

How near a scope comes to its roofline, its efficiency, is taken from measured profiles, where peak
rates are those measured in the same process; against the peak in a data sheet it is 1 at most.
Scopes without a roofline are scaled from what was measured (`Host`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ifc_bench.config import (
    ROOFED,
    Arithmetic,
    Footprint,
    NoiseFrames,
    Profile,
    RandomWeights,
    spoken,
)
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.records import Rates, Record
from ifc_bench.report.layout import Caution, Grid, listed
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

_OF_PIXELS = ("output",)
_OF_WINDOW_PIXELS = ("tracker", "projection")
FORECAST_FRAMES = 36  # the longest video of YouTube-VIS 2019


@dataclass(frozen=True)
class Host:
    """Seconds of a pass that no roofline bounds.

    Attributes:
        each_pixel: of a frame of the video, for its masks at full size.
        each_window_pixel: of a frame in a window: the tracker and the projection, whose maps are a
            fixed fraction of the frame.
        each_window: the rest, which does not depend on the frame's size.
    """

    each_pixel: float
    each_window_pixel: float
    each_window: float

    def seconds(self, length: int, windows: int, window: int, pixels: int) -> float:
        """Return the seconds of a pass over `length` frames, in `windows` windows of `window`."""
        of_windows = windows * (self.each_window + window * pixels * self.each_window_pixel)
        return length * pixels * self.each_pixel + of_windows


@dataclass(frozen=True)
class Efficiency:
    """The use that a device makes of its peak rates.

    Attributes:
        share: bound over measured time, by precision and scope; over 1 where caches give a scope
            more than the large copy that stands for the peak.
        of_any: the same over the profiles of all precisions.
        host: seconds that no counted scope takes, of all precisions.
        learned_from: the profiles behind it.
        error: relative errors of the profiles, each predicted from all others.
    """

    share: dict[Arithmetic, dict[str, float]]
    of_any: dict[str, float]
    host: Host
    learned_from: tuple[Profile, ...]
    on_gpu: bool
    error: tuple[float, ...] = ()

    def of(self, precision: Arithmetic) -> dict[str, float]:
        """Return the shares of a precision; those of all where it has no profile."""
        return self.share.get(precision, self.of_any)


def learn(records: Sequence[Record], count_of: CountOf) -> Efficiency | None:
    """The efficiency behind measured profiles; None where none has times of counted scopes."""
    seen = [one for record in records if (one := observed(record, count_of)) is not None]
    if not seen:
        return None
    errors = []
    for left_out in seen:
        rest = [one for one in seen if one is not left_out]
        if rest:
            errors.append(_predicted(left_out, _fitted(rest)) / left_out.whole - 1)
    return replace(_fitted(seen), error=tuple(errors))


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
    works = [work for work in works if work.purpose == "inference"]
    grid = Grid("Predicted frames per second", _head(efficiency, works), columns)
    grid.columns = [*columns, *(f"{gpu.key} (predicted)" for gpu in gpus)]
    for work in works:
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
    seconds = efficiency.host.seconds(length, count, work.frames, work.height * work.width)
    shares = efficiency.of(work.precision)
    for scope, bound in _bounds(pass_costs(profile, clip, length), rates).items():
        seconds += bound / min(1.0, shares[scope])  # a data sheet's peak is a peak
    return length / seconds


def _bounds(costs: Costs, rates: Rates) -> dict[str, float]:
    return {scope: least_seconds(costs[scope], rates) for scope in ROOFED}


def _fitted(seen: Sequence[Observed]) -> Efficiency:
    """Medians: of each precision for scopes with a roofline, of all profiles for the rest."""
    by_precision: dict[Arithmetic, list[Observed]] = {}
    for one in seen:
        by_precision.setdefault(_work(one).precision, []).append(one)
    return Efficiency(
        share={precision: _shares(some) for precision, some in by_precision.items()},
        of_any=_shares(seen),
        host=_host(seen),
        learned_from=tuple(map(_work, seen)),
        on_gpu=all(one.record.provenance.device.kind == "cuda" for one in seen),
    )


def _shares(seen: Sequence[Observed]) -> dict[str, float]:
    bounds = [_bounds(one.costs, one.rates) for one in seen]
    return {
        scope: median(
            bound[scope] / one.seconds[scope] for bound, one in zip(bounds, seen, strict=True)
        )
        for scope in ROOFED
    }


def _host(seen: Sequence[Observed]) -> Host:
    pixel, window_pixel, window = [], [], []
    for one in seen:
        length, frames, pixels = _sizes(one)
        of_windows = sum(one.seconds.get(scope, 0.0) for scope in _OF_WINDOW_PIXELS)
        of_frames = sum(one.seconds.get(scope, 0.0) for scope in _OF_PIXELS)
        roofed = sum(one.seconds[scope] for scope in ROOFED)
        rest = sum(one.seconds.values()) - roofed - of_windows - of_frames
        pixel.append(of_frames / (length * pixels))
        window_pixel.append(of_windows / (one.windows * frames * pixels))
        window.append(rest / one.windows)
    return Host(median(pixel), median(window_pixel), median(window))


def _predicted(one: Observed, learned: Efficiency) -> float:
    """Seconds of a pass of `one` by an efficiency learned elsewhere."""
    length, frames, pixels = _sizes(one)
    shares = learned.of(_work(one).precision)
    bounds = _bounds(one.costs, one.rates)
    roofed = sum(bound / shares[scope] for scope, bound in bounds.items())
    return roofed + learned.host.seconds(length, one.windows, frames, pixels)


def _work(one: Observed) -> Profile:
    assert isinstance(one.record.work, Profile)
    return one.record.work


def _sizes(one: Observed) -> tuple[int, int, int]:
    """Frames of the video, frames of a window, and pixels of a frame."""
    footage = _footage(_work(one))
    window = min(_work(one).window or footage.frames, footage.frames)
    return footage.frames, window, footage.height * footage.width


def _footage(work: Profile) -> NoiseFrames:
    assert isinstance(work.footage, NoiseFrames), "only those have counts of scopes"
    return work.footage


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
        "S = 1; a video of 36 frames; output grows with the pixels of a frame, tracker and "
        "projection with those of a window, and the rest of a window takes as long as there",
        *_beyond(learned, works),
    ]


def _learned(profiles: Sequence[Profile]) -> tuple[list[str], list[Arithmetic], list[int]]:
    """Frame sizes, precisions and windows of the profiles."""
    footage = [_footage(one) for one in profiles]
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
