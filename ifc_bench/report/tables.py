"""Tables as the paper prints them: rows of variants, columns grouped by window.

Every head says the data set, the preset, the device and n. Accuracies are percentages.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from tabulate import tabulate

from ifc_bench.config import Data, FolderData, SyntheticData
from ifc_bench.errors import UserError
from ifc_bench.recipe import AnyTable, Preset, Table, TableOfCounts
from ifc_bench.report.aggregate import Cell, Speed, collect, collect_counts
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.store import Store

FORMATS = ("github", "latex", "csv", "json")
Format = Literal["github", "latex", "csv", "json"]

_ABSENT = "–"


@dataclass
class Grid:
    """A laid-out table, and the same content as one line per value."""

    title: str
    head: list[str]
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    values: list[dict[str, object]] = field(default_factory=list)
    complete: bool = True


def render(
    table: AnyTable,
    preset: Preset,
    store: Store,
    style: Format = "github",
    paper: PaperNumbers | None = None,
    situation: str | None = None,
) -> str:
    """`table` from the records of `preset`.

    `paper` puts the printed numbers beside ours; `situation` narrows accuracies to the videos of
    one situation.
    """
    if isinstance(table, TableOfCounts):
        grid = _count_grid(table, store, paper)
    else:
        grid = _grid(table, preset, store, paper, situation)
    return _write(grid, style)


def _write(grid: Grid, style: Format) -> str:
    if style == "json":
        return json.dumps({"title": grid.title, "head": grid.head, "values": grid.values}, indent=1)
    if style == "csv":
        return pd.DataFrame(grid.values).to_csv(index=False)
    if style == "github":
        body = tabulate(grid.rows, grid.columns, tablefmt="github", disable_numparse=True)
        return "\n".join(
            [f"### {grid.title}", "", *(f"- {line}" for line in grid.head), "", body, ""]
        )
    if style == "latex":
        body = tabulate(grid.rows, grid.columns, tablefmt="latex_booktabs", disable_numparse=True)
        body = body.replace("±", r"$\pm$").replace(_ABSENT, "--")
        return "\n".join([f"% {grid.title}", *(f"% {line}" for line in grid.head), body, ""])
    raise UserError(f"--format: {style!r} is none of {', '.join(FORMATS)}")


def _grid(
    table: Table,
    preset: Preset,
    store: Store,
    paper: PaperNumbers | None,
    situation: str | None,
) -> Grid:
    cells = collect(table, preset, store, situation)
    speeds = sorted({(s.device, s.attention) for cell in cells for s in cell.speeds})
    own_windows = any(row.window is not None for row in table.rows)
    columns, keys = [table.factor, *(["T"] if own_windows else [])], []
    for window in [None] if own_windows else table.windows(preset, table.rows[0]):
        for metric in table.metrics:
            for card in speeds if metric == "FPS" else [None]:
                keys.append((window, metric, card))
                several = f" [{speeds.index(card) + 1}]" if card and len(speeds) > 1 else ""
                columns.append(f"{f'T={window} ' if window else ''}{metric}{several}")
    grid = Grid(table.title, _head(table, preset, cells, speeds), columns)
    if situation is not None:
        grid.head.append(f"accuracies on the videos of situation {situation} alone")
    by_place = {(cell.row, cell.window): cell for cell in cells}
    for row in table.rows:
        places = [(w or row.window or 0, metric, card) for w, metric, card in keys]
        told = [str(row.window)] if own_windows else []
        shown = [_show(table, by_place[row.label, w], metric, card) for w, metric, card in places]
        grid.rows.append([row.label, *told, *shown])
        if paper is not None:
            printed = [_show_paper(table, paper, row.label, w, m, c) for w, m, c in places]
            grid.rows.append([f"{row.label} (paper)", *told, *printed])
    if paper is not None:
        grid.head += _without_window(table, paper)
    for cell in cells:
        grid.values += _values(table, cell)
        if paper is not None:
            grid.values += _paper_values(table, paper, cell)
    return grid


def _head(
    table: Table, preset: Preset, cells: list[Cell], speeds: list[tuple[str, str]]
) -> list[str]:
    """What the numbers are: data, preset, n, device; and what is missing."""
    splits = sorted({split for cell in cells for split in cell.splits})
    counts = sorted({len(v) for cell in cells for v in cell.values.values()})
    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    shown = ", ".join("+".join(part[:8] for part in s.split("+")) for s in splits) or "none"
    spread = "numbers are sample stds" if table.statistic == "std" else "± is the sample std"
    images = table.rows[0].images
    data = preset.image_data if images else preset.data
    schedule = preset.image_optimisation if images else preset.optimisation
    strided = any(row.stride > 1 for row in table.rows)
    protocol = "evaluated in windows of T at stride " + ("S" if strided else "1")
    if images:
        protocol = "evaluated as COCO evaluates images"
    started = "" if images or not preset.pretrain else ", after training on images"
    lines = [
        f"data: {describe(data)}, split {shown}",
        f"preset: {preset.name} ({schedule.iterations} iterations of {schedule.clips} clips of "
        f"T={schedule.clip_frames}{started}); {protocol}",
        f"n = {n} trainings; {spread} over seeds",
    ]
    for index, (device, attention) in enumerate(speeds):
        mark = f" [{index + 1}]" if len(speeds) > 1 else ""
        lines.append(f"FPS{mark}: end to end, {device}, attention {attention}")
    lost: dict[str, int] = {}
    for cell in cells:
        for reason, count in cell.lost.items():
            lost[reason] = lost.get(reason, 0) + count
    if lost:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(lost.items()))
        lines.append(f"incomplete: of {len(cells) * preset.seeds} evaluations, {told}")
    if len(splits) > 1:
        lines.append("warning: more than one split is mixed here; run the table again")
    return lines


def describe(data: Data) -> str:
    """A data set in a few words."""
    match data:
        case SyntheticData():
            return (
                f"embedded benchmark (synthetic), seed {data.seed}, {data.train_videos} training "
                f"and {data.validation_videos} validation videos of {data.frames} "
                f"frame{'s'[: data.frames > 1]} {data.height}x{data.width}"
            )
        case FolderData():
            return data.name


def _show(table: Table, cell: Cell, metric: str, card: tuple[str, str] | None) -> str:
    if metric == "FPS":
        found = [s.fps for s in cell.speeds if card == (s.device, s.attention)]
        return f"{found[0]:.1f}" if found else _ABSENT
    summary = cell.summary(metric)
    if summary is None:
        return _ABSENT
    std = None if summary.std is None else f"{100 * summary.std:.1f}"
    if table.statistic == "std":
        return std or _ABSENT
    mean = f"{100 * summary.mean:.1f}"
    return mean if std is None else f"{mean}±{std}"


def _show_paper(
    table: Table,
    paper: PaperNumbers,
    row: str,
    window: int,
    metric: str,
    card: tuple[str, str] | None,
) -> str:
    found = paper.find(table.paper_table, row, window, metric)
    if found is None:
        return _ABSENT
    if metric == "FPS":
        published_on = paper.card(table.paper_table)
        if not (card and published_on and published_on in card[0]):
            return _ABSENT
    mean, std = found
    if table.statistic == "std":
        return _ABSENT if std is None else f"{std:.1f}"
    return f"{mean:.1f}" if std is None else f"{mean:.1f}±{std:.1f}"


def _without_window(table: Table, paper: PaperNumbers) -> list[str]:
    """What the paper prints of these rows without a window, in a line of its own."""
    printed = [
        f"{row.label} {metric} {found[0]:.1f}"
        for row in table.rows
        for metric in table.metrics
        if (found := paper.find(table.paper_table, row.label, None, metric)) is not None
    ]
    return [f"paper, window not told: {', '.join(printed)}"] if printed else []


def _values(table: Table, cell: Cell) -> list[dict[str, object]]:
    """One line for each number, in printed units, at full precision."""
    lines: list[dict[str, object]] = []
    for metric in cell.values:
        summary = cell.summary(metric)
        if summary is None:
            continue
        std = None if summary.std is None else 100 * summary.std
        lines.append(_line(table, cell, metric, "ours", 100 * summary.mean, std, summary.n))
    for speed in cell.speeds:
        lines.append(_speed_line(table, cell, speed))
    return lines


def _line(
    table: Table,
    cell: Cell,
    metric: str,
    source: str,
    mean: float,
    std: float | None,
    n: int,
) -> dict[str, object]:
    return {
        "table": table.name,
        table.factor.replace(" ", "_"): cell.row,
        "T": cell.window,
        "metric": metric,
        "source": source,
        "mean": mean,
        "std": std,
        "n": n,
        "unit": "percent",
        "device": None,
        "attention": None,
    }


def _speed_line(table: Table, cell: Cell, speed: Speed) -> dict[str, object]:
    line = _line(table, cell, "FPS", "ours", speed.fps, None, 1)
    line |= {"unit": "frames per second", "device": speed.device, "attention": speed.attention}
    return line


def _paper_values(table: Table, paper: PaperNumbers, cell: Cell) -> list[dict[str, object]]:
    lines = []
    for metric in cell.values:
        found = paper.find(table.paper_table, cell.row, cell.window, metric)
        if found is not None:
            lines.append(_line(table, cell, metric, "paper", found[0], found[1], 5))
    return lines


def _count_grid(table: TableOfCounts, store: Store, paper: PaperNumbers | None) -> Grid:
    counts = collect_counts(table, store)
    places = [(size, frames) for size in table.sizes for frames in table.frames]
    head = ["G multiply-adds (5 for each element of a normalisation), counted on the real modules"]
    missing = sum(macs is None for macs in counts.values())
    if missing:
        head.append(f"incomplete: {missing} of {len(counts)} cells are not counted yet")
    columns = [table.factor, *(f"{h}x{w} T={frames}" for (h, w), frames in places)]
    grid = Grid(table.title, head, columns)
    for row in table.rows:
        ours = [counts[row.label, size, frames] for size, frames in places]
        grid.rows.append([row.label, *(_ABSENT if m is None else f"{m / 1e9:.2f}" for m in ours)])
        printed = [_printed(table, paper, row.label, place) for place in places]
        if paper is not None:
            grid.rows.append(
                [f"{row.label} (paper)", *(_ABSENT if p is None else f"{p:.2f}" for p in printed)]
            )
        for ((height, width), frames), macs, theirs in zip(places, ours, printed, strict=True):
            line: dict[str, object] = {
                "table": table.name,
                table.factor: row.label,
                "height": height,
                "width": width,
                "frames": frames,
                "macs": macs,
            }
            grid.values.append(line | ({"paper_giga_macs": theirs} if paper is not None else {}))
    return grid


def _printed(
    table: TableOfCounts,
    paper: PaperNumbers | None,
    row: str,
    place: tuple[tuple[int, int], int],
) -> float | None:
    if paper is None:
        return None
    (height, width), frames = place
    found = paper.find(table.paper_table, row, frames, "encoder FLOPs", f"{height}x{width}")
    return None if found is None else found[0]
