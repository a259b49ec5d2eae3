"""Table 2(c): are queries matched to instances by their boxes or by their masks?"""

from ifc_bench.recipe import Preset, Row, Table


def table2c(preset: Preset) -> Table:
    """IFC with DETR's box matching, which needs a box head, against mask matching."""
    boxes = preset.model.model_copy(update={"box_frames": preset.optimisation.clip_frames})
    return Table(
        name="table2c",
        title="Table 2(c): matching",
        factor="matching",
        rows=(
            Row(label="Box-based", model=boxes, matching="boxes"),
            Row(label="Mask-based", model=preset.model),
        ),
        metrics=("AP",),
        paper_table="2c",
        baseline="Box-based",
    )
