"""The table of profiles: one line for each measurement, on one device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ifc_bench.config import (
    TIMED,
    OwnNetwork,
    Profile,
    paper_order,
)
from ifc_bench.records import ProfileResult, Record
from ifc_bench.report.layout import ABSENT, Caution, Format, Grid, explain_mark, span, write
from ifc_bench.report.origins import origin_lines, origin_of
from ifc_bench.report.own_networks import CountOf, macs_of, own_lines
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.published import published
from ifc_bench.report.quantities import (
    ENERGY,
    FPS,
    FRAME_TIME,
    MEASURED_FPS,
    PEAK_MEMORY,
)
from ifc_bench.report.speeds import row_of, shown_speed
from ifc_bench.report.three_numbers import ENDS
from ifc_bench.report.window_counts import reading_line, reading_of


def render_profiles(
    records: Iterable[Record],
    style: Format = "github",
    paper: PaperNumbers | None = None,
    count_of: CountOf | None = None,
) -> str:
    """`profile_grid`, written down."""
    return write(profile_grid(records, paper, count_of), style)


def profile_grid(
    records: Iterable[Record],
    paper: PaperNumbers | None = None,
    count_of: CountOf | None = None,
) -> Grid:
    """All `records` that are profiles, by device, size, precision, T and variant; no ladders.

    `paper` adds the published FPS, for rows measured on the same GPU. `count_of` adds the MACs of a
    clip to the values, `clip_macs`, and to the head those of own networks.
    """
    profiles = [
        record
        for record in records
        if isinstance(record.work, Profile) and not record.work.protocol.logits
    ]
    pairs = sorted(((row_of(record), record) for record in profiles), key=lambda p: _order(p[0]))
    grid = Grid("Speed and memory", _head(pairs), [])
    grid.head += own_lines((record for _, record in pairs), count_of)
    printed = [published(record, paper) if paper else ABSENT for _, record in pairs]
    for (row, record), found in zip(pairs, printed, strict=True):
        line = _line(row, record)
        if set(printed) != {ABSENT}:
            line["paper FPS"] = found
        grid.columns = list(line)
        grid.rows.append(list(line.values()))
        if count_of is not None:
            row["clip_macs"] = macs_of(record, count_of)
        grid.values.append(row)
    return explain_mark(grid)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    t = row["T"] if row["T"] is not None else 1 << 30
    setup = (row["device"], row["size"], row["precision"], row["attention"], row["S"], t)
    return (*setup, paper_order(row["communication"]), row["variant"], row["id"])


def _head(pairs: list[tuple[dict[str, Any], Record]]) -> list[str]:
    lines = [
        "FPS are three numbers: network (a clip to its logits), to masks (all frames of a video to "
        "final masks on the host; the paper's), to results.json (run lengths and text besides)",
        "± is the sample std between processes; ms a frame: to masks, with Student's 95% interval "
        "over processes",
        "scopes: ms a frame, in passes of their own; peak: of torch's allocations, with weights",
    ]
    measured = [record for row, record in pairs if row.get("fps") is not None]
    lines += reading_line(found for one in measured if (found := reading_of(one)))
    lines += _work_lines(pairs)
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


def _work_lines(pairs: list[tuple[dict[str, Any], Record]]) -> list[str]:
    """Whether variants were measured on equal work, and how many records are older."""
    groups: dict[tuple[Any, ...], set[str]] = {}
    older = 0
    for row, record in pairs:
        assert isinstance(record.work, Profile)
        if row.get("fps") is None:
            continue
        older += row["end"] != ENDS["masks"]
        if record.work.equal_work and row["content"]:
            weights = record.work.weights
            instances = weights.model_dump()["instances"]
            key = (row["device"], row["size"], row["frames"], row["T"], row["S"], row["precision"])
            # Masks of an own network are on a grid of its own.
            own = weights if isinstance(weights, OwnNetwork) else None
            groups.setdefault((*key, instances, own), set()).add(row["content"])
    lines = []
    if groups and all(len(found) == 1 for found in groups.values()):
        lines.append(
            "equal work: tracker and output are given the same recorded tracks in all rows"
        )
    for key, found in groups.items():
        if len(found) > 1:
            lines.append(Caution(f"warning: unequal work at T={key[3]}, {key[1]} on {key[0]}"))
    if older:
        lines.append(f"{older} older records have one number, to run lengths")
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
        "network": _number(row, "network"),
        "to masks": _fps(row, record),
        "to results.json": _number(row, "results"),
        "windows": _windows(record),
        "ms a frame [95%]": _interval(row),
    }
    line |= {scope: FRAME_TIME.number(row.get(f"{scope}_ms")) for scope in TIMED}
    line["FPS reading"] = FPS.number(row.get("fps_with_reading"))
    line["peak MB"] = PEAK_MEMORY.number(row.get("peak_bytes"))
    line["encoder +MB"] = PEAK_MEMORY.number(row.get("encoder_increase_bytes"))
    line |= _energy(row)
    return line


def _energy(row: dict[str, Any]) -> dict[str, str]:
    """Joules a frame, those above idle, and the window that they were measured in."""
    window, step = row.get("energy_window_seconds"), row.get("energy_step_seconds")
    stated = ABSENT if window is None else f"{window:.1f} s"
    return {
        "J a frame": ENERGY.number(row.get("joules_per_frame")),
        "above idle": ENERGY.number(row.get("joules_above_idle_per_frame")),
        "window (step)": stated if step is None else f"{stated} ({1000 * step:.0f} ms)",
    }


def _fps(row: dict[str, Any], record: Record) -> str:
    if row["status"] == "out_of_memory":
        result = record.result
        asked = result.asked_bytes if isinstance(result, ProfileResult) else None
        return "out of memory" + (f" (requested {PEAK_MEMORY.text(asked)})" if asked else "")
    if row["status"] != "ok":
        return row["status"]
    return _number(row, "masks")


def _number(row: dict[str, Any], name: str) -> str:
    """One of the three numbers with its spread."""
    fps = row.get(f"{name}_fps")
    if fps is None:
        return ABSENT
    std, doubted = row[f"{name}_fps_std"], bool(row["doubts"])
    return shown_speed(fps, std, row["processes"], doubted, MEASURED_FPS)


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
