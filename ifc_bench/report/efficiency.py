"""The use that measured devices make of their peak rates: what a forecast is learned from.

How near a scope comes to its roofline is its efficiency, where peak rates are those measured in
the same process. Scopes without a roofline are scaled with the frame (`Host`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from ifc_bench.config import NUMBER_BYTES, ROOFED, Arithmetic, NoiseFrames, Profile
from ifc_bench.records import Rates, Record, ScopeCost
from ifc_bench.report.roofline import (
    Costs,
    CountOf,
    Observed,
    least_seconds,
    observed,
    pass_costs,
)
from ifc_bench.tracking.windows import windows

_PROJECTION = "projection"  # counted; timed with the positions, which count nothing
_OF_PIXELS = ("output",)
_OF_WINDOW_PIXELS = ("tracker",)
_BOUNDED = (*ROOFED, _PROJECTION)


@dataclass(frozen=True)
class Host:
    """Seconds of a pass that no roofline bounds.

    Attributes:
        each_pixel: of a frame of the video, for its masks at full size.
        each_window_pixel: of a frame in a window: the tracker, whose maps are a fixed fraction of
            the frame.
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
    found = [one for record in records if (one := observed(record, count_of)) is not None]
    if not found:
        return None
    seen = [replace(one, costs=_observed_costs(one, count_of)) for one in found]
    errors = []
    for left_out in seen:
        rest = [one for one in seen if one is not left_out]
        if rest:
            errors.append(_predicted(left_out, _fitted(rest)) / left_out.whole - 1)
    return replace(_fitted(seen), error=tuple(errors))


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
    """The share of its bound that each scope reaches, of those that were timed."""
    found: dict[str, list[float]] = {}
    for one in seen:
        for scope, bound in least_of(one.costs, one.rates).items():
            if scope in one.seconds:
                found.setdefault(scope, []).append(bound / one.seconds[scope])
    return {scope: median(shares) for scope, shares in found.items()}


def _host(seen: Sequence[Observed]) -> Host:
    pixel, window_pixel, window = [], [], []
    for one in seen:
        length, frames, pixels = _sizes(one)
        of_windows = sum(one.seconds.get(scope, 0.0) for scope in _OF_WINDOW_PIXELS)
        of_frames = sum(one.seconds.get(scope, 0.0) for scope in _OF_PIXELS)
        roofed = sum(one.seconds.get(scope, 0.0) for scope in _BOUNDED)
        rest = sum(one.seconds.values()) - roofed - of_windows - of_frames
        pixel.append(of_frames / (length * pixels))
        window_pixel.append(of_windows / (one.windows * frames * pixels))
        window.append(rest / one.windows)
    return Host(median(pixel), median(window_pixel), median(window))


def _predicted(one: Observed, learned: Efficiency) -> float:
    """Seconds of a pass of `one` by an efficiency learned elsewhere."""
    length, frames, pixels = _sizes(one)
    shares = learned.of(_work(one).precision)
    least = least_of(one.costs, one.rates)
    roofed = sum(least[scope] / share for scope, share in shares.items())
    return roofed + learned.host.seconds(length, one.windows, frames, pixels)


def costs(work: Profile, clip: Costs, length: int) -> Costs:
    """The costs of a pass, with those of the projection, which runs once a window."""
    seen = len(list(windows(length, work.window, work.stride)))
    one, share = clip[_PROJECTION], NUMBER_BYTES[work.precision] / NUMBER_BYTES["fp32"]
    projection = ScopeCost(
        macs=one.macs * seen,
        parameters=one.parameters,
        bytes_moved=round(one.bytes_moved * seen * share),
    )
    return {**pass_costs(work, clip, length), _PROJECTION: projection}


def _observed_costs(one: Observed, count_of: CountOf) -> Costs:
    work = _work(one)
    assert work.clip_count is not None
    clip = count_of(work.clip_count)
    assert clip is not None, "observed"
    return costs(work, clip, footage_of(work).frames)


def least_of(costs: Costs, rates: Rates) -> dict[str, float]:
    """Return the bound in seconds of each scope with a roofline, the projection included."""
    return {scope: least_seconds(costs[scope], rates) for scope in _BOUNDED}


def _work(one: Observed) -> Profile:
    assert isinstance(one.record.work, Profile)
    return one.record.work


def _sizes(one: Observed) -> tuple[int, int, int]:
    """Frames of the video, frames of a window, and pixels of a frame."""
    footage = footage_of(_work(one))
    window = min(_work(one).window or footage.frames, footage.frames)
    return footage.frames, window, footage.height * footage.width


def footage_of(work: Profile) -> NoiseFrames:
    """Return the frames of a profile of noise."""
    assert isinstance(work.footage, NoiseFrames), "only those have counts of scopes"
    return work.footage
