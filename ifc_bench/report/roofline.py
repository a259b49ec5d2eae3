"""Rooflines: the least time that a device's peak rates allow each scope, beside the measured one.

A scope cannot be faster than its MACs at the device's peak rate, nor than its bytes at the
device's bandwidth. MACs and bytes come from records of counts, peak rates and times from profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import pandas as pd

from ifc_bench.config import NUMBER_BYTES, ROOFED, SCOPES, Count, ModelConfig, Profile
from ifc_bench.records import CountResult, ProfileResult, Rates, Record, ScopeCost
from ifc_bench.report.speeds import row_of
from ifc_bench.report.three_numbers import end_of, process_seconds
from ifc_bench.store import Store
from ifc_bench.tracking.windows import windows

Costs = Mapping[str, ScopeCost]
CountOf = Callable[[Count], Costs | None]

_EVERY_FRAME = {scope.name: scope.every_frame for scope in SCOPES}
_BEYOND_MASKS = "run_lengths"
_COLUMNS = [
    "device", "communication", "variant", "attention", "precision", "size", "T", "scope", "macs",
    "bytes_moved", "seconds", "intensity", "macs_per_second", "peak_macs_per_second",
    "peak_bytes_per_second", "share",
]  # fmt: skip


@dataclass(frozen=True)
class Observed:
    """One profile of noise, over one pass.

    Attributes:
        costs: counted, for each scope of `ROOFED`.
        rates: the fastest arithmetic and copy of the same processes, a mean.
        seconds: measured for each scope up to masks, a mean over processes of the median pass.
        whole: measured to masks without scopes, likewise.
        windows: of the pass.
    """

    record: Record
    costs: Costs
    rates: Rates
    seconds: dict[str, float]
    whole: float
    windows: int


def counts_in(*stores: Store) -> CountOf:
    """Looks a count up in the first store that has its record."""

    def look_up(work: Count) -> Costs | None:
        for store in stores:
            record = store.load(work)
            if record is not None and isinstance(record.result, CountResult):
                return record.result.scopes
        return None

    return look_up


def has_scope_times(record: Record) -> bool:
    """Whether a record is a profile of noise with times of scopes, each for all that is counted.

    With shared windows a part of every scope runs once a frame. A user's own network names other
    scopes, and its backbone runs for every window.
    """
    work, result = record.work, record.result
    return (
        isinstance(work, Profile)
        and isinstance(work.model, ModelConfig)
        and work.form == "release"
        and not work.protocol.logits
        and work.clip_count is not None
        and isinstance(result, ProfileResult)
        and any(process.scope_seconds for process in result.processes)
    )


def observed(record: Record, count_of: CountOf) -> Observed | None:
    """A measured profile; None where it has no times of scopes, or its clip is not counted."""
    if not has_scope_times(record):
        return None
    work, result = record.work, record.result
    assert isinstance(work, Profile)
    assert isinstance(result, ProfileResult)
    assert work.clip_count is not None
    clip = count_of(work.clip_count)
    if clip is None:
        return None
    processes = [process for process in result.processes if process.scope_seconds]
    names = processes[0].scope_seconds or {}
    (length,) = result.frames
    return Observed(
        record=record,
        costs=pass_costs(work, clip, length),
        rates=Rates(
            macs_per_second=fmean(p.rates.macs_per_second for p in processes),
            bytes_per_second=fmean(p.rates.bytes_per_second for p in processes),
        ),
        seconds={
            name: fmean(median((p.scope_seconds or {})[name]) for p in processes)
            for name in names
            if name != _BEYOND_MASKS
        },
        whole=fmean(median(process_seconds(p, end_of(result))) for p in processes),
        windows=len(list(windows(length, work.window, work.stride))),
    )


def pass_costs(work: Profile, clip: Costs, length: int) -> Costs:
    """Costs of a pass over a video of `length` frames, from those of one of its clips in fp32."""
    seen = list(windows(length, work.window, work.stride))
    share = NUMBER_BYTES[work.precision] / NUMBER_BYTES["fp32"]
    costs = {}
    for scope in ROOFED:
        clips = length / len(seen[0]) if _EVERY_FRAME[scope] else len(seen)
        costs[scope] = ScopeCost(
            macs=round(clip[scope].macs * clips),
            parameters=clip[scope].parameters,
            bytes_moved=round(clip[scope].bytes_moved * clips * share),
        )
    return costs


def least_seconds(cost: ScopeCost, rates: Rates) -> float:
    """The bound of a roofline."""
    return max(cost.macs / rates.macs_per_second, cost.bytes_moved / rates.bytes_per_second)


def roofline_frame(store: Store) -> pd.DataFrame:
    """One row for each profile of noise and scope, over one pass.

    `macs` and `bytes_moved` are counted (`profile` writes those counts), `seconds` measured, a
    mean over processes of the median pass. `intensity` is MACs for each byte that separate kernels
    move: fused kernels move less, so it is a lower bound. The peaks are what a large matrix
    product or convolution and a large copy reached in the same processes. `share` is the least
    time that the peaks allow over the measured one. It can exceed 1, for caches, which the count
    does not know, are faster than the copy.
    """
    found = (observed(record, counts_in(store)) for record in store.records("profile"))
    rows = [row for one in found if one is not None for row in _rows(one)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _rows(one: Observed) -> Iterator[dict[str, Any]]:
    profile = {key: value for key, value in row_of(one.record).items() if key in _COLUMNS}
    for scope, cost in one.costs.items():
        seconds = one.seconds[scope]
        yield profile | {
            "scope": scope,
            "macs": cost.macs,
            "bytes_moved": cost.bytes_moved,
            "seconds": seconds,
            "intensity": cost.macs / cost.bytes_moved,
            "macs_per_second": cost.macs / seconds,
            "peak_macs_per_second": one.rates.macs_per_second,
            "peak_bytes_per_second": one.rates.bytes_per_second,
            "share": least_seconds(cost, one.rates) / seconds,
        }
