"""How near each scope of a measured network comes to what its device can do."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, median
from typing import Any

import pandas as pd

from ifc_bench.config import NUMBER_BYTES, Profile
from ifc_bench.records import CountResult, ProfileResult, Record, ScopeCost
from ifc_bench.report.speeds import row_of
from ifc_bench.store import Store
from ifc_bench.tracking.windows import windows

_SCOPES = ("backbone", "encoder", "decoder", "mask_head")  # those that a watched pass times whole
_COLUMNS = [
    "device", "variant", "attention", "precision", "size", "T", "scope", "macs", "bytes_moved",
    "seconds", "intensity", "macs_per_second", "peak_macs_per_second", "peak_bytes_per_second",
    "share",
]  # fmt: skip


def roofline_frame(store: Store) -> pd.DataFrame:
    """One row for each profile of noise and scope, over one pass.

    `macs` and `bytes_moved` are counted (`profile` writes those counts), `seconds` measured, a
    mean over processes of the median pass. `intensity` is multiply-adds for each byte that
    separate kernels move: fused kernels move less, so it is a lower bound. The peaks are what a
    large matrix product or convolution and a large copy reached in the same processes. `share` is
    the least time that the peaks allow over the measured one. It can exceed 1, for caches, which
    the count does not know, are faster than the copy.
    """
    rows = [row for record in store.records("profile") for row in _rows(record, store)]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _rows(record: Record, store: Store) -> Iterator[dict[str, Any]]:
    work, result = record.work, record.result
    if not isinstance(work, Profile) or not isinstance(result, ProfileResult):
        return
    processes = [process for process in result.processes if process.scope_seconds]
    counted = store.load(work.clip_count) if work.clip_count else None
    costs = counted.result.scopes if counted and isinstance(counted.result, CountResult) else None
    if not processes or costs is None:
        return
    place = {key: value for key, value in row_of(record).items() if key in _COLUMNS}
    peak = fmean(process.rates.macs_per_second for process in processes)
    copy = fmean(process.rates.bytes_per_second for process in processes)
    for scope in _SCOPES:
        cost = _of_a_pass(costs[scope], scope, work, result.frames)
        seconds = fmean(median((process.scope_seconds or {})[scope]) for process in processes)
        bound = max(cost.macs / peak, cost.bytes_moved / copy)
        yield place | {
            "scope": scope,
            "macs": cost.macs,
            "bytes_moved": cost.bytes_moved,
            "seconds": seconds,
            "intensity": cost.macs / cost.bytes_moved,
            "macs_per_second": cost.macs / seconds,
            "peak_macs_per_second": peak,
            "peak_bytes_per_second": copy,
            "share": bound / seconds,
        }


def _of_a_pass(clip: ScopeCost, scope: str, work: Profile, frames: list[int]) -> ScopeCost:
    """A pass over the one video takes every window, but the backbone sees a frame once."""
    (length,) = frames
    seen = list(windows(length, work.window, work.stride))
    clips = length / len(seen[0]) if scope == "backbone" else len(seen)
    return ScopeCost(
        macs=round(clip.macs * clips),
        parameters=clip.parameters,
        bytes_moved=round(clip.bytes_moved * clips * NUMBER_BYTES[work.precision] / 4),
    )
