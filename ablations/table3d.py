"""Table 3(d): which memory tokens talk to each other?"""

from ablations.variants import with_communication
from ifc_bench.config import InterFrame
from ifc_bench.recipe import Preset, Table


def table3d(preset: Preset) -> Table:
    """Unified grouping (one group of T*M tokens) against decomposed (M groups of T)."""
    return Table(
        name="table3d",
        title="Table 3(d): memory grouping",
        factor="memory grouping",
        rows=(
            with_communication(preset.model, "Unified", InterFrame(grouping="unified")),
            with_communication(preset.model, "Decomp", InterFrame(grouping="decomposed")),
        ),
        metrics=("AP",),
        paper_table="3d",
        baseline="Unified",
    )
