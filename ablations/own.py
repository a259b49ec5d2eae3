"""Our own table: is your module better than no communication, and than IFC? (`--own`)"""

from ablations.variants import COMMUNICATIONS
from ifc_bench.recipe import Preset, Row, Table


def own(preset: Preset) -> Table:
    """No Comm and IFC; `--own package.module:Class` adds rows."""
    return Table(
        name="own",
        title="A module of one's own",
        factor="communication",
        rows=tuple(
            Row.of(preset, label, model={"communication": COMMUNICATIONS[label]})
            for label in ("No Comm", "IFC")
        ),
        metrics=("AP", "AP75", "FPS"),
        baseline="No Comm",
    )
