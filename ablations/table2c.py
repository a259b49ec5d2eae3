"""Table 2(c): are queries matched to instances by their boxes or by their masks?"""

from ifc_bench.recipe import Preset, Row, Table


def table2c(preset: Preset) -> Table:
    """IFC with DETR's box matching, which needs a box head, against mask matching."""
    head = {"box_frames": preset.video.optimisation.clip_frames}
    l1, giou = preset.box_weights
    boxes = {"matching": "boxes", "box_l1": l1, "box_giou": giou}
    return Table(
        name="table2c",
        title="Table 2(c): matching",
        factor="matching",
        rows=(
            Row.of(preset, "Box-based", model=head, loss=boxes),
            Row.of(preset, "Mask-based"),
        ),
        metrics=("AP",),
        paper_table="2c",
        baseline="Box-based",
    )
