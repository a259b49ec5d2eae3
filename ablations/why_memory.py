"""Our own table: why does IFC learn more slowly than No Comm? (docs/why_memory.md)"""

from ablations.variants import COMMUNICATIONS
from ifc_bench.config import InterFrame
from ifc_bench.recipe import Preset, Row, Table

ZERO_START = "zero start"
ARMS: dict[str, dict[str, object]] = {
    "IFC": {},
    "No Comm": {"communication": COMMUNICATIONS["No Comm"]},
    ZERO_START: {"added_layers_start": "zero"},
    "hidden memory": {"communication": InterFrame(decoder_sees_memory=False)},
    "without gather": {"communication": InterFrame(gather_communicate=False)},
    "small memory": {"communication": InterFrame(memory_std=0.02)},
}
TALKING = ("IFC", ZERO_START, "hidden memory", "small memory")


def why_memory(preset: Preset) -> Table:
    """IFC, No Comm, and IFC with one thing changed; then the same trainings tested isolated."""
    window = {"window": preset.windows[0]}
    whole = [Row.of(preset, label, model=model, testing=window) for label, model in ARMS.items()]
    alone = [
        Row.of(preset, f"{arm}, isolated", model=ARMS[arm], testing={**window, "isolated": True})
        for arm in TALKING
    ]
    return Table(
        name="why_memory",
        title="Why memory (ours): IFC with one thing changed",
        factor="change",
        rows=(*whole, *alone),
        metrics=("AP", "AP75"),
        baseline="IFC",
    )
