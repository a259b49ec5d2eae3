"""Figures of one device: speed, memory, and how near it comes to what it can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from ifc_bench.cards import GpuModel
from ifc_bench.report.plots.style import LINES, MARKERS, axes, legend, style
from ifc_bench.report.speeds import paper_order

_GREY = "#444444"


def profile_over_windows(profiles: pd.DataFrame, what: str = "fps", ax: Axes | None = None) -> Axes:
    """FPS ("fps") or peak memory ("peak_bytes") over T, a line for each variant of one device."""
    ax = axes(ax)
    data = profiles[(profiles["status"] == "ok") & profiles["T"].notna()]
    for name, look in _looks(data["variant"]).items():
        mine = data[data["variant"] == name].sort_values("T")
        scale, spread = (1.0, mine["fps_std"]) if what == "fps" else (1e-6, None)
        bars = None if spread is None or spread.isna().any() else spread
        ax.errorbar(
            mine["T"].astype(float), scale * mine[what], yerr=bars, capsize=3, label=name, **look
        )
    unit = "frames per second (± std between processes)" if what == "fps" else "peak memory (MB)"
    ax.set(
        xlabel="window T (frames)", ylabel=unit, ylim=(0, None), xticks=sorted(data["T"].unique())
    )
    ax.set_title(", ".join(sorted(set(data["device"]))), fontsize=10)
    legend(ax)
    return ax


def memory_against_cards(
    footprints: pd.DataFrame, cards: Sequence[GpuModel], ax: Axes | None = None
) -> Axes:
    """Predicted peaks over T, and what cards can hold.

    `footprints` has the columns `variant`, `attention`, `frames` and `peak_bytes`. A colour is a
    variant, a line's dashes an implementation of attention.
    """
    ax = axes(ax)
    looks = _looks(footprints["variant"])
    kernels = sorted(footprints["attention"].unique(), reverse=True)
    for (variant, kernel), group in footprints.groupby(["variant", "attention"], sort=True):
        mine = group.sort_values("frames")
        look = looks[str(variant)] | {"linestyle": LINES[kernels.index(kernel)]}
        ax.plot(mine["frames"], mine["peak_bytes"] / 1e9, **look)
    for card in cards:
        ax.axhline(card.usable_bytes / 1e9, color="#666666", linewidth=0.8, linestyle="--")
        ax.annotate(
            card.key, (0.01, card.usable_bytes / 1e9), xycoords=("axes fraction", "data"),
            ha="left", va="bottom", fontsize=7, color=_GREY,
        )  # fmt: skip
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    windows = sorted(footprints["frames"].unique())
    ax.set(xlabel="window T (frames)", ylabel="peak memory (GB, predicted)", xticks=windows)
    dashes = {kernel: {"linestyle": line} for kernel, line in zip(kernels, LINES, strict=False)}
    _key(ax, looks | (dashes if len(kernels) > 1 else {}))
    return ax


def roofline(roofs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """What each scope reached, under the best of the device, in arithmetic and in a copy.

    `roofs` is `ifc_bench.report.roofline.roofline_frame`'s, of one device and frame size; the
    longest window is drawn. A colour is a variant, a marker a scope.
    """
    ax = axes(ax)
    data = roofs[roofs["T"] == roofs["T"].max()]
    looks = _looks(data["variant"])
    scopes = list(dict.fromkeys(data["scope"]))
    for (variant, scope), mine in data.groupby(["variant", "scope"]):
        marker = MARKERS[scopes.index(scope)]
        look = looks[str(variant)] | {"linestyle": "none", "marker": marker, "alpha": 0.85}
        ax.plot(mine["intensity"], mine["macs_per_second"] / 1e9, **look)
    peak, copy = data["peak_macs_per_second"].mean(), data["peak_bytes_per_second"].mean()
    least = min(data["intensity"].min(), peak / copy)  # where the roof bends is in the picture
    intensity = np.geomspace(0.5 * least, 2 * data["intensity"].max(), 200)
    roof = np.minimum(peak, copy * intensity) / 1e9
    ax.plot(intensity, roof, color=_GREY, linewidth=1.2)
    ax.set(xscale="log", yscale="log", ylabel="multiply-adds a second (G)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("multiply-adds for each byte moved (kernel by kernel)")
    title = f"{', '.join(sorted(set(data['device'])))}, T = {data['T'].max():.0f}"
    ax.set_title(f"{title}; line: the device at its best", fontsize=10)
    markers = {
        scope: {"linestyle": "none", "marker": MARKERS[index]} for index, scope in enumerate(scopes)
    }
    lines = {name: look | {"marker": "none"} for name, look in looks.items()}
    _key(ax, lines | markers)
    return ax


def _looks(variants: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The look of each variant, the same in every figure that has the same variants."""
    ordered = sorted(set(variants), key=paper_order)
    return {name: style(index) for index, name in enumerate(ordered)}


def _key(ax: Axes, looks: dict[str, dict[str, Any]]) -> None:
    """A legend of looks that no single series has."""
    handles = [
        Line2D([], [], label=name, **({"color": _GREY} | look)) for name, look in looks.items()
    ]
    legend(ax, handles)
