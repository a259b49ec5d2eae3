"""Figures that a set of records can fill, each with a name, a caption and a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from ifc_bench.config import InterFrame
from ifc_bench.hardware.catalogue import gpu_model
from ifc_bench.recipe import Table
from ifc_bench.report import frames, plots
from ifc_bench.report.differences import Comparison
from ifc_bench.report.ladder import ladder_frame
from ifc_bench.report.results import Results
from ifc_bench.report.roofline import roofline_frame
from ifc_bench.report.speeds import profile_frame
from ifc_bench.store import Store

# The paper's GPUs: the one behind its speeds, and the two sizes that it names for full attention.
_GPUS = ("rtx-2080ti", "v100-16gb", "v100-32gb")
_LEAST_POINTS = (
    4  # of a training curve; a line through fewer suggests a course that was not measured
)


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be drawn; `comparisons` are shown by a map of differences."""

    name: str
    caption: str
    draw: Callable[..., Axes]
    comparisons: Sequence[Comparison] = ()

    def on(self, ax: Axes, limit: float) -> None:
        """Draw on `ax`; the colours of a map of differences end at `limit` points."""
        if self.comparisons:
            self.draw(limit=limit, ax=ax)
        else:
            self.draw(ax=ax)


def table_drawings(results: Results) -> Iterator[Drawing]:
    """Every figure of one table whose values differ."""
    summary = frames.summary_frame(results)
    if summary.empty:
        return
    table = results.table
    if _accuracy_varies(summary):
        if summary["T"].nunique() > 1 and not table.own_windows:
            yield Drawing("windows", "AP over T", partial(plots.accuracy_over_windows, summary))
        if _only_memory_tokens_vary(table):
            draw = partial(plots.accuracy_over_tokens, summary)
            yield Drawing("tokens", "AP over memory tokens", draw)
    speeds = frames.speeds_frame(results)
    both = summary.merge(speeds[["row", "T", "windows"]], on=["row", "T"])
    if speeds["device"].nunique() == 1 and _accuracy_varies(both):
        draw = partial(plots.accuracy_against_speed, summary, speeds)
        yield Drawing("speed", f"AP against speed; {_windows_told(both)}", draw)
    if len(set(table.recipes)) < len(table.recipes):  # rows of one training would hide each other
        return
    yield from _curves(results)
    yield from _maps(results)
    yield from _breakdowns(results)


def _curves(results: Results) -> Iterator[Drawing]:
    """Loss and AP over training, of runs with enough points."""
    curves = frames.curves_frame(results)
    points = curves.groupby(["row", "seed", "curve"])["value"].transform("size")
    curves = curves[points >= _LEAST_POINTS]
    schedules = {run.work.optimisation for run in results.runs}
    clips = sorted({(one.clip_frames, one.curve_stride) for one in schedules})
    text = " or ".join(f"T = {window}, S = {stride}" for window, stride in clips)
    titles = {"loss": "loss while training", "AP": f"AP while training ({text})"}
    for curve in dict.fromkeys(curves["curve"]):
        if _varies(curves[curves["curve"] == curve]["value"]):
            draw = partial(plots.training_curves, curves, curve, titles[curve])
            yield Drawing(curve.lower(), titles[curve], draw)


def _maps(results: Results) -> Iterator[Drawing]:
    """Differences to the baseline, over all videos and by situation."""
    baseline = results.table.baseline
    if baseline is None:
        return
    for name, found, text in (
        ("differences", results.differences, ""),
        ("situation-differences", results.by_situation, " by situation"),
    ):
        if any(abs(one.tested.mean) > 1e-9 for one in found):
            draw = partial(plots.difference_map, found, baseline)
            yield Drawing(name, f"differences to {baseline}{text}", draw, found)


def _edge(value: float) -> str:
    """An edge of a stratum: pixels or frames, or a share of occlusion."""
    return f"{value:.0f}" if value == 0 or value >= 1 else f"{value:.2f}"


def _breakdowns(results: Results) -> Iterator[Drawing]:
    """AP by situation, class and kind of instance, and what errors cost, at the longest window."""
    strata = frames.strata_frame(results)
    edges = zip(strata["attribute"], strata["low"], strata["high"], strict=True)
    strata["stratum"] = [f"{what}_{_edge(low)} to {_edge(high)}" for what, low, high in edges]
    situations = frames.situations_frame(results)
    classes = frames.classes_frame(results)
    errors = frames.errors_frame(results)
    costs = "AP50 that the error costs (points)"
    for name, found, by, value, label in (
        ("situations", situations, "situation", "value", "AP (%)"),
        ("classes", classes, "class", "value", "AP (%)"),
        ("strata", strata, "stratum", "value", "AP (%)"),
        ("errors", errors, "error", "cost", costs),
    ):
        longest = found["T"].max()
        shown = found[found["T"] == longest]
        if _varies(shown[value]):
            draw = partial(plots.grouped_bars, shown, by, value, label)
            yield Drawing(name, f"{name}, T = {longest:.0f}", draw)


def machine_drawings(store: Store) -> Iterator[Drawing]:
    """Speed and memory over T, rooflines, for each device and frame size; memory against GPUs.

    Profiles of training runs are left out: their tables have them.
    """
    profiles = profile_frame(store)
    if not profiles.empty and "fps" in profiles:
        measured = (profiles["status"] == "ok") & ~profiles["ladder"]
        random = profiles[(profiles["weights"] == "random") & measured]
        keys = ["size", "precision", "device", "compiled", "form", "channels_last", "S", "frames"]
        for name, text, rows in _alike(random, keys):
            yield from _over_windows(name, text, rows)
    for name, text, rows in _alike(roofline_frame(store), ["size", "precision", "device"]):
        yield Drawing(f"roofline-{name}", f"roofline, {text}", partial(plots.roofline, rows))
    rungs = ladder_frame(store.records("profile"))
    rungs = rungs[rungs["fps"].notna()]
    for name, text, rows in _alike(rungs, ["size", "variant", "device", "T", "S", "frames"]):
        yield Drawing(f"ladder-{name}", f"speed ladder, {text}", partial(plots.speed_ladder, rows))
    footprints = frames.footprints_frame(store)
    predicted = footprints[
        footprints["measured_on"].isna()
        & (footprints["allocator"] == "cuda")
        & (footprints["purpose"] == "inference")
        & footprints["peak_bytes"].notna()
    ]
    for (height, width, precision), rows in predicted.groupby(["height", "width", "precision"]):
        if rows["frames"].nunique() > 1:
            draw = partial(plots.memory_against_gpus, rows, [gpu_model(key) for key in _GPUS])
            text = f"predicted peak memory against GPUs, {height}x{width}, {precision}"
            yield Drawing(f"gpus-{height}x{width}-{precision}", text, draw)


def _over_windows(name: str, text: str, rows: pd.DataFrame) -> Iterator[Drawing]:
    """Figures over T of profiles that one figure may show."""
    if rows["T"].nunique() < 2:
        return
    draw = partial(plots.profile_over_windows, rows)
    if _varies(rows["fps"]):
        yield Drawing(f"fps-{name}", f"FPS at each T, {text}; {_windows_told(rows)}", draw)
    if _varies(plots.clip_ms(rows)):
        caption = f"milliseconds a window without the backbone, {text}"
        yield Drawing(f"window-{name}", caption, partial(draw, "clip_ms"))
    if _varies(rows["peak_bytes"]):
        yield Drawing(f"memory-{name}", f"peak memory over T, {text}", partial(draw, "peak_bytes"))


def _alike(rows: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Rows that differ in none of `keys`, with their name for files, and in words.

    Size and precision are always text, the rest only where it differs.
    """
    several = [key for key in keys[2:] if rows[key].nunique(dropna=False) > 1]
    for _, group in rows.groupby(list(keys), dropna=False):
        first = group.iloc[0]
        words = [str(first[key]) for key in keys[:2]]
        words += [f"{key} {first[key]}" for key in several]
        text = ", ".join(words)
        yield re.sub(r"[^\w.]+", "-", text), text, group


def _windows_told(rows: pd.DataFrame) -> str:
    """The number of windows at each T, which FPS follow."""
    pairs = rows[["T", "windows"]].drop_duplicates().sort_values(["T", "windows"])
    counts = ", ".join(f"{count:.3g}" for count in pairs["windows"])
    places = ", ".join(f"{window:.0f}" for window in pairs["T"])
    return f"a video is read in {counts} windows at T = {places}"


def _only_memory_tokens_vary(table: Table) -> bool:
    found = [row.training.model.communication for row in table.rows]
    tokens = {one.memory_tokens for one in found if isinstance(one, InterFrame)}
    return len(tokens) == len(found) > 1


def _accuracy_varies(summary: pd.DataFrame) -> bool:
    found = summary[summary["metric"] == "AP"]
    return _varies(value for name in ("mean", "low", "high") for value in found[name])


def _varies(values: Iterable[float | None]) -> bool:
    """Whether there are two values that differ; a figure of one value shows nothing."""
    return len({round(value, 9) for value in values if value is not None and value == value}) > 1
