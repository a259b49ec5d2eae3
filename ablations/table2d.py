"""Table 2(d): how far may windows move at a time?"""

from ifc_bench.recipe import Preset, Row, Table


def table2d(preset: Preset) -> Table:
    """IFC in windows of T frames at stride S; all rows are the same trainings."""
    return Table(
        name="table2d",
        title="Table 2(d): windows and strides",
        factor="stride",
        rows=tuple(
            Row.of(preset, f"S={stride}", testing={"window": window, "stride": stride})
            for window, stride in ((5, 3), (10, 5), (15, 8), (20, 10))
        ),
        metrics=("AP", "AP75", "FPS"),
        paper_table="2d",
    )
