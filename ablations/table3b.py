"""Table 3(b): do memory tokens help on single images, where there is nothing to communicate?"""

from ablations.variants import with_communication
from ifc_bench.config import InterFrame
from ifc_bench.recipe import Preset, Table


def table3b(preset: Preset) -> Table:
    """Without and with memory tokens on clips of one frame."""
    rows = (
        with_communication(preset.model, "w/o memory tokens", InterFrame(memory_tokens=0)),
        with_communication(preset.model, "w/ memory tokens", InterFrame()),
    )
    return Table(
        name="table3b",
        title="Table 3(b): memory tokens on images",
        factor="memory",
        rows=tuple(row.model_copy(update={"images": True}) for row in rows),
        metrics=("AP", "AP50"),
        paper_table="3b",
        baseline="w/o memory tokens",
    )
