"""The speed ladder as bars."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from ifc_bench.report.plots.style import COLOURS, axes


def speed_ladder(rungs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """FPS of each rung of one ladder, the first on top, with the ratio to the first.

    `rungs` are rows of `ifc_bench.report.ladder.ladder_frame`. Whiskers are the std between
    processes.
    """
    ax = axes(ax)
    shown = rungs[rungs["fps"].notna()]  # a rung that failed has a line in the table alone
    stds = shown["fps_std"].fillna(0.0)
    places = range(len(shown))
    ax.barh(places, shown["fps"], xerr=stds, color=COLOURS[0], alpha=0.8, capsize=3)
    ends = shown["fps"] + stds
    for place, end, whole in zip(places, ends, shown["whole"], strict=True):
        if pd.notna(whole):
            ax.annotate(f" {whole:.2f}x", (end, place), va="center", fontsize=8)
    ax.set_yticks(places, list(shown["rung"]))
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set(xlabel="frames per second (± std between processes)", xlim=(0, None))
    ax.set_title(", ".join(sorted(set(shown["device"]))), fontsize=10)
    return ax
