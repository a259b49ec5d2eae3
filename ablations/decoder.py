"""Our own table: must the decoder attend to all frames at once?"""

from ifc_bench.recipe import Preset, Row, Table


def decoder(preset: Preset) -> Table:
    """The paper's unified decoder against one that decodes each frame separately, both with IFC."""
    return Table(
        name="decoder",
        title="Decoder (ours): unified against decomposed",
        factor="decoder",
        rows=(
            Row.of(preset, "Unified", model={"decoder": "unified"}),
            Row.of(preset, "Decomp", model={"decoder": "decomposed"}),
        ),
        metrics=("AP", "AP75", "FPS"),
        baseline="Unified",
    )
