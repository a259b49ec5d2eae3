"""Table 3(a): does communication between frames help?"""

from ablations.variants import COMMUNICATIONS
from ifc_bench.recipe import Preset, Row, Table


def table3a(preset: Preset) -> Table:
    """The four communication modules."""
    return Table(
        name="table3a",
        title="Table 3(a): communication",
        factor="communication",
        rows=tuple(
            Row.of(preset, label, model={"communication": communication})
            for label, communication in COMMUNICATIONS.items()
        ),
        metrics=("AP", "AP75", "FPS"),
        paper_table="3a",
        baseline="No Comm",
    )
