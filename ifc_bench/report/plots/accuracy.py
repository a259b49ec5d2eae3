"""Figures of a table: accuracy, differences, curves and breakdowns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ifc_bench.report.plots.style import COLOURS, axes, legend, style
from ifc_bench.report.statistics import summarise

_SMOOTHING = 0.03  # of a curve's length


def accuracy_over_windows(
    summary: pd.DataFrame, metric: str = "AP", ax: Axes | None = None
) -> Axes:
    """Mean and interval of each row over T, side by side so that intervals do not cover."""
    ax = axes(ax)
    data = summary[(summary["metric"] == metric) & summary["T"].notna()]
    rows = list(dict.fromkeys(data["row"]))
    windows = sorted(data["T"].unique())
    step = min(np.diff(windows), default=5)
    for index, row in enumerate(rows):
        mine = data[data["row"] == row].sort_values("T")
        shift = (index - (len(rows) - 1) / 2) * 0.09 * step
        bars = 100 * np.array([mine["mean"] - mine["low"], mine["high"] - mine["mean"]], float)
        ax.errorbar(
            mine["T"].astype(float) + shift,
            100 * mine["mean"],
            yerr=None if np.isnan(bars).any() else bars,
            capsize=3,
            label=row,
            **style(index),
        )
    n = sorted({int(count) for count in data["n"]})
    ax.set(xlabel="window T (frames)", ylabel=f"{metric} (%)", xticks=windows)
    ax.set_title(f"{metric}, mean and 95% interval over seeds, n = {_range(n)}", fontsize=10)
    legend(ax)
    return ax


def accuracy_over_tokens(summary: pd.DataFrame, metric: str = "AP", ax: Axes | None = None) -> Axes:
    """AP over the number of memory tokens, one line for each T."""
    ax = axes(ax)
    data = summary[summary["metric"] == metric]
    for index, (window, group) in enumerate(data.groupby("T")):
        mine = group.sort_values("memory_tokens")
        bars = 100 * np.array([mine["mean"] - mine["low"], mine["high"] - mine["mean"]], float)
        ax.errorbar(
            mine["memory_tokens"] * 2 ** (0.06 * (index - 1.5)),
            100 * mine["mean"],
            yerr=None if np.isnan(bars).any() else bars,
            capsize=3,
            label=f"T = {int(float(str(window)))}",
            **style(index),
        )
    ax.set_xscale("log", base=2)
    ticks = sorted(data["memory_tokens"].unique())
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set(xlabel="memory tokens M", ylabel=f"{metric} (%)")
    ax.set_title(f"{metric} over memory tokens, 95% over seeds", fontsize=10)
    legend(ax)
    return ax


def training_curves(
    curves: pd.DataFrame, curve: str = "loss", title: str = "", ax: Axes | None = None
) -> Axes:
    """Mean over seeds with a band from the least to the largest seed, smoothed alike.

    `title` says of an AP at which T and S it was taken, which need not be those of a table.
    """
    ax = axes(ax)
    data = curves[curves["curve"] == curve]
    for index, (row, group) in enumerate(data.groupby("row", sort=False)):
        table = group.pivot(index="iteration", columns="seed", values="value").astype(float)
        if curve == "loss":
            table = table.rolling(max(1, int(_SMOOTHING * len(table))), min_periods=1).mean()
        scale = 100 if curve == "AP" else 1
        look = style(index) if curve == "AP" else {"color": COLOURS[index % len(COLOURS)]}
        ax.plot(table.index, scale * table.mean(axis=1), label=str(row), **look)
        ax.fill_between(
            table.index, scale * table.min(axis=1), scale * table.max(axis=1),
            color=look["color"], alpha=0.15, linewidth=0,
        )  # fmt: skip
    ax.set(xlabel="iteration", ylabel="AP (%)" if curve == "AP" else curve)
    if curve == "loss":
        ax.set_yscale("log")
    text = "mean over seeds; band: least to largest"
    ax.set_title(f"{title}; {text}" if title else text, fontsize=10)
    legend(ax)
    return ax


def grouped_bars(
    frame: pd.DataFrame, by: str, value: str, ylabel: str, ax: Axes | None = None
) -> Axes:
    """Means over seeds of `value` for each `by`, a bar for each row, with 95% intervals.

    What cannot be below zero is cut there, intervals too.
    """
    ax = axes(ax)
    groups, rows = list(dict.fromkeys(frame[by])), list(dict.fromkeys(frame["row"]))
    width = 0.8 / max(len(rows), 1)
    for index, row in enumerate(rows):
        heights, bars = [], []
        for group in groups:
            chosen = frame[(frame["row"] == row) & (frame[by] == group)][value].dropna()
            summary = summarise((100 * chosen).tolist())
            heights.append(np.nan if summary is None else summary.mean)
            interval = None if summary is None else summary.interval
            bars.append(np.nan if interval is None else interval[1] - heights[-1])
        places = np.arange(len(groups)) + (index - (len(rows) - 1) / 2) * width
        ax.bar(
            places, heights, 0.9 * width, yerr=bars, label=row, color=COLOURS[index % len(COLOURS)],
            error_kw={"elinewidth": 0.8, "ecolor": "#333333"},
        )  # fmt: skip
    names = [str(group).replace("_", "\n") for group in groups]
    ax.set_xticks(range(len(groups)), names, fontsize=8, parse_math=False)
    ax.set(ylabel=ylabel, ylim=(min(0.0, 100 * frame[value].min()), None))
    legend(ax)
    return ax


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return "0"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
