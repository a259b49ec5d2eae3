"""Frames per second, memory and energy of profiles, derived from raw samples.

A process gives one number, the median of its passes; the ± is the sample std between processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
import pandas as pd

from ifc_bench.config import SCOPES, NoiseFrames, Profile, spoken
from ifc_bench.measuring.interval import median_interval
from ifc_bench.records import ProcessSamples, ProfileResult, Record
from ifc_bench.report.gpu_logs import doubts, joules, remarks
from ifc_bench.report.layout import flagged
from ifc_bench.report.quantities import FPS, Quantity
from ifc_bench.report.statistics import summarise
from ifc_bench.report.window_counts import Reading, reading_of
from ifc_bench.store import Store


@dataclass(frozen=True)
class Speed:
    """Frames per second of one model on one device.

    Attributes:
        device: name, and threads of a CPU.
        fps: mean over processes of all frames over the median pass.
        std: sample std between processes; None for one process.
        n: processes.
        doubts: reasons not to trust the number.
        reading: the videos and their windows.
    """

    device: str
    attention: str
    fps: float
    std: float | None
    n: int
    doubts: tuple[str, ...]
    reading: Reading

    @property
    def shown(self) -> str:
        """The number with its spread and marks; see `shown_speed`."""
        return shown_speed(self.fps, self.std, self.n, bool(self.doubts))


def shown_speed(
    fps: float, std: float | None, n: int | None, doubted: bool, unit: Quantity = FPS
) -> str:
    """FPS with their spread; "!" where they must not be trusted, a mark where n is too small."""
    return flagged(unit.with_spread(fps, std) + ("!" if doubted else ""), n)


def process_fps(result: ProfileResult) -> list[float]:
    """End-to-end frames per second of each process."""
    return [sum(result.frames) / median(process.wall_seconds) for process in result.processes]


def speed_of(record: Record) -> Speed | None:
    """The speed behind a profile's record; None where nothing was measured."""
    result = record.result
    reading = reading_of(record)
    if not isinstance(result, ProfileResult) or not result.processes or reading is None:
        return None
    summary = summarise(process_fps(result))
    assert summary is not None
    return Speed(
        device=device_of(record),
        attention=record.attention,
        fps=summary.mean,
        std=summary.std,
        n=summary.n,
        doubts=doubts_of(result),
        reading=reading,
    )


def device_of(record: Record) -> str:
    """The device of a record in words."""
    device = record.provenance.device
    threads = f", {device.threads} thread{'s'[: device.threads > 1]}" if device.threads else ""
    return device.name + threads


def doubts_of(result: ProfileResult) -> tuple[str, ...]:
    """Reasons not to trust a measurement, over all its processes."""
    found = (doubts(process.card) for process in result.processes if process.card)
    return tuple(dict.fromkeys(reason for reasons in found for reason in reasons))


def remarks_of(result: ProfileResult) -> tuple[str, ...]:
    """Remarks on a measurement that stands."""
    found = [remark for p in result.processes if p.card for remark in remarks(p.card)]
    return tuple(dict.fromkeys(found))


def profile_frame(store: Store) -> pd.DataFrame:
    """One row for each profile under `store`, with everything that is derived from it."""
    return pd.DataFrame(
        [row_of(record) for record in store.records("profile") if isinstance(record.work, Profile)]
    )


def row_of(record: Record) -> dict[str, Any]:
    """One profile as a flat row; times in milliseconds a frame, memory in bytes.

    `windows` is how many a video is read in, `window_ms` the milliseconds that one takes.
    """
    work = record.work
    assert isinstance(work, Profile)
    row: dict[str, Any] = {
        "id": record.id,
        "device": device_of(record),
        "communication": work.model.communication.kind,
        "variant": spoken(work.model.communication),
        "attention": record.attention,
        "T": work.window,
        "S": work.stride,
        "size": _size(work),
        "frames": work.footage.frames if isinstance(work.footage, NoiseFrames) else None,
        "precision": work.precision,
        "compiled": work.compiled,
        "channels_last": work.channels_last,
        "form": work.form,
        "ladder": work.protocol.logits,
        "weights": work.weights.kind,
        "commit": record.provenance.git_revision,
        "status": record.status,
    }
    result = record.result
    if not isinstance(result, ProfileResult):
        return row
    if not result.processes:
        return row | {"asked_bytes": result.asked_bytes}
    return row | _windows(record) | _times(result) | _memory(result.processes) | _energy(result)


def _windows(record: Record) -> dict[str, Any]:
    """The windows of a video, and the median time of one.

    Neither that nor FPS compares over T: the backbone reads each frame once, in however many
    windows it is.
    """
    result, reading = record.result, reading_of(record)
    if not isinstance(result, ProfileResult) or reading is None:
        return {}
    passes = [seconds for process in result.processes for seconds in process.wall_seconds]
    window_ms = 1000 * median(passes) / sum(reading.counts)
    return {"windows": reading.mean, "window_ms": window_ms}


def _times(result: ProfileResult) -> dict[str, Any]:
    frames = sum(result.frames)
    summary = summarise(process_fps(result))
    assert summary is not None
    passes = [seconds for process in result.processes for seconds in process.wall_seconds]
    interval = median_interval(passes)
    reading = [median(p.reading_wall_seconds) for p in result.processes if p.reading_wall_seconds]
    device = [median(p.device_seconds) for p in result.processes if p.device_seconds]
    row: dict[str, Any] = {
        "fps": summary.mean,
        "fps_std": summary.std,
        "processes": summary.n,
        "passes": len(passes),
        "capped": sum(process.stopped == "cap" for process in result.processes),
        "mean_ms": 1000 * fmean(passes) / frames,
        "median_ms": 1000 * median(passes) / frames,
        "p5_ms": 1000 * float(np.percentile(passes, 5)) / frames,
        "p95_ms": 1000 * float(np.percentile(passes, 95)) / frames,
        "low_ms": 1000 * interval[0] / frames if interval else None,
        "high_ms": 1000 * interval[1] / frames if interval else None,
        "device_ms": 1000 * fmean(device) / frames if device else None,
        "fps_with_reading": fmean(frames / s for s in reading) if reading else None,
        "doubts": "; ".join(doubts_of(result)),
        "remarks": "; ".join(remarks_of(result)),
    }
    for scope, *_ in SCOPES:
        found = [(p.scope_seconds or {}).get(scope, []) for p in result.processes]
        taken = [median(seconds) for seconds in found if seconds]
        row[f"{scope}_ms"] = 1000 * fmean(taken) / frames if taken else None
    return row


def _memory(processes: list[ProcessSamples]) -> dict[str, Any]:
    """The largest over the processes, for memory varies little between them."""
    memories = [process.memory for process in processes]
    row: dict[str, Any] = {
        "weights_bytes": max(memory.weights_bytes for memory in memories),
        "peak_bytes": max(memory.peak_allocated_bytes for memory in memories),
        "reserved_bytes": _largest([memory.peak_reserved_bytes for memory in memories]),
        "process_bytes": _largest([memory.process_bytes for memory in memories]),
        "rss_bytes": max(memory.host_rss_bytes for memory in memories),
    }
    for scope, *_ in SCOPES:
        found = [m.scope_increase_bytes[scope] for m in memories if scope in m.scope_increase_bytes]
        row[f"{scope}_increase_bytes"] = _largest(found)
    return row


def _energy(result: ProfileResult) -> dict[str, Any]:
    """Joules a frame over the timed passes, and where they come from."""
    found = []
    source = None
    for process in result.processes:
        energy = joules(process.card) if process.card else None
        if energy is not None:
            found.append(energy[0] / (sum(result.frames) * len(process.wall_seconds)))
            source = energy[1]
    return {"joules_per_frame": fmean(found) if found else None, "energy_from": source}


def _largest(values: list[int | None] | list[int]) -> int | None:
    present = [value for value in values if value is not None]
    return max(present) if present else None


def _size(work: Profile) -> str:
    if isinstance(work.footage, NoiseFrames):
        return f"{work.footage.height}x{work.footage.width}"
    return f"short edge {work.size}" if work.size else "as it is"
