"""The speed ladder as a table: what each change to the order of operations adds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from ifc_bench.config import RUNGS, Profile, ladder
from ifc_bench.records import ProfileResult, Record
from ifc_bench.report.layout import ABSENT, Format, Grid, explain_mark, write
from ifc_bench.report.origins import origin_lines, origin_of
from ifc_bench.report.quantities import MEASURED_FPS
from ifc_bench.report.speeds import row_of, shown_speed
from ifc_bench.report.statistics import summarise
from ifc_bench.report.three_numbers import process_fps

_SETUP = ("id", "device", "communication", "variant", "size", "T", "S", "frames")
_COLUMNS = [
    *_SETUP, "rung", "status", "fps", "fps_std", "processes", "ratio", "low", "high", "whole",
    "logit_distance",
]  # fmt: skip


def is_rung(record: Record) -> bool:
    """Whether a record is a profile of a ladder; tables of profiles leave these out."""
    return isinstance(record.work, Profile) and record.work.protocol.logits


def ladder_frame(records: Iterable[Record]) -> pd.DataFrame:
    """One row for each measured rung among `records`, ladder by ladder, bottom to top.

    Attributes of a row:
        rung: its name.
        fps, fps_std, processes: as in a table of profiles.
        ratio, low, high: FPS over the rung's below, with its 95% interval; NaN at the bottom.
        whole: FPS over the first rung's.
        logit_distance: the largest difference of a logit from the first rung's.
    """
    known = {record.id: record for record in records if is_rung(record)}
    rows: list[dict[str, Any]] = []
    while known:
        first = next(iter(known.values()))
        assert isinstance(first.work, Profile)
        on_gpu = first.provenance.device.kind == "cuda"
        rungs = [known.pop(work.id, None) for work in ladder(first.work, on_gpu)]
        known.pop(first.id, None)
        rows += _rows(rungs)
    return pd.DataFrame(rows, columns=_COLUMNS)


def _rows(rungs: list[Record | None]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    below: ProfileResult | None = None
    bottom: float | None = None
    for name, record in zip(RUNGS, rungs, strict=False):
        if record is None or not isinstance(record.result, ProfileResult):
            continue
        result = record.result
        row = {key: value for key, value in row_of(record).items() if key in _SETUP}
        row |= {"rung": name, "status": record.status}
        rows.append(row)
        if not result.processes:
            continue
        speeds = summarise(process_fps(result))
        assert speeds is not None
        bottom = speeds.mean if name == RUNGS[0] else bottom
        far = [p.logit_distance for p in result.processes if p.logit_distance is not None]
        ratio, low, high = _ratio(below, result)
        row |= {
            "fps": speeds.mean,
            "fps_std": speeds.std,
            "processes": speeds.n,
            "ratio": ratio,
            "low": low,
            "high": high,
            "whole": None if bottom is None else speeds.mean / bottom,
            "logit_distance": max(far, default=None),
        }
        below = result
    return rows


def _ratio(
    below: ProfileResult | None, here: ProfileResult
) -> tuple[float | None, float | None, float | None]:
    """FPS of `here` over `below` and Student's 95% interval, process by process.

    The processes of one round ran right after each other, so they are pairs.
    """
    if below is None:
        return None, None, None
    pairs = zip(process_fps(below), process_fps(here), strict=False)
    logs = summarise([math.log(b / a) for a, b in pairs])
    assert logs is not None
    low, high = logs.interval or (None, None)
    return (
        math.exp(logs.mean),
        None if low is None else math.exp(low),
        None if high is None else math.exp(high),
    )


def ladder_grid(records: Iterable[Record]) -> Grid:
    """Every ladder among `records`, a line for each rung."""
    records = [record for record in records if is_rung(record)]
    frame = ladder_frame(records)
    head = [
        "each rung keeps the changes of those above it in the table; random weights",
        "ratio: FPS over the rung before, with Student's 95% interval over processes, in pairs of "
        "the same round",
        "logits: the largest difference of a logit of one clip from the first rung's",
        *origin_lines(origin_of(record) for record in records if record.status == "ok"),
    ]
    grid = Grid("Speed ladder", head, [])
    for _, row in frame.iterrows():
        line = {
            "device": row["device"],
            "variant": row["variant"],
            "size": row["size"],
            "T": "video" if pd.isna(row["T"]) else f"{row['T']:.0f}",
            "rung": row["rung"],
            "FPS": row["status"],
            "ratio [95%]": ABSENT,
            "to the first": ABSENT,
            "logits": ABSENT,
        }
        if not pd.isna(row.get("fps")):
            std = None if pd.isna(row["fps_std"]) else row["fps_std"]
            line["FPS"] = shown_speed(row["fps"], std, int(row["processes"]), False, MEASURED_FPS)
            line["ratio [95%]"] = _interval(row)
            line["to the first"] = ABSENT if pd.isna(row["whole"]) else f"{row['whole']:.2f}"
            far = row["logit_distance"]
            line["logits"] = ABSENT if pd.isna(far) else f"{far:.1e}"
        grid.columns = list(line)
        grid.rows.append(list(line.values()))
        grid.values.append(
            {str(key): None if pd.isna(value) else value for key, value in row.items()}
        )
    return explain_mark(grid)


def render_ladder(records: Iterable[Record], style: Format = "github") -> str:
    """`ladder_grid`, written down."""
    return write(ladder_grid(records), style)


def _interval(row: pd.Series) -> str:
    if pd.isna(row["ratio"]):
        return ABSENT
    if pd.isna(row["low"]):
        return f"{row['ratio']:.2f}"
    return f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
