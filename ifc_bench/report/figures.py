"""Which figures a set of records can fill, each with a name, a caption and what draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes

from ifc_bench.cards import card
from ifc_bench.recipe import Preset, Table
from ifc_bench.report import frames, plots
from ifc_bench.report.roofline import roofline_frame
from ifc_bench.report.significance import compare_rows, compare_situations
from ifc_bench.report.speeds import profile_frame
from ifc_bench.store import Store

# The paper's cards: the one that its speeds were measured on, and the two that full attention is
# judged by.
_CARDS = ("rtx-2080ti", "v100-16gb", "v100-32gb")


@dataclass(frozen=True)
class Drawing:
    """A figure that is still to be drawn: `draw(ax=...)` does it."""

    name: str
    caption: str
    draw: Callable[..., Axes]


def table_drawings(table: Table, preset: Preset, store: Store) -> Iterator[Drawing]:
    """Every figure of one table."""
    summary = frames.summary_frame(table, preset, store)
    if summary.empty:
        return
    own_windows = any(row.window for row in table.rows)
    if summary["T"].nunique() > 1 and not own_windows:
        yield Drawing("windows", "AP over T", partial(plots.accuracy_over_windows, summary))
    if summary["row"].str.startswith("M=").all():
        draw = partial(plots.accuracy_over_tokens, summary)
        yield Drawing("tokens", "AP over memory tokens", draw)
    speeds = frames.speeds_frame(table, preset, store)
    if speeds["device"].nunique() == 1:
        draw = partial(plots.accuracy_against_speed, summary, speeds)
        yield Drawing("speed", "AP against speed", draw)
    if own_windows:  # the same trainings in every row
        return
    curves = frames.curves_frame(table, preset, store)
    for curve in dict.fromkeys(curves["curve"]):
        draw = partial(plots.training_curves, curves, curve)
        yield Drawing(curve.lower(), f"{curve} over the training", draw)
    differences = compare_rows(table, preset, store) if table.baseline else []
    if differences:
        draw = partial(plots.difference_map, differences, table.baseline or "")
        yield Drawing("differences", "differences to the baseline", draw)
        apart = compare_situations(table, preset, store)
        if apart:
            draw = partial(plots.difference_map, apart, table.baseline or "")
            yield Drawing("situation-differences", "the same by situation", draw)
    yield from _breakdowns(table, preset, store)


def _breakdowns(table: Table, preset: Preset, store: Store) -> Iterator[Drawing]:
    """AP by situation, class and kind of instance, and what errors cost, at the longest window."""
    strata = frames.strata_frame(table, preset, store)
    strata["stratum"] = [
        f"{part.attribute}_{part.low:.0f} to {part.high:.0f}" for part in strata.itertuples()
    ]
    situations = frames.situations_frame(table, preset, store)
    classes = frames.classes_frame(table, preset, store)
    errors = frames.errors_frame(table, preset, store)
    costs = "AP50 that the error costs (points)"
    for name, found, by, value, label in (
        ("situations", situations, "situation", "value", "AP (%)"),
        ("classes", classes, "class", "value", "AP (%)"),
        ("strata", strata, "stratum", "value", "AP (%)"),
        ("errors", errors, "error", "cost", costs),
    ):
        if found.empty:
            continue
        longest = found["T"].max()
        draw = partial(plots.grouped_bars, found[found["T"] == longest], by, value, label)
        yield Drawing(name, f"{name}, T = {longest:.0f}", draw)


def machine_drawings(store: Store) -> Iterator[Drawing]:
    """Speed and memory over T, rooflines, for each device and frame size; memory against cards."""
    profiles = profile_frame(store)
    if not profiles.empty:
        for (_, size, precision), rows in profiles.groupby(["device", "size", "precision"]):
            if rows["T"].nunique() < 2 or "fps" not in rows:
                continue
            name = f"{size}-{precision}"
            told = f"{size}, {precision}"
            draw = partial(plots.profile_over_windows, rows)
            yield Drawing(f"fps-{name}", f"FPS over T, {told}", draw)
            draw = partial(plots.profile_over_windows, rows, "peak_bytes")
            yield Drawing(f"memory-{name}", f"peak memory over T, {told}", draw)
    roofs = roofline_frame(store)
    for (_, size, precision), rows in roofs.groupby(["device", "size", "precision"]):
        draw = partial(plots.roofline, rows)
        yield Drawing(f"roofline-{size}-{precision}", f"roofline, {size}, {precision}", draw)
    footprints = frames.footprints_frame(store)
    predicted = footprints[
        footprints["measured_on"].isna()
        & (footprints["allocator"] == "cuda")
        & (footprints["purpose"] == "inference")
    ]
    for (height, width, precision), rows in predicted.groupby(["height", "width", "precision"]):
        if rows["frames"].nunique() > 1:
            draw = partial(plots.memory_against_cards, rows, [card(key) for key in _CARDS])
            told = f"predicted peak memory against cards, {height}x{width}, {precision}"
            yield Drawing(f"cards-{height}x{width}-{precision}", told, draw)
