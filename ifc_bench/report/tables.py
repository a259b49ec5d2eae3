"""Tables as the paper prints them: rows of variants, columns grouped by window.

Every head has the data set, the preset, the devices and n. Accuracies are percentages.
"""

from __future__ import annotations

from dataclasses import dataclass

from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.recipe import Table
from ifc_bench.report.cells import Cell, accuracy, failures
from ifc_bench.report.heads import head_lines, most_seeds
from ifc_bench.report.layout import (
    ABSENT,
    Format,
    Grid,
    explain_mark,
    span,
    write,
)
from ifc_bench.report.macs import count_grid
from ifc_bench.report.methods import method_grid
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.quantities import ACCURACY
from ifc_bench.report.results import AnyResults, Counts, Results
from ifc_bench.report.significance import power_lines
from ifc_bench.report.speeds import Speed

_Setup = tuple[str, str]  # a device and an attention implementation
_WINDOWS = "windows"


@dataclass(frozen=True)
class _Column:
    """A column of numbers: `window` None where rows have their own."""

    name: str
    window: int | None
    metric: str
    setup: _Setup | None


def render(
    results: AnyResults,
    style: Format = "github",
    paper: PaperNumbers | None = None,
    situation: str | None = None,
) -> str:
    """The table of `results`, written down; see `lay_out`."""
    return write(lay_out(results, paper, situation), style)


def lay_out(
    results: AnyResults, paper: PaperNumbers | None = None, situation: str | None = None
) -> Grid:
    """The table of `results`.

    `paper` puts the printed numbers beside ours; `situation` narrows accuracies to the videos of
    one situation. An accuracy is bold where it is better than every other row's by more than noise.
    """
    match results:
        case Counts():
            return count_grid(results, paper)
        case Results() if results.table.published:
            return method_grid(results, paper or PaperNumbers())
        case Results():
            return _grid(results, paper, situation)


def _grid(results: Results, paper: PaperNumbers | None, situation: str | None) -> Grid:
    table, preset, cells = results.table, results.preset, results.cells_of(situation)
    speeds = sorted({(s.device, s.attention) for cell in cells for s in cell.speeds})
    columns = _columns(table, cells, speeds)
    names = [table.factor, *(["T"] if table.own_windows else []), *(c.name for c in columns)]
    grid = Grid(table.title, head_lines(table, preset, cells, speeds), names)
    judged = situation is None and table.statistic == "mean"
    if judged and table.baseline is not None:
        grid.head += power_lines(results.differences)
    if situation is not None:
        grid.head.append(f"accuracies on the videos of situation {situation} alone")
    by_place = {(cell.row, cell.window): cell for cell in cells}
    most = most_seeds(cells)
    for label, window in _lines(table):
        places = [(c, window if table.own_windows else c.window) for c in columns]
        lead = [str(window or "video")] if table.own_windows else []
        shown = [
            _bold(
                _show(table, by_place.get((label, w)), c, most),
                judged and c.metric in table.metrics and (label, w) in results.best(c.metric),
            )
            for c, w in places
        ]
        grid.rows.append([label, *lead, *shown])
        if paper is not None:
            printed = [_show_paper(table, paper, by_place.get((label, w)), c) for c, w in places]
            grid.rows.append([f"{label} (paper)", *lead, *printed])
    if paper is not None:
        grid.head += _without_window(table, paper)
    for cell in cells:
        grid.values += _values(table, cell)
        if paper is not None:
            grid.values += _paper_values(table, paper, cell)
    return explain_mark(grid)


def _lines(table: Table) -> list[tuple[str, int | None]]:
    """A line for each row; for each of its windows, where rows have their own."""
    if not table.own_windows:
        return [(row.label, None) for row in table.rows]
    return [(row.label, window) for row in table.rows for window in row.windows]


def _columns(table: Table, cells: list[Cell], speeds: list[_Setup]) -> list[_Column]:
    """The columns of numbers, window by window.

    FPS have their windows beside them: in the name where all rows have as many, which keeps the
    table narrow, else in a column of its own.
    """
    setups: list[_Setup | None] = [*speeds] or [None]
    found = []
    for window in table.columns or [None]:
        prefix = "" if table.own_windows else f"T={window or 'video'} "
        for metric in table.metrics:
            if metric != "FPS":
                found.append(_Column(f"{prefix}{metric}", window, metric, None))
                continue
            for setup in setups:
                mark = f" [{speeds.index(setup) + 1}]" if setup and len(speeds) > 1 else ""
                here = [cell for cell in cells if table.own_windows or cell.window == window]
                counts = {span(s.reading.counts) for cell in here for s in cell.on(setup)}
                count = f" ({_windows(*counts)})" if len(counts) == 1 else ""
                found.append(_Column(f"{prefix}FPS{mark}{count}", window, "FPS", setup))
                if len(counts) > 1:
                    found.append(_Column(f"{prefix}{_WINDOWS}{mark}", window, _WINDOWS, setup))
    return found


def _windows(count: str) -> str:
    return f"{count} window{'s'[: count != '1']}"


def _bold(text: str, best: bool) -> str:
    return f"**{text}**" if best else text


def _show(table: Table, cell: Cell | None, column: _Column, most: int) -> str:
    if cell is None:  # the row is not tested at this window
        return ABSENT
    if column.metric not in ("FPS", _WINDOWS):
        return accuracy(table, cell, column.metric, most)
    found = cell.on(column.setup)
    if not found:
        return ABSENT
    return found[0].shown if column.metric == "FPS" else span(found[0].reading.counts)


def _show_paper(table: Table, paper: PaperNumbers, cell: Cell | None, column: _Column) -> str:
    """The printed number; its FPS only beside ours of the same GPU, frame size and arithmetic."""
    if cell is None:
        return ABSENT
    found = paper.find(table.paper_table, cell.row, cell.window, column.metric)
    if found is None:
        return ABSENT
    if column.metric == "FPS":
        gpu = paper.gpu(table.paper_table)
        on_it = bool(column.setup and gpu and same_gpu(gpu, column.setup[0]))
        if not (on_it and any(speed.like_paper for speed in cell.on(column.setup))):
            return ABSENT
    mean, std = found
    if table.statistic == "std":
        return ACCURACY.number(std)
    return ACCURACY.with_spread(mean, std)


def _without_window(table: Table, paper: PaperNumbers) -> list[str]:
    """Numbers that the paper prints for these rows without a window, in one line."""
    printed = [
        f"{row.label} {metric} {found[0]:.1f}"
        for row in table.rows
        for metric in table.metrics
        if (found := paper.find(table.paper_table, row.label, None, metric)) is not None
    ]
    return [f"paper, window not stated: {', '.join(printed)}"] if printed else []


def _values(table: Table, cell: Cell) -> list[dict[str, object]]:
    """One line for each number, in printed units, at full precision."""
    lines: list[dict[str, object]] = []
    for metric in cell.values:
        summary = cell.summary(metric)
        if summary is None:
            continue
        points = summary.points
        line = _line(table, cell, metric, "ours", (points.mean, points.std, points.n))
        lines.append(line | {"lost": ", ".join(failures(cell)) or None})
    for speed in cell.speeds:
        lines.append(_speed_line(table, cell, speed))
    return lines


def _line(
    table: Table,
    cell: Cell,
    metric: str,
    source: str,
    number: tuple[float, float | None, int],
) -> dict[str, object]:
    """One value; `number` is its mean, std and n."""
    mean, std, n = number
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
        "windows": None,
        "lost": None,
    }


def _speed_line(table: Table, cell: Cell, speed: Speed) -> dict[str, object]:
    line = _line(table, cell, "FPS", "ours", (speed.fps, speed.std, speed.n))
    line |= {"unit": "frames per second", "device": speed.device, "attention": speed.attention}
    return line | {"windows": speed.reading.mean}


def _paper_values(table: Table, paper: PaperNumbers, cell: Cell) -> list[dict[str, object]]:
    lines = []
    for metric in cell.values:
        found = paper.find(table.paper_table, cell.row, cell.window, metric)
        if found is not None:
            lines.append(_line(table, cell, metric, "paper", (*found, 5)))
    return lines
