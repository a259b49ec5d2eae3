"""A table of predicted frames per second; nothing in it is measured on the cards it names."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ifc_bench.config import Footprint
from ifc_bench.hardware.catalogue import GpuModel
from ifc_bench.report.layout import ABSENT, Format, Grid, write
from ifc_bench.report.speeds import variant


def render_forecast(
    rows: Sequence[Footprint],
    cards: Sequence[GpuModel],
    fps: Sequence[Sequence[float | None]],
    learned_from: Sequence[str],
    errors: Sequence[float],
    style: Format,
) -> str:
    """Variants by cards: `fps[row][card]`, None where a card cannot run a row.

    The head tells the devices that were learned from, and the relative errors there.
    """
    head = [
        "predicted, not measured: each card's peak rates bound every scope (roofline); how near a "
        "scope comes to its bound is as measured elsewhere",
        _told(learned_from, errors),
        "S = 1; a video of 36 frames; tracker and output take as long as they did there",
    ]
    columns = ["variant", "attention", "precision", "size", "T"]
    grid = Grid("Predicted frames per second", head, columns)
    grid.columns = [*columns, *(f"{card.key} (predicted)" for card in cards)]
    for work, values in zip(rows, fps, strict=True):
        size = f"{work.height}x{work.width}"
        named = variant(work.model), work.model.attention, work.precision, size, str(work.frames)
        shown = [ABSENT if value is None else f"{value:.1f}" for value in values]
        grid.rows.append([*named, *shown])
        for card, value in zip(cards, values, strict=True):
            place = dict(zip(columns, named, strict=True))
            grid.values.append({**place, "card": card.key, "predicted_fps": value})
    return write(grid, style)


def _told(learned_from: Sequence[str], errors: Sequence[float]) -> str:
    told = f"efficiency learned from {', '.join(learned_from)}"
    if not errors:
        return f"{told}; its error is not known (one profile)"
    middle, worst = median(abs(e) for e in errors), max(errors, key=abs)
    return (
        f"{told}; error there, each profile predicted from the others: median {middle:.0%}, "
        f"largest {worst:+.0%}, n = {len(errors)}; on the cards below it is not known"
    )
