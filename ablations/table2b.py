"""Table 2(b): IFC among the methods of its time, on YouTube-VIS 2021."""

from ablations.variants import both_modes
from ifc_bench.recipe import Preset, TableOfMethods


def table2b(preset: Preset) -> TableOfMethods:
    """The published rows, other systems' results scored here, and IFC near-online and offline."""
    return TableOfMethods(
        name="table2b",
        title="Table 2(b): methods on YouTube-VIS 2021",
        factor="method",
        rows=both_modes(preset),
        metrics=("AP", "AP50", "AP75"),
        paper_table="2b",
    )
