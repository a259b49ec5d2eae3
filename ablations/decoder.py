"""Our own table: does the decoder have to see all frames at once?"""

from ablations.variants import with_decoder
from ifc_bench.recipe import Preset, Table


def decoder(preset: Preset) -> Table:
    """The paper's unified decoder against one that reads each frame apart, both with IFC."""
    return Table(
        name="decoder",
        title="Decoder (ours): unified against decomposed",
        factor="decoder",
        rows=(
            with_decoder(preset.model, "Unified", "unified"),
            with_decoder(preset.model, "Decomp", "decomposed"),
        ),
        metrics=("AP", "AP75", "FPS"),
        baseline="Unified",
    )
