"""Published FPS beside ours: only where number, frame size, arithmetic and attention are the same.

The paper's FPS are the released network's, to masks (docs/measuring.md has the sources): ResNet-50,
materialised attention, float32, frames of 360 pixels on the short edge, S = 1.
"""

from __future__ import annotations

from ifc_bench.config import (
    InterFrame,
    ModelConfig,
    NoiseFrames,
    Profile,
    ResNetBackbone,
    paper_label,
    variant_kind,
)
from ifc_bench.hardware.catalogue import same_gpu
from ifc_bench.records import ProfileResult, Record
from ifc_bench.report.layout import ABSENT
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.quantities import FPS
from ifc_bench.report.three_numbers import end_of

_FRAME = (360, 640)
_DEPTH = 50
_MEMORY_TOKENS = 8


def like_the_papers(record: Record) -> bool:
    """Whether a profile measured what the paper's Table 3(a) did, apart from the GPU."""
    work, result = record.work, record.result
    if not isinstance(work, Profile) or not isinstance(result, ProfileResult):
        return False
    model, frames = work.model, work.footage
    if not isinstance(model, ModelConfig):
        return False
    if isinstance(frames, NoiseFrames):
        size = (frames.height, frames.width) == _FRAME
    else:
        size = work.size == _FRAME[0]
    talk = model.communication
    return (
        bool(result.processes)
        and end_of(result) == "masks"
        and size
        and model.attention == "materialised"
        and isinstance(model.backbone, ResNetBackbone)
        and model.backbone.depth == _DEPTH
        and work.precision == "fp32"
        and work.stride == 1
        and not work.compiled
        and work.form == "release"
        and (not isinstance(talk, InterFrame) or talk.memory_tokens == _MEMORY_TOKENS)
    )


def published(record: Record, paper: PaperNumbers) -> str:
    """The paper's FPS of Table 3(a) for the same variant and T on the same GPU; else a dash."""
    work, gpu = record.work, paper.gpu("3a")
    if not (like_the_papers(record) and gpu and same_gpu(gpu, record.provenance.device.name)):
        return ABSENT
    assert isinstance(work, Profile)
    row = paper_label(variant_kind(work.model))
    found = paper.find("3a", row, work.window, "FPS") if row else None
    return ABSENT if found is None else FPS.number(found[0])
