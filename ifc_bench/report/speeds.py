"""Frames per second, memory and energy of profiles, derived from raw samples.

Speed has three numbers (docs/measuring.md): the network, to masks, to results.json. A process gives
one of each, the median of its passes; the ± is the sample std between processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
import pandas as pd

from ifc_bench.config import (
    SCOPES,
    Arithmetic,
    NoiseFrames,
    OwnNetwork,
    Profile,
    variant_kind,
    variant_name,
)
from ifc_bench.records import ProcessSamples, ProfileResult, Record
from ifc_bench.report.gpu_logs import doubts, joules, remarks
from ifc_bench.report.layout import flagged
from ifc_bench.report.published import like_the_papers
from ifc_bench.report.quantities import FPS, Quantity
from ifc_bench.report.statistics import summarise
from ifc_bench.report.three_numbers import (
    ENDS,
    End,
    clip_frames,
    end_of,
    network_fps,
    process_fps,
    process_seconds,
)
from ifc_bench.report.window_counts import Reading, reading_of
from ifc_bench.store import Store

WHOLE_CLIP = "whole clip"  # the form of a user's own network: windows share nothing


@dataclass(frozen=True)
class Speed:
    """Frames per second of one model on one device.

    Attributes:
        end: "masks"; older records know "results" alone.
        device: name, and threads of a CPU.
        fps: mean over processes of all frames over the median pass.
        std: sample std between processes; None for one process.
        n: processes.
        doubts: reasons not to trust the number.
        reading: the videos and their windows.
        like_paper: whether the paper's FPS are of the same number, frame size and arithmetic.
        precision: arithmetic of the network.
        compiled: whether torch.compile compiled it.
    """

    end: End
    device: str
    attention: str
    fps: float
    std: float | None
    n: int
    doubts: tuple[str, ...]
    reading: Reading
    like_paper: bool = False
    precision: Arithmetic = "fp32"
    compiled: bool = False

    @property
    def shown(self) -> str:
        """The number with its spread and marks; see `shown_speed`."""
        return shown_speed(self.fps, self.std, self.n, bool(self.doubts))


def shown_speed(
    fps: float, std: float | None, n: int | None, doubted: bool, unit: Quantity = FPS
) -> str:
    """FPS with their spread; "!" where they must not be trusted, a mark where n is too small."""
    return flagged(unit.with_spread(fps, std) + ("!" if doubted else ""), n)


def speed_of(record: Record) -> Speed | None:
    """The speed behind a profile's record; None where nothing was measured."""
    work, result = record.work, record.result
    reading = reading_of(record)
    if not isinstance(result, ProfileResult) or not result.processes or reading is None:
        return None
    assert isinstance(work, Profile)
    summary = summarise(process_fps(result))
    assert summary is not None
    return Speed(
        end=end_of(result),
        device=device_of(record),
        attention=record.attention,
        fps=summary.mean,
        std=summary.std,
        n=summary.n,
        doubts=doubts_of(result),
        reading=reading,
        like_paper=like_the_papers(record),
        precision=work.precision,
        compiled=work.compiled,
    )


def device_of(record: Record) -> str:
    """The device of a record in words."""
    device = record.provenance.device
    threads = f", {device.threads} thread{'s'[: device.threads > 1]}" if device.threads else ""
    return device.name + threads


def doubts_of(result: ProfileResult) -> tuple[str, ...]:
    """Reasons not to trust a measurement, over all its processes."""
    return tuple(dict.fromkeys(reason for p in result.processes for reason in doubts(p)))


def remarks_of(result: ProfileResult) -> tuple[str, ...]:
    """Remarks on a measurement that stands."""
    return tuple(dict.fromkeys(remark for p in result.processes for remark in remarks(p)))


def profile_frame(store: Store) -> pd.DataFrame:
    """One row for each profile under `store`, with everything that is derived from it."""
    return pd.DataFrame(
        [row_of(record) for record in store.records("profile") if isinstance(record.work, Profile)]
    )


def row_of(record: Record) -> dict[str, Any]:
    """One profile as a flat row; times in milliseconds a frame, memory in bytes.

    `fps` and the times are to masks; `end` is "to results.json" for older records. `windows`
    is how many a video is read in, `window_ms` the milliseconds that one takes.
    """
    work = record.work
    assert isinstance(work, Profile)
    row: dict[str, Any] = {
        "id": record.id,
        "device": device_of(record),
        "communication": variant_kind(work.model),
        "variant": variant_name(work.model),
        "attention": record.attention,
        "T": work.window,
        "S": work.stride,
        "size": _size(work),
        "frames": work.footage.frames if isinstance(work.footage, NoiseFrames) else None,
        "precision": work.precision,
        "compiled": work.compiled,
        "channels_last": work.channels_last,
        "form": WHOLE_CLIP if isinstance(work.model, OwnNetwork) else work.form,
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
    row |= _windows(record) | _times(result) | _three_numbers(record, result)
    return row | _memory(result.processes) | _energy(result)


def _windows(record: Record) -> dict[str, Any]:
    """The windows of a video, and the median time of one.

    Neither that nor FPS compares over T: the backbone reads each frame once, in however many
    windows it is.
    """
    result, reading = record.result, reading_of(record)
    if not isinstance(result, ProfileResult) or reading is None:
        return {}
    passes = _passes(result)
    window_ms = 1000 * median(passes) / sum(reading.counts)
    return {"windows": reading.mean, "window_ms": window_ms}


def _passes(result: ProfileResult) -> list[float]:
    """Seconds of all passes that count, of the main number."""
    end = end_of(result)
    return [seconds for process in result.processes for seconds in process_seconds(process, end)]


def _three_numbers(record: Record, result: ProfileResult) -> dict[str, Any]:
    """FPS of the network and to both ends, each with its std; None where it was not measured."""
    row: dict[str, Any] = {"end": ENDS[end_of(result)]}
    masks = process_fps(result) if end_of(result) == "masks" else []
    found = {"network": network_fps(record), "masks": masks}
    found["results"] = process_fps(result, "results")
    for name, values in found.items():
        summary = summarise(values)
        row[f"{name}_fps"] = summary.mean if summary else None
        row[f"{name}_fps_std"] = summary.std if summary else None
    frames = clip_frames(record)
    graphs = [median(p.network_graph.wall_seconds) for p in result.processes if p.network_graph]
    row["graph_fps"] = fmean(frames / seconds for seconds in graphs) if graphs else None
    # mmdetection's protocol: a mean over clips that follow each other, the first ones left out.
    clips = [seconds for p in result.processes if p.network for seconds in p.network.wall_seconds]
    row["network_mean_fps"] = frames / fmean(clips) if clips else None
    contents = sorted({p.content for p in result.processes if p.content})
    row["content"] = " ".join(contents) or None
    return row


def _times(result: ProfileResult) -> dict[str, Any]:
    frames = sum(result.frames)
    summary = summarise(process_fps(result))
    assert summary is not None
    passes = _passes(result)
    # Passes of one process depend on each other, so the interval is over processes.
    middles = summarise([1000 / fps for fps in process_fps(result)])
    assert middles is not None
    low, high = middles.interval or (None, None)
    reading = [median(p.reading_wall_seconds) for p in result.processes if p.reading_wall_seconds]
    main = [p.masks or p.results for p in result.processes]
    device = [median(timed.device_seconds) for timed in main if timed.device_seconds]
    row: dict[str, Any] = {
        "fps": summary.mean,
        "fps_std": summary.std,
        "processes": summary.n,
        "passes": len(passes),
        "capped": sum(timed.stopped == "cap" for timed in main),
        "mean_ms": 1000 * fmean(passes) / frames,
        "median_ms": middles.mean,
        "p5_ms": 1000 * float(np.percentile(passes, 5)) / frames,
        "p95_ms": 1000 * float(np.percentile(passes, 95)) / frames,
        "low_ms": low,
        "high_ms": high,
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
        "rss_bytes": max(m.host_peak_bytes or m.host_rss_bytes for m in memories),
    }
    for scope, *_ in SCOPES:
        found = [m.scope_increase_bytes[scope] for m in memories if scope in m.scope_increase_bytes]
        row[f"{scope}_increase_bytes"] = _largest(found)
    return row


def _energy(result: ProfileResult) -> dict[str, Any]:
    """Joules a frame, those above idle, the window and the counter's step; and their source."""
    frames = sum(result.frames)
    found = [one for p in result.processes if (one := joules(p)) is not None]
    windows = [p.energy for p in result.processes if p.energy]
    above = [one.above_idle / frames for one in found if one.above_idle is not None]
    steps = [energy.step_seconds for energy in windows if energy.step_seconds is not None]
    return {
        "joules_per_frame": fmean(one.joules / frames for one in found) if found else None,
        "joules_above_idle_per_frame": fmean(above) if above else None,
        "energy_from": found[0].source if found else None,
        "energy_window_seconds": fmean(e.window_seconds for e in windows) if windows else None,
        "energy_step_seconds": fmean(steps) if steps else None,
    }


def _largest(values: list[int | None] | list[int]) -> int | None:
    present = [value for value in values if value is not None]
    return max(present) if present else None


def _size(work: Profile) -> str:
    if isinstance(work.footage, NoiseFrames):
        return f"{work.footage.height}x{work.footage.width}"
    return f"short edge {work.size}" if work.size else "as it is"
