"""Our own table: does communication need longer clips to learn from?"""

from ablations.variants import COMMUNICATIONS
from ifc_bench.recipe import Preset, Row, Table


def clip_length(preset: Preset) -> Table:
    """No Comm and IFC, trained on clips of 3, 5 and 8 frames, with the same batch size."""
    near = preset.video.optimisation.sampling_range  # 8 different frames need 4 on either side
    return Table(
        name="clip_length",
        title="Clip length (ours): frames of a training clip",
        factor="training clip",
        rows=tuple(
            Row.of(
                preset,
                f"{label}, {frames} frames",
                model={"communication": COMMUNICATIONS[label]},
                optimisation={"clip_frames": frames, "sampling_range": max(near, frames // 2)},
            )
            for label in ("No Comm", "IFC")
            for frames in (3, 5, 8)
        ),
        metrics=("AP", "AP75"),
        baseline="No Comm, 5 frames",
    )
