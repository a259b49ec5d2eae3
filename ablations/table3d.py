"""Table 3(d): which memory tokens attend to each other?"""

from ifc_bench.config import InterFrame
from ifc_bench.recipe import Preset, Row, Table

GROUPINGS = {
    "Unified": InterFrame(grouping="unified"),
    "Decomp": InterFrame(grouping="decomposed"),
}


def table3d(preset: Preset) -> Table:
    """Unified grouping (one group of T*M tokens) against decomposed (M groups of T)."""
    return Table(
        name="table3d",
        title="Table 3(d): memory grouping",
        factor="memory grouping",
        rows=tuple(
            Row.of(preset, label, model={"communication": communication})
            for label, communication in GROUPINGS.items()
        ),
        metrics=("AP",),
        paper_table="3d",
        baseline="Unified",
    )
