"""The style that all figures share.

Colours are Okabe and Ito's, which colour-blind readers tell apart; every series also has a marker
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", ":", "-.")
FILLS = ("full", "none", "left", "bottom")  # of markers
_LONG = 18  # letters of a label; of longer ones two fit beside each other


def axes(ax: Axes | None) -> Axes:
    """The given axes, or new ones."""
    if ax is not None:
        return ax
    _, made = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    return made


def legend(ax: Axes, handles: Sequence[Artist] | None = None, below: float = 0.14) -> None:
    """Below the axes, where it covers nothing; of the labelled series, or of `handles`.

    `below` is the distance from the axes, as a share of their height.
    """
    handles = ax.get_legend_handles_labels()[0] if handles is None else handles
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    most = 5 if longest < _LONG else 2
    columns = len(handles) if len(handles) <= most else min(most, (len(handles) + 1) // 2)
    ax.legend(
        handles=handles, frameon=False, fontsize=8, ncols=max(columns, 1), loc="upper center",
        bbox_to_anchor=(0.5, -below),
    )  # fmt: skip


def counted(windows: float) -> str:
    """A number of windows in words; a mean over videos need not be whole."""
    return f"{windows:.3g} {'window' if windows == 1 else 'windows'}"


def style(index: int) -> dict[str, Any]:
    """The look of the series at `index`, as keywords of `Axes.plot`."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[index // len(COLOURS) % len(LINES)],
        "linewidth": 1.4,
        "markersize": 5,
    }
