"""Table 2(b): IFC among the methods of its time, on YouTube-VIS 2021."""

from ifc_bench.recipe import Preset, Row, TableOfMethods


def table2b(preset: Preset) -> TableOfMethods:
    """The published rows, other systems' results scored here, and IFC near-online and offline."""
    return TableOfMethods(
        name="table2b",
        title="Table 2(b): methods on YouTube-VIS 2021",
        factor="method",
        rows=(
            Row(label="IFC near-online", model=preset.model, window=5),
            Row(label="IFC offline", model=preset.model, offline=True),
        ),
        metrics=("AP", "AP50", "AP75"),
        paper_table="2b",
    )
