"""Table 3(c): how many memory tokens?"""

from ifc_bench.config import InterFrame
from ifc_bench.recipe import Preset, Row, Table


def table3c(preset: Preset) -> Table:
    """IFC with M = 1, 2, 4, 8 and 16."""
    return Table(
        name="table3c",
        title="Table 3(c): memory tokens",
        factor="memory tokens",
        rows=tuple(
            Row.of(preset, f"M={m}", model={"communication": InterFrame(memory_tokens=m)})
            for m in (1, 2, 4, 8, 16)
        ),
        metrics=("AP",),
        paper_table="3c",
        baseline="M=8",
    )
