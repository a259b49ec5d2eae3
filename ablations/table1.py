"""Table 1: MACs of the encoder, at the paper's sizes for every preset."""

from ablations.variants import COMMUNICATIONS
from ifc_bench.config import ModelConfig
from ifc_bench.recipe import CountedRow, Preset, TableOfCounts


def table1(preset: Preset) -> TableOfCounts:
    """All four communication modules on 360x640 and 720x1280, T = 5 and 36."""
    labels = {"IFC": "IFC (M=8)"}
    return TableOfCounts(
        name="table1",
        title="Table 1: multiply-adds of the encoder",
        factor="communication",
        rows=tuple(
            CountedRow(label=labels.get(label, label), model=ModelConfig(communication=module))
            for label, module in COMMUNICATIONS.items()
        ),
        sizes=((360, 640), (720, 1280)),
        frames=(5, 36),
        paper_table="1",
    )
