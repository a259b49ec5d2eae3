"""Predicted frames per second of a card that is not here. Always a prediction, never a measurement.

A scope cannot be faster than its multiply-adds at the device's peak rate, nor than its bytes at
the device's bandwidth (the roofline). How near a scope comes to that bound, its efficiency, is
taken from measured profiles, where peak rates are those measured in the same process; against the
peak that a card's maker states it is 1 at most. What has no multiply-adds (tracker, output, the
host) is taken as measured, for each window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, median

from ifc_bench.config import (
    NUMBER_BYTES,
    Footprint,
    ModelConfig,
    NoiseFrames,
    Profile,
    RandomWeights,
)
from ifc_bench.errors import UserError
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.measuring.scopes import SCOPES, Cost, model_costs
from ifc_bench.records import ProcessSamples, ProfileResult, Rates, Record
from ifc_bench.tracking.windows import windows

COUNTED = tuple(scope for scope in SCOPES if scope != "projection")  # a watched run times these
FORECAST_FRAMES = 36  # the longest video of YouTube-VIS 2019


@dataclass(frozen=True)
class Efficiency:
    """How a device uses its peak rates.

    Attributes:
        share: bound over measured time, by scope; over 1 where caches give a scope more than
            the large copy that stands for the peak.
        host_seconds: time for each window that no counted scope holds.
        learned_from: the devices behind it.
        error: relative errors of the profiles, each predicted from all others.
    """

    share: dict[str, float]
    host_seconds: float
    learned_from: tuple[str, ...]
    error: tuple[float, ...]


@dataclass(frozen=True)
class Forecast:
    """Predicted frames per second: `fps[row][card]`, None where a card cannot run a row."""

    rows: list[Footprint]
    cards: list[GpuModel]
    fps: list[list[float | None]]
    efficiency: Efficiency


def learn(records: Sequence[Record]) -> Efficiency | None:
    """The efficiency behind measured profiles; None where none has scopes."""
    seen = [one for record in records if (one := _observe(record)) is not None]
    if not seen:
        return None
    share, host = _fitted(seen)
    errors = []
    for left_out in seen:
        rest = [one for one in seen if one is not left_out]
        if rest:
            errors.append(left_out.seconds_with(*_fitted(rest)) / left_out.seconds - 1)
    names = dict.fromkeys(record.provenance.device.name for record in records)
    return Efficiency(share, host, tuple(names), tuple(errors))


def forecasts(
    works: Sequence[Footprint], cards: Sequence[GpuModel], records: Sequence[Record]
) -> Forecast:
    """Predicted FPS of each inference footprint's model on each card, at S = 1.

    What the cards themselves measured is used alone where there is any of it.

    Raises:
        UserError: where no profile was measured scope by scope.
    """
    on_cards = [record for record in records if record.provenance.device.kind == "cuda"]
    efficiency = learn(on_cards or records)
    if efficiency is None:
        raise UserError("--forecast: that folder has no profiles with scopes; run profile first")
    rows = [work for work in works if work.purpose == "inference"]
    values = [[_on(card, work, efficiency) for card in cards] for work in rows]
    return Forecast(rows, list(cards), values, efficiency)


def _on(card: GpuModel, work: Footprint, efficiency: Efficiency) -> float | None:
    """None where the card does not compute that way."""
    rate = card.macs_per_second(work.precision)
    if rate is None or work.model.attention not in card.kernels:
        return None
    rates = Rates(macs_per_second=rate, bytes_per_second=card.bandwidth_gb_s * 1e9)
    length = max(FORECAST_FRAMES, work.frames)
    profile = Profile(
        weights=RandomWeights(model=work.model),
        footage=NoiseFrames(frames=length, height=work.height, width=work.width),
        window=work.frames,
        stride=work.stride,
        precision=work.precision,
        device=card.name,
    )
    bounds, count = _bounds(profile, [length], (work.height, work.width), rates)
    seconds = count * efficiency.host_seconds
    for scope, bound in bounds.items():
        seconds += bound / min(1.0, efficiency.share[scope])  # a catalogue's peak is a peak
    return length / seconds


@dataclass(frozen=True)
class _Observed:
    """One profile: bounds and measured seconds by scope, the rest, and the whole, for a pass."""

    bounds: dict[str, float]
    scopes: dict[str, float]
    rest: float
    windows: int
    seconds: float

    def seconds_with(self, share: dict[str, float], host: float) -> float:
        """What `share` and `host` predict for it."""
        counted = sum(bound / share[scope] for scope, bound in self.bounds.items())
        return counted + host * self.windows


def _fitted(seen: Sequence[_Observed]) -> tuple[dict[str, float], float]:
    share = {
        scope: median(one.bounds[scope] / one.scopes[scope] for one in seen) for scope in COUNTED
    }
    return share, median(one.rest / one.windows for one in seen)


def _observe(record: Record) -> _Observed | None:
    work, result = record.work, record.result
    if not isinstance(work, Profile) or not isinstance(work.footage, NoiseFrames):
        return None
    if not isinstance(result, ProfileResult):
        return None
    processes = [process for process in result.processes if process.scope_seconds]
    if not processes:
        return None
    rates = Rates(
        macs_per_second=fmean(p.rates.macs_per_second for p in processes),
        bytes_per_second=fmean(p.rates.bytes_per_second for p in processes),
    )
    size = (work.footage.height, work.footage.width)
    bounds, count = _bounds(work, result.frames, size, rates)
    scopes = {scope: fmean(_typical(p, scope) for p in processes) for scope in COUNTED}
    whole = fmean(median(process.wall_seconds) for process in processes)
    watched = fmean(sum(_typical(p, s) for s in p.scope_seconds or {}) for p in processes)
    return _Observed(bounds, scopes, watched - sum(scopes.values()), count, whole)


def _typical(process: ProcessSamples, scope: str) -> float:
    return median((process.scope_seconds or {})[scope])


def _bounds(
    work: Profile, frames: Sequence[int], size: tuple[int, int], rates: Rates
) -> tuple[dict[str, float], int]:
    """The least seconds of each scope over a pass, and the number of its windows."""
    bounds = dict.fromkeys(COUNTED, 0.0)
    count = 0
    for length in frames:
        seen = [len(window) for window in windows(length, work.window, work.stride)]
        count += len(seen)
        for clip in seen:
            costs = _costs(work.model, clip, *size)
            for scope in COUNTED:
                share = length / len(seen) / clip if scope == "backbone" else 1.0
                bounds[scope] += share * _bound(
                    costs[scope], rates, NUMBER_BYTES[work.precision] / 4
                )
    return bounds, count


def _bound(cost: Cost, rates: Rates, size: float) -> float:
    return max(cost.macs / rates.macs_per_second, size * cost.bytes_moved / rates.bytes_per_second)


@lru_cache(maxsize=256)
def _costs(model: ModelConfig, frames: int, height: int, width: int) -> dict[str, Cost]:
    return model_costs(model, frames, height, width)
