"""The table of profiles: one line for each measurement, on one device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ifc_bench.config import (
    TIMED,
    InterFrame,
    NoiseFrames,
    Profile,
    paper_label,
    paper_order,
)
from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.records import ProfileResult, Record
from ifc_bench.report.layout import ABSENT, Caution, Format, Grid, explain_mark, span, write
from ifc_bench.report.origins import origin_lines, origin_of
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.quantities import (
    ENERGY,
    FPS,
    FRAME_TIME,
    MEASURED_FPS,
    PEAK_MEMORY,
)
from ifc_bench.report.speeds import row_of, shown_speed
from ifc_bench.report.window_counts import reading_line, reading_of

_PAPER_SIZE = (360, 640)


def render_profiles(
    records: Iterable[Record], style: Format = "github", paper: PaperNumbers | None = None
) -> str:
    """`profile_grid`, written down."""
    return write(profile_grid(records, paper), style)


def profile_grid(records: Iterable[Record], paper: PaperNumbers | None = None) -> Grid:
    """All `records` that are profiles, by device, size, precision, T and variant; no ladders.

    `paper` adds the published FPS, for rows measured on the same GPU.
    """
    profiles = [
        record
        for record in records
        if isinstance(record.work, Profile) and not record.work.protocol.logits
    ]
    pairs = sorted(((row_of(record), record) for record in profiles), key=lambda p: _order(p[0]))
    grid = Grid("Speed and memory", _head(pairs), [])
    printed = [published(record, paper) if paper else ABSENT for _, record in pairs]
    for (row, record), found in zip(pairs, printed, strict=True):
        line = _line(row, record)
        if set(printed) != {ABSENT}:
            line["paper FPS"] = found
        grid.columns = list(line)
        grid.rows.append(list(line.values()))
        grid.values.append(row)
    return explain_mark(grid)


def published(record: Record, paper: PaperNumbers) -> str:
    """The paper's FPS of Table 3(a) for the same variant, T, size and GPU; else a dash."""
    work = record.work
    assert isinstance(work, Profile)
    noise, talk = work.footage, work.model.communication
    gpu = paper.gpu("3a")
    alike = (
        isinstance(noise, NoiseFrames)
        and (noise.height, noise.width) == _PAPER_SIZE
        and work.precision == "fp32"
        and work.stride == 1
        and not work.compiled
        and work.form == "release"
        and (not isinstance(talk, InterFrame) or talk.memory_tokens == 8)
    )
    if not (alike and gpu and same_gpu(gpu, record.provenance.device.name)):
        return ABSENT
    row = paper_label(talk.kind)
    found = paper.find("3a", row, work.window, "FPS") if row else None
    return ABSENT if found is None else FPS.number(found[0])


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    t = row["T"] if row["T"] is not None else 1 << 30
    setup = (row["device"], row["size"], row["precision"], row["attention"], row["S"], t)
    return (*setup, paper_order(row["communication"]), row["variant"], row["id"])


def _head(pairs: list[tuple[dict[str, Any], Record]]) -> list[str]:
    lines = [
        "FPS: end to end, frames in memory to final tracks; ± is the sample std between processes",
        "scopes: ms a frame, in passes of their own; peak: of torch's allocations, with weights",
    ]
    measured = [record for row, record in pairs if row.get("fps") is not None]
    lines += reading_line(found for one in measured if (found := reading_of(one)))
    lines += origin_lines(origin_of(record) for record in measured)
    if any(record.provenance.device.kind == "cpu" for _, record in pairs):
        lines.append("measured on a CPU; no number here is a GPU's")
    for row, _ in pairs:
        if row.get("doubts"):
            lines.append(Caution(f"! not to be trusted: {_name(row)}: {row['doubts']}"))
    for row, _ in pairs:
        if row.get("remarks"):
            lines.append(f"note: {_name(row)}: {row['remarks']}")
    capped = sum(row.get("capped", 0) for row, _ in pairs)
    if capped:
        count = sum(row.get("processes", 0) for row, _ in pairs)
        lines.append(
            f"{capped} of {count} processes reached their time limit before the interval of the "
            "median was as narrow as requested"
        )
    return lines


def _name(row: dict[str, Any]) -> str:
    return f"{row['variant']} T={row['T'] or 'video'} on {row['device']}"


def _line(row: dict[str, Any], record: Record) -> dict[str, str]:
    """The cells of a row in the printed table."""
    line = {
        "device": row["device"],
        "variant": row["variant"],
        "attention": row["attention"],
        "precision": row["precision"] + _execution(row),
        "size": row["size"],
        "T": str(row["T"] or "video"),
        "S": str(row["S"]) if row["T"] else ABSENT,
        "FPS": _fps(row, record),
        "windows": _windows(record),
        "ms a frame [95%]": _interval(row),
    }
    line |= {scope: FRAME_TIME.number(row.get(f"{scope}_ms")) for scope in TIMED}
    line["FPS reading"] = FPS.number(row.get("fps_with_reading"))
    line["peak MB"] = PEAK_MEMORY.number(row.get("peak_bytes"))
    line["encoder +MB"] = PEAK_MEMORY.number(row.get("encoder_increase_bytes"))
    line["J a frame"] = ENERGY.number(row.get("joules_per_frame"))
    return line


def _fps(row: dict[str, Any], record: Record) -> str:
    if row["status"] == "out_of_memory":
        result = record.result
        asked = result.asked_bytes if isinstance(result, ProfileResult) else None
        return "out of memory" + (f" (requested {PEAK_MEMORY.text(asked)})" if asked else "")
    if row["status"] != "ok":
        return row["status"]
    doubted = bool(row["doubts"])
    return shown_speed(row["fps"], row["fps_std"], row["processes"], doubted, MEASURED_FPS)


def _execution(row: dict[str, Any]) -> str:
    """Settings of torch and order of operations, where they are not the default."""
    words = [row["form"] if row["form"] != "release" else "", "compiled" * row["compiled"]]
    words.append("" if row["channels_last"] else "channels-first")
    return "".join(f" {word}" for word in words if word)


def _windows(record: Record) -> str:
    reading = reading_of(record)
    return ABSENT if reading is None else span(reading.counts)


def _interval(row: dict[str, Any]) -> str:
    if row.get("median_ms") is None:
        return ABSENT
    low, high = row["low_ms"], row["high_ms"]
    known = "" if low is None else f" [{FRAME_TIME.number(low)}, {FRAME_TIME.number(high)}]"
    return f"{FRAME_TIME.number(row['median_ms'])}{known}"
