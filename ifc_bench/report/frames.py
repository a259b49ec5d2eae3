"""Records as pandas frames: one row for each value, nothing rounded, everything named."""

from __future__ import annotations

import pandas as pd

from ifc_bench.config import Footprint, variant_kind, variant_name
from ifc_bench.records import FootprintResult
from ifc_bench.report.results import Results
from ifc_bench.report.statistics import summarise
from ifc_bench.store import Store


def runs_frame(results: Results) -> pd.DataFrame:
    """One row for each row, window, metric and seed: `row`, `T`, `metric`, `seed`, `value`.

    `T` is the window in frames (missing: offline); values are fractions.
    """
    rows = [
        {"row": cell.row, "T": cell.window, "metric": metric, "seed": seed, "value": value}
        for cell in results.cells
        for metric in cell.values
        for seed, value in cell.by_seed(metric).items()
    ]
    return pd.DataFrame(rows, columns=["row", "T", "metric", "seed", "value"])


def summary_frame(results: Results) -> pd.DataFrame:
    """One row for each row, window and metric: `n`, `mean`, `std`, and Student's 95%.

    `memory_tokens` is M, 0 for modules without.
    """
    found = []
    models = {row.label: row.training.model for row in results.table.rows}
    runs = runs_frame(results)
    for (row, window, metric), group in runs.groupby(
        ["row", "T", "metric"], sort=False, dropna=False
    ):
        values = group["value"].tolist()
        summary = summarise(values)
        assert summary is not None
        low, high = summary.interval or (None, None)
        found.append(
            {
                "row": row, "memory_tokens": models[str(row)].communication.memory_tokens,
                "T": window, "metric": metric, "n": summary.n, "mean": summary.mean,
                "std": summary.std, "low": low, "high": high,
            }
        )  # fmt: skip
    return pd.DataFrame(found)


def speeds_frame(results: Results) -> pd.DataFrame:
    """One row for each row, window and device that was measured.

    `fps`, `std`, `n` (processes), `windows` (of a video; FPS follow them, so they do not compare
    over T), `doubts`.
    """
    rows = [
        {
            "row": cell.row, "T": cell.window, "device": speed.device, "fps": speed.fps,
            "std": speed.std, "n": speed.n, "windows": speed.reading.mean,
            "doubts": "; ".join(speed.doubts),
        }
        for cell in results.cells
        for speed in cell.speeds
    ]  # fmt: skip
    columns = ["row", "T", "device", "fps", "std", "n", "windows", "doubts"]
    return pd.DataFrame(rows, columns=columns)


def curves_frame(results: Results) -> pd.DataFrame:
    """Training curves: `row`, `seed`, `iteration`, `curve` ("loss" or "AP"), `value`."""
    found = []
    for run in results.runs:
        result = run.result
        if result is None:
            continue
        points = [(index * result.curve_step, "loss", v) for index, v in enumerate(result.loss)]
        points += [(iteration, "AP", value) for iteration, value in result.accuracy_curve]
        found += [
            {"row": run.row, "seed": run.work.seed, "iteration": i, "curve": c, "value": v}
            for i, c, v in points
        ]
    return pd.DataFrame(found, columns=["row", "seed", "iteration", "curve", "value"])


def situations_frame(results: Results) -> pd.DataFrame:
    """AP by situation: `row`, `T`, `seed`, `situation`, `value`."""
    found = [
        {"row": test.row, "T": test.work.window, "seed": test.work.training.seed, "situation": name,
         "value": scores.get("AP")}
        for test, result in results.evaluated()
        for name, scores in result.by_situation.items()
    ]  # fmt: skip
    return pd.DataFrame(found, columns=["row", "T", "seed", "situation", "value"])


def classes_frame(results: Results) -> pd.DataFrame:
    """AP by class: `row`, `T`, `seed`, `class`, `value`."""
    found = [
        {
            "row": test.row,
            "T": test.work.window,
            "seed": test.work.training.seed,
            "class": name,
            "value": ap,
        }
        for test, result in results.evaluated()
        for name, ap in result.by_class.items()
    ]
    return pd.DataFrame(found, columns=["row", "T", "seed", "class", "value"])


def strata_frame(results: Results) -> pd.DataFrame:
    """AP by thirds of the instances: `attribute`, `low`, `high`, `truths`, `value`."""
    found = [
        {"row": test.row, "T": test.work.window, "seed": test.work.training.seed,
         "attribute": part.attribute, "low": part.low, "high": part.high,
         "truths": part.truths, "value": part.ap}
        for test, result in results.evaluated()
        for part in result.by_stratum
    ]  # fmt: skip
    columns = ["row", "T", "seed", "attribute", "low", "high", "truths", "value"]
    return pd.DataFrame(found, columns=columns)


def errors_frame(results: Results) -> pd.DataFrame:
    """Cost of each kind of error in AP50, and their number: `error`, `cost`, `count`."""
    from ifc_bench.report.detections import detection_table, error_costs, error_counts

    found = []
    for test, result in results.evaluated():
        details = detection_table(result)
        if details is None:
            continue
        counts = error_counts(details)
        found += [
            {"row": test.row, "T": test.work.window, "seed": test.work.training.seed, "error": kind,
             "cost": cost, "count": counts[kind]}
            for kind, cost in error_costs(details).items()
        ]  # fmt: skip
    return pd.DataFrame(found, columns=["row", "T", "seed", "error", "cost", "count"])


def footprints_frame(store: Store) -> pd.DataFrame:
    """Peak memory, predicted and measured: one row for each footprint.

    `communication` (its kind, or the source of a user's own network), `variant`, `attention`,
    `purpose`, `precision`, `height`, `width`, `frames`, `allocator` (whose rules), `measured_on`
    (missing: predicted), `peak_bytes`.
    """
    keys = ("purpose", "precision", "height", "width", "frames", "allocator", "measured_on")
    found = []
    for record in store.records("footprint"):
        work, result = record.work, record.result
        if isinstance(work, Footprint) and isinstance(result, FootprintResult):
            named = {
                "communication": variant_kind(work.model),
                "variant": variant_name(work.model),
                "attention": record.attention,
            }
            fields = {key: getattr(work, key) for key in keys}
            found.append({**named, **fields, "peak_bytes": result.peak_bytes})
    columns = ["communication", "variant", "attention", *keys, "peak_bytes"]
    return pd.DataFrame(found, columns=columns)


__all__ = [
    "classes_frame",
    "curves_frame",
    "errors_frame",
    "footprints_frame",
    "runs_frame",
    "situations_frame",
    "speeds_frame",
    "strata_frame",
    "summary_frame",
]
