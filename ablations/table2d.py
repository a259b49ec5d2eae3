"""Table 2(d): how large may the stride of windows be?"""

from ifc_bench.recipe import Preset, Row, Table


def table2d(preset: Preset) -> Table:
    """IFC in windows of T frames at stride S; all rows share the same training runs."""
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
