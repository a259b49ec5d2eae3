"""Figures of one device: speed, memory, and its roofline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from ifc_bench.config import EVERY_WINDOW, paper_order
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.report.plots.style import FILLS, LINES, MARKERS, axes, counted, legend, style
from ifc_bench.report.quantities import GIGA_MACS, GPU_MEMORY, PEAK_MEMORY

_GREY = "#444444"
_UNITS = {
    "fps": "frames per second (± std between processes)",
    "clip_ms": "milliseconds a window, without the backbone",
    "peak_bytes": "peak memory (MB)",
}


def profile_over_windows(profiles: pd.DataFrame, what: str = "fps", ax: Axes | None = None) -> Axes:
    """A quantity over T, a series for each variant and attention implementation of one device.

    `what` is FPS ("fps"), milliseconds a window without the backbone ("clip_ms") or peak memory
    ("peak_bytes"). FPS of different T do not compare, for a video is read in fewer windows where T
    is longer: no line joins them, and `windows` stand below T. A colour is a variant; dashes and a
    marker's filling are an implementation.
    """
    ax = axes(ax)
    data = profiles[(profiles["status"] == "ok") & profiles["T"].notna()]
    ticks = sorted(data["T"].unique())
    looks, kernels = _looks(data), _kernels(data["attention"])
    apart, plain = 0.0, {}
    if what == "fps":
        apart, plain = 0.5 * float(min(np.diff(ticks), default=5)), {"linestyle": "none"}
    series = [(name, kernel) for name in looks for kernel in kernels]
    for index, (name, kernel) in enumerate(series):
        mine = data[(data["variant"] == name) & (data["attention"] == kernel)].sort_values("T")
        beside = apart * ((index + 0.5) / len(series) - 0.5)
        bars = mine["fps_std"] if what == "fps" and mine["fps_std"].notna().all() else None
        look = looks[name] | kernels[kernel] | plain
        ax.errorbar(mine["T"].astype(float) + beside, _shown(mine, what), bars, capsize=3, **look)
    ax.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    ax.set(xlabel="window T (frames)", ylabel=_UNITS[what], ylim=(0, None))
    if what == "fps":
        ax.set_xticks(ticks, [_in_windows(data[data["T"] == tick]) for tick in ticks])
        ax.set_xlabel("window T (frames), and the number of windows of the video")
    ax.set_title(", ".join(sorted(set(data["device"]))), fontsize=10)
    shown = {name: look | plain for name, look in (looks | _kernel_key(kernels, not plain)).items()}
    _key(ax, shown, 0.2 if what == "fps" else 0.14)
    return ax


def clip_ms(profiles: pd.DataFrame) -> pd.Series:
    """Milliseconds a window without the backbone; missing where no scope was timed.

    The backbone sees each frame once, so its share of a window follows the length of the video;
    the other parts of the network take a whole clip of T frames, so they compare over T.
    """
    parts = profiles[[f"{scope}_ms" for scope in EVERY_WINDOW]].astype(float)
    return parts.sum(axis=1, skipna=False) * profiles["frames"] / profiles["windows"]


def memory_against_gpus(
    footprints: pd.DataFrame, gpus: Sequence[GpuModel], ax: Axes | None = None
) -> Axes:
    """Predicted peaks over T, and the usable memory of GPUs.

    `footprints` is `ifc_bench.report.frames.footprints_frame`'s. A colour is a variant, the
    dashes of a line an implementation of attention.
    """
    ax = axes(ax)
    looks = _looks(footprints)
    kernels = _kernels(footprints["attention"])
    for (variant, kernel), group in footprints.groupby(["variant", "attention"], sort=True):
        mine = group.sort_values("frames")
        look = looks[str(variant)] | kernels[str(kernel)]
        ax.plot(mine["frames"], GPU_MEMORY.of(mine["peak_bytes"]), **look)
    for gpu in gpus:
        usable = GPU_MEMORY.of(gpu.usable_bytes)
        ax.axhline(usable, color="#666666", linewidth=0.8, linestyle="--")
        ax.annotate(
            gpu.key, (0.01, usable), xycoords=("axes fraction", "data"),
            ha="left", va="bottom", fontsize=7, color=_GREY,
        )  # fmt: skip
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    windows = sorted(footprints["frames"].unique())
    ax.set(xlabel="window T (frames)", ylabel="peak memory (GB, predicted)", xticks=windows)
    _key(ax, looks | _kernel_key(kernels, lines=True))
    return ax


def roofline(roofs: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The rate of each scope, under the peak rates of the device for arithmetic and copies.

    `roofs` is `ifc_bench.report.roofline.roofline_frame`'s, of one device and frame size; the
    longest window is drawn. A colour is a variant, a marker a scope, its filling an attention
    implementation.
    """
    ax = axes(ax)
    data = roofs[roofs["T"] == roofs["T"].max()]
    looks, kernels = _looks(data), _kernels(data["attention"])
    scopes = list(dict.fromkeys(data["scope"]))
    for (variant, kernel, scope), mine in data.groupby(["variant", "attention", "scope"]):
        look = looks[str(variant)] | kernels[str(kernel)]
        look |= {"linestyle": "none", "marker": MARKERS[scopes.index(scope)], "alpha": 0.85}
        ax.plot(mine["intensity"], GIGA_MACS.of(mine["macs_per_second"]), **look)
    peak, copy = data["peak_macs_per_second"].mean(), data["peak_bytes_per_second"].mean()
    least = min(data["intensity"].min(), peak / copy)  # where the roof bends is in the picture
    intensity = np.geomspace(0.5 * least, 2 * data["intensity"].max(), 200)
    roof = GIGA_MACS.of(np.minimum(peak, copy * intensity))
    ax.plot(intensity, roof, color=_GREY, linewidth=1.2)
    ax.set(xscale="log", yscale="log", ylabel="G MACs a second")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("MACs for each byte moved (kernel by kernel)")
    title = f"{', '.join(sorted(set(data['device'])))}, T = {data['T'].max():.0f}"
    ax.set_title(f"{title}; line: peak rates of the device", fontsize=10)
    markers = {
        scope: {"linestyle": "none", "marker": MARKERS[index]} for index, scope in enumerate(scopes)
    }
    lines = {name: look | {"marker": "none"} for name, look in looks.items()}
    _key(ax, lines | markers | _kernel_key(kernels, lines=False))
    return ax


def _looks(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The look of each variant, the same in every figure that has the same variants."""
    kinds = dict(zip(rows["variant"], rows["communication"], strict=True))
    ordered = sorted(kinds, key=lambda name: (paper_order(kinds[name]), name))
    return {name: style(index) for index, name in enumerate(ordered)}


def _kernels(attentions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The look of each implementation of attention, over that of a variant."""
    ordered = sorted(set(attentions), reverse=True)
    return {
        name: {"linestyle": line, "fillstyle": fill}
        for name, line, fill in zip(ordered, LINES, FILLS, strict=False)
    }


def _kernel_key(kernels: dict[str, dict[str, Any]], lines: bool) -> dict[str, dict[str, Any]]:
    """The key of several implementations: their dashes, or their filling where no line is."""
    hidden = {"marker": "none"} if lines else {"linestyle": "none"}
    return {name: look | hidden for name, look in kernels.items() if len(kernels) > 1}


def _shown(rows: pd.DataFrame, what: str) -> pd.Series:
    """The values of a quantity in its unit."""
    if what == "clip_ms":
        return clip_ms(rows)
    values = rows[what].astype(float)
    return PEAK_MEMORY.of(values) if what == "peak_bytes" else values


def _in_windows(rows: pd.DataFrame) -> str:
    """T, and below it how many windows a video has."""
    text = " or ".join(counted(count) for count in sorted(set(rows["windows"])))
    return f"{rows['T'].iloc[0]:.0f}\n{text}"


def _key(ax: Axes, looks: dict[str, dict[str, Any]], below: float = 0.14) -> None:
    """A legend of looks that no single series has."""
    plain: dict[str, Any] = {"color": _GREY, "marker": "o", "markersize": 5}
    handles = [Line2D([], [], label=name, **(plain | look)) for name, look in looks.items()]
    legend(ax, handles, below)
