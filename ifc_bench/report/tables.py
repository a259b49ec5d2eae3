"""Tables as the paper prints them: rows of variants, columns grouped by window.

Every head says the data set, the preset, the device and n. Accuracies are percentages.
"""

from __future__ import annotations

from ifc_bench.recipe import AnyTable, Preset, Table, TableOfCounts, TableOfMethods
from ifc_bench.report.aggregate import Cell, collect
from ifc_bench.report.counts import count_grid
from ifc_bench.report.layout import ABSENT, Format, Grid, describe, percent, write
from ifc_bench.report.methods import method_grid
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.significance import best_rows, compare_rows, power_lines
from ifc_bench.report.speeds import Speed
from ifc_bench.store import Store


def render(
    table: AnyTable,
    preset: Preset,
    store: Store,
    style: Format = "github",
    paper: PaperNumbers | None = None,
    situation: str | None = None,
) -> str:
    """`table` from the records of `preset`, written down; see `lay_out`."""
    return write(lay_out(table, preset, store, paper, situation), style)


def lay_out(
    table: AnyTable,
    preset: Preset,
    store: Store,
    paper: PaperNumbers | None = None,
    situation: str | None = None,
) -> Grid:
    """`table` from the records of `preset`.

    `paper` puts the printed numbers beside ours; `situation` narrows accuracies to the videos of
    one situation. A row's accuracy is bold where it beats every other row by more than noise.
    """
    if isinstance(table, TableOfCounts):
        return count_grid(table, store, paper)
    if isinstance(table, TableOfMethods):
        return method_grid(table, preset, store, paper or PaperNumbers())
    return _grid(table, preset, store, paper, situation)


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
    if situation is None and table.baseline is not None and table.statistic == "mean":
        grid.head += power_lines(compare_rows(table, preset, store))
    if situation is not None:
        grid.head.append(f"accuracies on the videos of situation {situation} alone")
    best: dict[str, set[tuple[str, int | None]]] = {
        metric: best_rows(table, preset, store, metric)
        for metric in table.metrics
        if metric != "FPS" and situation is None and table.statistic == "mean"
    }
    by_place = {(cell.row, cell.window): cell for cell in cells}
    for row in table.rows:
        places = [(w or row.window or 0, metric, card) for w, metric, card in keys]
        told = [str(row.window)] if own_windows else []
        shown = [
            _bold(_show(table, by_place[row.label, w], m, c), (row.label, w) in best.get(m, ()))
            for w, m, c in places
        ]
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
    n = _range([len(v) for cell in cells for v in cell.values.values()])
    shown = ", ".join("+".join(part[:8] for part in s.split("+")) for s in splits) or "none"
    spread = "numbers are sample stds" if table.statistic == "std" else "± is the sample std"
    images = table.rows[0].images
    data = preset.image_data if images else preset.data
    schedule = preset.image_optimisation if images else preset.optimisation
    strided = any(row.stride > 1 for row in table.rows)
    protocol = "evaluated in windows of T at stride " + ("S" if strided else "1")
    if preset.short_videos == "shrink":
        protocol += " (a shorter video is one window)"
    if images:
        protocol = "evaluated as COCO evaluates images"
    started = "" if images or not preset.pretrain else ", after training on images"
    lines = [
        f"data: {describe(data)}, split {shown}",
        f"preset: {preset.name} ({schedule.iterations} iterations of {schedule.clips} clips of "
        f"T={schedule.clip_frames}{started}); {protocol}",
        f"n = {n} trainings; {spread} over seeds",
    ]
    for index, card in enumerate(speeds):
        device, attention = card
        mark = f" [{index + 1}]" if len(speeds) > 1 else ""
        measured = [s.n for cell in cells for s in cell.speeds if (s.device, s.attention) == card]
        variance = f"; ± is the sample std between processes (n = {_range(measured)})"
        if max(measured) == 1:
            variance = "; one process each, so no ±"
        lines.append(f"FPS{mark}: end to end, {device}, attention {attention}{variance}")
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


def _range(counts: list[int]) -> str:
    """ "5", or "3 to 5"."""
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _show(table: Table, cell: Cell, metric: str, card: tuple[str, str] | None) -> str:
    if metric == "FPS":
        found = [s for s in cell.speeds if card == (s.device, s.attention)]
        return found[0].shown if found else ABSENT
    summary = cell.summary(metric)
    if summary is None:
        return ABSENT
    std = None if summary.std is None else 100 * summary.std
    if table.statistic == "std":
        return ABSENT if std is None else percent(std, None)
    return percent(100 * summary.mean, std)


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
        return ABSENT
    if metric == "FPS":
        published_on = paper.card(table.paper_table)
        if not (card and published_on and published_on in card[0]):
            return ABSENT
    mean, std = found
    if table.statistic == "std":
        return ABSENT if std is None else percent(std, None)
    return percent(mean, std)


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
    line = _line(table, cell, "FPS", "ours", speed.fps, speed.std, speed.n)
    line |= {"unit": "frames per second", "device": speed.device, "attention": speed.attention}
    return line


def _paper_values(table: Table, paper: PaperNumbers, cell: Cell) -> list[dict[str, object]]:
    lines = []
    for metric in cell.values:
        found = paper.find(table.paper_table, cell.row, cell.window, metric)
        if found is not None:
            lines.append(_line(table, cell, metric, "paper", found[0], found[1], 5))
    return lines
