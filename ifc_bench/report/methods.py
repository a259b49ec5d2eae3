"""Tables of methods: published rows, results of others scored here, and ours (Table 2(a), (b)).

Rows are comparable only where their data is the same, so every row tells its data; speeds of
different devices stand in different columns.
"""

from __future__ import annotations

from typing import Any

from ifc_bench.config import External
from ifc_bench.recipe import Preset, TableOfMethods
from ifc_bench.records import EvaluationResult
from ifc_bench.report.aggregate import Cell, collect
from ifc_bench.report.layout import ABSENT, Grid, describe, percent
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.store import Store

_Line = dict[str, Any]


def method_grid(table: TableOfMethods, preset: Preset, store: Store, paper: PaperNumbers) -> Grid:
    """The table from the paper's numbers and the records of `store`."""
    accuracies = [metric for metric in table.metrics if metric != "FPS"]
    cells = collect(table, preset, store)
    lines = _published(table, paper) + _external(table, store)
    for cell in cells:
        lines += _ours(table, preset, cell)
    columns = [table.factor, "source", "data", *accuracies]
    devices = list(dict.fromkeys(str(line["device"]) for line in lines if line["device"]))
    columns += [f"FPS on {device}" for device in devices]
    grid = Grid(table.title, _head(preset, cells), columns, values=lines)
    for key in dict.fromkeys((line["method"], line["source"], line["data"]) for line in lines):
        mine = [li for li in lines if (li["method"], li["source"], li["data"]) == key]
        shown = [_shown(mine, metric, None) for metric in accuracies]
        shown += [_shown(mine, "FPS", device) for device in devices]
        grid.rows.append([*map(str, key), *shown])
    return grid


def _head(preset: Preset, cells: list[Cell]) -> list[str]:
    n = {len(values) for cell in cells for values in cell.values.values()}
    lost = sum(sum(cell.lost.values()) for cell in cells)
    lines = [
        "published: the paper's numbers; evaluated: results.json of others, scored here; ours: "
        f"trained with preset {preset.name}, n = {max(n, default=0)}, ± is the sample std over "
        "seeds",
        "rows compare only where their data is the same",
    ]
    if lost:
        lines.append(f"incomplete: {lost} evaluations of ours have no record")
    return lines


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
    }


def _published(table: TableOfMethods, paper: PaperNumbers) -> list[_Line]:
    lines = []
    card = paper.card(table.paper_table)
    rows = paper.frame[paper.frame["table"] == table.paper_table]
    data = next((s for s in rows["setting"].dropna()), "not told")
    for row in rows.to_dict("records"):
        line = _line(row["variant"], "published", data, row["metric"], float(row["mean"]))
        if row["metric"] == "FPS":
            line["device"] = card
        lines.append(line)
    return lines


def _external(table: TableOfMethods, store: Store) -> list[_Line]:
    lines = []
    for record in store.records("external"):
        if isinstance(record.work, External) and isinstance(record.result, EvaluationResult):
            for metric in table.metrics:
                value = record.result.metrics.get(metric)
                if value is not None:
                    work = record.work
                    data = f"{work.data} {work.ground_truth[:8]}"
                    lines.append(_line(work.method, "evaluated", data, metric, 100 * value))
    return lines


def _ours(table: TableOfMethods, preset: Preset, cell: Cell) -> list[_Line]:
    lines = []
    data = describe(preset.data)
    for metric in cell.values:
        summary = cell.summary(metric)
        if summary is not None:
            line = _line(cell.row, "ours", data, metric, 100 * summary.mean)
            line["std"] = None if summary.std is None else 100 * summary.std
            lines.append(line | {"n": summary.n})
    for speed in cell.speeds:
        lines.append(
            _line(cell.row, "ours", data, "FPS", speed.fps)
            | {"device": f"{speed.device}, attention {speed.attention}"}
        )
    return lines


def _shown(lines: list[_Line], metric: str, device: str | None) -> str:
    for line in lines:
        if line["metric"] == metric and (device is None or line["device"] == device):
            return percent(line["mean"], line["std"])
    return ABSENT
