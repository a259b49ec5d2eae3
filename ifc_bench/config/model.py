"""The network: its communication module (paper, Section 3.1 and Table 1), backbone and sizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ifc_bench.config.strict import Strict

AttentionKernel = Literal["materialised", "math", "efficient", "flash"]
DecoderKind = Literal["unified", "decomposed"]


class _WithoutMemory(Strict):
    @property
    def memory_tokens(self) -> int:
        return 0


class NoComm(_WithoutMemory):
    """Spatial self-attention for each frame alone."""

    kind: Literal["none"] = "none"


class FullTHW(_WithoutMemory):
    """One self-attention over all T*N tokens of the clip."""

    kind: Literal["full"] = "full"


class DecompTHW(_WithoutMemory):
    """Spatial self-attention, and between the spatial layers a temporal one at each location."""

    kind: Literal["decomposed"] = "decomposed"


class InterFrame(Strict):
    """IFC: frames communicate through M memory tokens (Encode-Receive, then Gather-Communicate).

    The other fields are ablations. Without `gather_communicate` that step is the identity: each
    frame keeps its own memory tokens. Without `decoder_sees_memory` the decoder reads frame tokens
    only. `memory_std` is the initial std of memory tokens and their positions; None: variance
    2 / M, as released.
    """

    kind: Literal["ifc"] = "ifc"
    memory_tokens: NonNegativeInt = 8
    grouping: Literal["decomposed", "unified"] = "decomposed"
    gather_communicate: bool = True
    decoder_sees_memory: bool = True
    memory_std: PositiveFloat | None = None


class OwnModule(Strict):
    """A communication module of a user's own, as Python can import it: "package.module:Class".

    `sha256` is of the module's source file, so that the same name with other code is other work.
    `ifc_bench.models.own.own_module` makes one.
    """

    kind: Literal["own"] = "own"
    source: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
    sha256: str
    memory_tokens: NonNegativeInt = 0


Communication = Annotated[
    NoComm | FullTHW | DecompTHW | InterFrame | OwnModule, Field(discriminator="kind")
]


def spoken(communication: Communication) -> str:
    """A communication module in a few words, for people."""
    match communication:
        case InterFrame():
            return _spoken_ifc(communication)
        case OwnModule(source=source):
            return source.partition(":")[2]
    return communication.kind


def _spoken_ifc(ifc: InterFrame) -> str:
    words = [f"ifc M={ifc.memory_tokens}"]
    if ifc.grouping != "decomposed":
        words.append(ifc.grouping)
    if not ifc.gather_communicate:
        words.append("without gather")
    if not ifc.decoder_sees_memory:
        words.append("hidden memory")
    if ifc.memory_std is not None:
        words.append(f"std {ifc.memory_std:g}")
    return " ".join(words)


class ResNetBackbone(Strict):
    """A ResNet with frozen batch norm; features at strides 8, 16 and 32.

    `convention` is that of the ImageNet weights: torchvision's (stride in the 3x3 convolution, RGB
    scaled to unit variance) or MSRA's (stride in the first 1x1, BGR with the mean taken off).
    The first `frozen_stages` of stem, res2, res3, res4 and res5 are not trained.
    """

    kind: Literal["resnet"] = "resnet"
    depth: Literal[18, 50, 101] = 50
    convention: Literal["torchvision", "msra"] = "torchvision"
    frozen_stages: Annotated[int, Field(ge=0, le=5)] = 0

    @property
    def strides(self) -> tuple[int, int, int]:
        return (8, 16, 32)


class SmallBackbone(Strict):
    """A few residual blocks with group norm for small frames; features at strides 2, 4 and 8."""

    kind: Literal["small"] = "small"
    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (16, 32, 64)

    @property
    def strides(self) -> tuple[int, int, int]:
        return (2, 4, 8)


Backbone = Annotated[ResNetBackbone | SmallBackbone, Field(discriminator="kind")]


class ModelConfig(Strict):
    """The network. The defaults are the paper's (Section 3 and the released configuration).

    `mask_stride` is the stride of the mask logits: the spatial decoder climbs from the encoder's
    stride to it, one backbone map at a time. With `box_frames` > 0 a head gives every query that
    many boxes, one for each frame of a training clip (paper, Table 2(c)); testing has no use for
    them. `added_layers_start` "zero" starts the last projection of each sublayer of the layers
    that a communication module adds (Gather-Communicate, the temporal ones) at zero, so that such
    a layer at first normalises and does nothing else; "paper" starts them as all others.
    `time_positions` (ours) adds sine positions of the frame's place in its clip to those of the
    tokens; the paper's network does not know the order of frames.
    """

    classes: PositiveInt = 40
    backbone: Backbone = ResNetBackbone()
    communication: Communication = InterFrame()
    decoder: DecoderKind = "unified"
    attention: AttentionKernel = "materialised"
    width: PositiveInt = 256
    heads: PositiveInt = 8
    feedforward: PositiveInt = 2048
    encoder_layers: PositiveInt = 3
    decoder_layers: PositiveInt = 3
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    queries: PositiveInt = 100
    mask_stride: PositiveInt = 8
    norm_groups: PositiveInt = 32
    box_frames: NonNegativeInt = 0
    added_layers_start: Literal["paper", "zero"] = "paper"
    time_positions: bool = False
