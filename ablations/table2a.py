"""Table 2(a): IFC among the methods of its time."""

from ablations.variants import both_modes
from ifc_bench.recipe import Preset, TableOfMethods


def table2a(preset: Preset) -> TableOfMethods:
    """The published rows, other systems' results scored here, and IFC near-online and offline."""
    return TableOfMethods(
        name="table2a",
        title="Table 2(a): methods",
        factor="method",
        rows=both_modes(preset),
        metrics=("AP", "AP50", "AP75", "AR1", "AR10", "FPS"),
        paper_table="2a",
    )
