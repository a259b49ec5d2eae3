"""Accuracy against speed, a panel for each T: frames per second of different T do not compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ifc_bench.report.plots.style import axes, counted, legend, style

_GAP = 0.03  # between panels, of the width


def accuracy_against_speed(
    summary: pd.DataFrame, speeds: pd.DataFrame, metric: str = "AP", ax: Axes | None = None
) -> Axes:
    """The trade-off on one device: mean and 95% interval of the accuracy over frames per second.

    A video is read in fewer windows where T is longer, so each T has a panel with the number of
    windows above it (`windows` of `speeds`). Rows that each bring their own T share one panel. The
    panels have one scale and lie inside the given axes, as its `child_axes`.
    """
    ax = axes(ax)
    data = summary[summary["metric"] == metric].merge(
        speeds, on=["row", "T"], suffixes=("", "_fps")
    )
    looks = {row: style(index) for index, row in enumerate(dict.fromkeys(data["row"]))}
    alone = not data.duplicated(["T", "windows"]).any()
    parts = [data] if alone else [part for _, part in data.groupby(["T", "windows"])]
    width = (1 + _GAP) / len(parts)
    panels = [ax.inset_axes((i * width, 0, width - _GAP, 1)) for i in range(len(parts))]
    for panel, part in zip(panels, parts, strict=True):
        for _, point in part.iterrows():
            name = f"{point['row']}: {_panel_text(point, ', ')}" if alone else str(point["row"])
            _draw(panel, point, looks[point["row"]] | {"linestyle": "none", "label": name})
        panel.set_title("" if alone else _panel_text(part.iloc[0], "\n"), fontsize=9)
    _on_one_scale(panels, data)
    ax.set(xticks=[], yticks=[], frame_on=False)
    ax.set_ylabel(f"{metric} (%)", labelpad=32)
    ax.set_xlabel(
        f"frames per second ({', '.join(sorted(set(data['device'])))})\n"
        "windows: how many a video is read in; FPS compare at one number only",
        labelpad=20,
    )
    text = f"{metric} against speed, 95% intervals over seeds; better: up and right"
    ax.set_title(text, fontsize=10, pad=6 if alone else 32)
    handles = [panel.get_legend_handles_labels() for panel in panels]
    named = {label: handle for pair in handles for handle, label in zip(*pair, strict=True)}
    legend(ax, list(named.values()), below=0.22)
    return ax


def _panel_text(point: pd.Series, between: str) -> str:
    return f"T = {point['T']:.0f}{between}{counted(point['windows'])}"


def _draw(panel: Axes, point: pd.Series, look: dict[str, Any]) -> None:
    mean, low, high = (100 * float(point[name]) for name in ("mean", "low", "high"))
    bars = None if np.isnan(low) else [[mean - low], [high - mean]]
    panel.errorbar(point["fps"], mean, yerr=bars, capsize=3, **look)


def _on_one_scale(panels: Sequence[Axes], data: pd.DataFrame) -> None:
    """Both axes alike; from 0 where there is no interval."""
    bottom = min(panel.get_ylim()[0] for panel in panels)
    top = max(panel.get_ylim()[1] for panel in panels)
    bottom = 0.0 if data["low"].isna().all() else max(0.0, bottom)
    right = 1.08 * float(data["fps"].max())
    ticks = [tick for tick in MaxNLocator(3).tick_values(0, right) if tick < 0.85 * right]
    for panel in panels:
        panel.set(ylim=(bottom, min(100.0, top)), xlim=(0, right))
        if len(panels) > 1:  # a number at the edge would touch the first of the next panel
            panel.set_xticks(ticks)
    for panel in panels[1:]:
        panel.set_yticklabels([])
