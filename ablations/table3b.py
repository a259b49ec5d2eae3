"""Table 3(b): do memory tokens help on single images, where there is nothing to communicate?"""

from ifc_bench.config import InterFrame
from ifc_bench.recipe import Preset, Row, Table


def table3b(preset: Preset) -> Table:
    """Without and with memory tokens on clips of one frame."""
    without = {"communication": InterFrame(memory_tokens=0)}
    return Table(
        name="table3b",
        title="Table 3(b): memory tokens on images",
        factor="memory",
        rows=(
            Row.of(preset, "w/o memory tokens", preset.image, model=without),
            Row.of(preset, "w/ memory tokens", preset.image),
        ),
        metrics=("AP", "AP50"),
        paper_table="3b",
        baseline="w/o memory tokens",
    )
