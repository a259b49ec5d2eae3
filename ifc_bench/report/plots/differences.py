"""Maps of differences to a baseline, coloured on a scale on which noise is pale."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

from ifc_bench.report.differences import Comparison, spread
from ifc_bench.report.plots.style import axes

_COLOURS = mpl.colormaps["PuOr"]
_PALE = 0.35  # of the colour is left where a difference does not exceed noise
_FADED = ListedColormap(1 - _PALE * (1 - _COLOURS(np.arange(_COLOURS.N))[:, :3]), "faded")


def colour_limit(maps: Sequence[Sequence[Comparison]]) -> float:
    """The end of the colour scale that several maps share, in points of AP.

    The largest difference in any of them, but at least the one that a t-test with as many seeds
    finds with 80% power.
    """
    shown = [abs(one.tested.mean) for comparisons in maps for one in comparisons]
    return max([1e-9, *shown, *(_least_found(comparisons) for comparisons in maps)])


def difference_map(
    comparisons: Sequence[Comparison],
    baseline: str,
    limit: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Differences to the baseline by row and T, in points.

    A difference that exceeds noise has a frame and its full colour; the others are faded. The
    colours end at `limit` points (None: at `colour_limit` of this map alone). Comparisons by
    situation have a line for each situation and row.
    """
    ax = axes(ax)
    limit = colour_limit([comparisons]) if limit is None else limit
    rows = list(dict.fromkeys(one.label for one in comparisons))
    windows = list(dict.fromkeys(one.window for one in comparisons))
    layers = {exceeds: np.full((len(rows), len(windows)), np.nan) for exceeds in (False, True)}
    for one in comparisons:
        place = rows.index(one.label), windows.index(one.window)
        layers[one.exceeds][place] = one.tested.mean
        _write(ax, one, place, limit)
    bars = []
    for exceeds, text in ((True, "framed: exceeds noise"), (False, "faded: does not exceed noise")):
        if np.isnan(layers[exceeds]).all():
            continue
        colours = _COLOURS if exceeds else _FADED
        image = ax.imshow(layers[exceeds], cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
        bars.append(ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02, aspect=25))
        bars[-1].set_label(text, fontsize=8)
        bars[-1].ax.tick_params(labelsize=8)
    for inner in bars[1:]:  # one scale: the outermost bar has its numbers
        inner.set_ticks([])
    ax.set_xticks(range(len(windows)), [f"T = {w}" if w else "video" for w in windows])
    ax.set_yticks(range(len(rows)), rows)
    ax.set_title(f"AP: difference to {baseline} (points)", fontsize=10)
    return ax


def _write(ax: Axes, one: Comparison, place: tuple[int, int], limit: float) -> None:
    """The number of a cell at (line, column), and its frame."""
    line, column = place
    strong = one.exceeds and abs(one.tested.mean) > 0.6 * limit
    ax.text(
        column, line, f"{one.tested.mean:+.1f}", ha="center", va="center", fontsize=9,
        color="white" if strong else "black", weight="bold" if one.exceeds else "normal",
    )  # fmt: skip
    if one.exceeds:
        frame = Rectangle(
            (column - 0.5, line - 0.5), 1, 1, fill=False, edgecolor="black", linewidth=2.5,
            clip_on=False, zorder=3,
        )  # fmt: skip
        ax.add_patch(frame)


def _least_found(comparisons: Sequence[Comparison]) -> float:
    """The smallest difference that its seeds find with 80% power; 0 where no std is known."""
    noise = spread(comparisons)
    n = min((min(one.a.n, one.b.n) for one in comparisons), default=0)
    return 0.0 if noise is None or n < 2 else noise.detectable(n)
