"""The table of the encoder's MACs (paper, Table 1)."""

from __future__ import annotations

from ifc_bench.recipe import TableOfCounts
from ifc_bench.report.layout import ABSENT, Caution, Grid
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.quantities import GIGA_MACS
from ifc_bench.report.results import Counts


def count_grid(results: Counts, paper: PaperNumbers | None) -> Grid:
    """The table, with the paper's numbers where `paper` is given."""
    table, counts = results.table, results.macs
    places = [(size, frames) for size in table.sizes for frames in table.frames]
    head = ["G MACs (5 for each element of a normalisation), counted on the real modules"]
    missing = sum(macs is None for macs in counts.values())
    if missing:
        head.append(Caution(f"incomplete: {missing} of {len(counts)} cells are not counted yet"))
    columns = [table.factor, *(f"{h}x{w} T={frames}" for (h, w), frames in places)]
    grid = Grid(table.title, head, columns)
    for row in table.rows:
        ours = [counts[row.label, size, frames] for size, frames in places]
        grid.rows.append([row.label, *map(GIGA_MACS.number, ours)])
        printed = [_printed(table, paper, row.label, place) for place in places]
        if paper is not None:
            grid.rows.append(
                [f"{row.label} (paper)", *(ABSENT if p is None else f"{p:.2f}" for p in printed)]
            )
        for ((height, width), frames), macs, theirs in zip(places, ours, printed, strict=True):
            line: dict[str, object] = {
                "table": table.name,
                table.factor: row.label,
                "height": height,
                "width": width,
                "frames": frames,
                "macs": macs,
            }
            grid.values.append(line | ({"paper_giga_macs": theirs} if paper is not None else {}))
    return grid


def _printed(
    table: TableOfCounts,
    paper: PaperNumbers | None,
    row: str,
    place: tuple[tuple[int, int], int],
) -> float | None:
    if paper is None:
        return None
    (height, width), frames = place
    found = paper.find(table.paper_table, row, frames, "encoder FLOPs", f"{height}x{width}")
    return None if found is None else found[0]
