"""Tables of methods: published rows, results of others scored here, and ours (Table 2(a), (b)).

Rows are comparable only where their data is the same, so every row names its data; speeds of
different devices have columns of their own.
"""

from __future__ import annotations

from typing import Any

from ifc_bench.config import External
from ifc_bench.recipe import Preset, Row, Table
from ifc_bench.records import EvaluationResult
from ifc_bench.report.arithmetic import apart_lines, ran_in
from ifc_bench.report.cells import Cell, accuracy
from ifc_bench.report.heads import incomplete_line, most_seeds, process_spread
from ifc_bench.report.layout import ABSENT, Grid, describe, explain_mark, span
from ifc_bench.report.origins import origin_lines
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.quantities import ACCURACY
from ifc_bench.report.results import Results
from ifc_bench.report.three_numbers import ENDS
from ifc_bench.report.window_counts import reading_line

_Line = dict[str, Any]
_PRINTED = ("shown", "read")  # text of a value and of its windows


def method_grid(results: Results, paper: PaperNumbers) -> Grid:
    """The table from the paper's numbers and our records."""
    table, preset = results.table, results.preset
    accuracies = [metric for metric in table.metrics if metric != "FPS"]
    cells = results.cells
    lines = _published(table, paper) + _external(results)
    rows = {row.label: row for row in table.rows}
    for cell in cells:
        lines += _ours(table, rows[cell.row], cell, most_seeds(cells))
    columns = [table.factor, "source", "data", *accuracies]
    devices = list(dict.fromkeys(str(line["device"]) for line in lines if line["device"]))
    ours = [device for device in devices if _read(lines, device)]
    for device in devices:
        columns += [f"FPS on {device}", *(["windows"] if device in ours else [])]
    grid = Grid(table.title, _head(table, preset, cells), columns)
    for key in dict.fromkeys((line["method"], line["source"], line["data"]) for line in lines):
        mine = [li for li in lines if (li["method"], li["source"], li["data"]) == key]
        shown = [_shown(mine, metric, None) for metric in accuracies]
        for device in devices:
            shown.append(_shown(mine, "FPS", device))
            shown += [", ".join(_read(mine, device)) or ABSENT] if device in ours else []
        grid.rows.append([*map(str, key), *shown])
    grid.values = [{k: v for k, v in line.items() if k not in _PRINTED} for line in lines]
    return explain_mark(grid)


def _head(table: Table, preset: Preset, cells: list[Cell]) -> list[str]:
    most = most_seeds(cells)
    spread = ", ± is the sample std over seeds" if most > 1 else ""
    tests = [test for row in table.rows for test in row.tests]
    ways = dict.fromkeys(ran_in(test.precision, test.compiled) for test in tests)
    tested = " or ".join(way.removeprefix(", ") or "in fp32" for way in ways) if any(ways) else ""
    lines = [
        "published: the paper's numbers; evaluated: results.json of others, scored here; ours: "
        f"trained with preset {preset.name}, n = {most}{spread}"
        + (f"; tested {tested}" if tested else ""),
        "rows compare only where their data is the same",
    ]
    speeds = [speed for cell in cells for speed in cell.speeds]
    if speeds:
        spread = process_spread([speed.n for speed in speeds])
        ends = " or ".join(
            dict.fromkeys(ENDS[s.end] + ran_in(s.precision, s.compiled) for s in speeds)
        )
        lines.append(f"FPS of ours: {ends}; {spread}")
        lines += reading_line(speed.reading for speed in speeds)
    lines += incomplete_line(cells, " of ours") + apart_lines(table.rows, cells)
    return lines + origin_lines(origin for cell in cells for origin in cell.origins)


def _line(method: str, source: str, data: str, metric: str, mean: float) -> _Line:
    return {
        "method": method,
        "source": source,
        "data": data,
        "metric": metric,
        "mean": mean,
        "std": None,
        "n": None,
        "device": None,
        "windows": None,
        "shown": ACCURACY.with_spread(mean, None),
        "read": None,
    }


def _published(table: Table, paper: PaperNumbers) -> list[_Line]:
    lines = []
    gpu = paper.gpu(table.paper_table)
    rows = paper.frame[paper.frame["table"] == table.paper_table]
    data = next((s for s in rows["setting"].dropna()), "not stated")
    for row in rows.to_dict("records"):
        line = _line(row["variant"], "published", data, row["metric"], float(row["mean"]))
        if row["metric"] == "FPS":
            line["device"] = gpu
        lines.append(line)
    return lines


def _external(results: Results) -> list[_Line]:
    lines = []
    for record in results.externals:
        if isinstance(record.work, External) and isinstance(record.result, EvaluationResult):
            for metric in results.table.metrics:
                value = record.result.metrics.get(metric)
                if value is not None:
                    work = record.work
                    data = f"{work.data} {work.ground_truth[:8]}"
                    lines.append(_line(work.method, "evaluated", data, metric, 100 * value))
    return lines


def _ours(table: Table, row: Row, cell: Cell, most: int) -> list[_Line]:
    lines = []
    data = describe(row.training.data)
    for metric in cell.values:
        summary = cell.summary(metric)
        if summary is not None:
            line = _line(cell.row, "ours", data, metric, summary.points.mean)
            line["std"] = summary.points.std
            line["shown"] = accuracy(table, cell, metric, most)
            lines.append(line | {"n": summary.n})
    for speed in cell.speeds:
        line = _line(cell.row, "ours", data, "FPS", speed.fps)
        line |= {"std": speed.std, "n": speed.n, "windows": speed.reading.mean}
        line |= {"shown": speed.shown, "read": span(speed.reading.counts)}
        lines.append(line | {"device": f"{speed.device}, attention {speed.attention}"})
    return lines


def _read(lines: list[_Line], device: str) -> list[str]:
    """The windows behind the FPS on one device, if known."""
    return [line["read"] for line in lines if line["device"] == device and line["read"]]


def _shown(lines: list[_Line], metric: str, device: str | None) -> str:
    for line in lines:
        if line["metric"] == metric and (device is None or line["device"] == device):
            return str(line["shown"])
    return ABSENT
