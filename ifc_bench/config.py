"""Everything that determines a piece of work, as frozen and validated values.

A work item (`Training`, `Evaluation`, `Profile` and others) holds the whole configuration that
decides its outcome, and its id is the hash of exactly that. This module imports no torch, so
planning and reporting stay fast.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

AttentionKernel = Literal["materialised", "math", "efficient", "flash"]
Precision = Literal["float32", "bfloat16", "float16"]
Arithmetic = Literal["fp32", "tf32", "bf16", "fp16"]
NUMBER_BYTES: dict[Arithmetic, int] = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
DecoderKind = Literal["unified", "decomposed"]


class Strict(BaseModel):
    """A frozen value; an unknown field is an error, never a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# --- communication: the seam that the benchmark is about (paper, Section 3.1 and Table 1) ---------


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
    """IFC: frames talk through M memory tokens (Encode-Receive, then Gather-Communicate)."""

    kind: Literal["ifc"] = "ifc"
    memory_tokens: NonNegativeInt = 8
    grouping: Literal["decomposed", "unified"] = "decomposed"


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
        case InterFrame(memory_tokens=tokens, grouping=grouping):
            return f"ifc M={tokens}" + (f" {grouping}" if grouping != "decomposed" else "")
        case OwnModule(source=source):
            return source.partition(":")[2]
    return communication.kind


# --- the model ------------------------------------------------------------------------------------


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
    them.
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


# --- training -------------------------------------------------------------------------------------


class LossConfig(Strict):
    """Matching and loss weights; lambda0, lambda1 and lambda2 of the paper's Section 3.2.

    Matching on "boxes" is that of DETR and VisTR: p(class), L1 distance and generalised IoU of the
    boxes, which the loss then trains as well, all with their weights.
    """

    match_dice: float = 3.0
    dice: float = 3.0
    focal: float = 3.0
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    no_object: PositiveFloat = 0.1
    supervision_stride: PositiveInt = 4
    matching: Literal["masks", "boxes"] = "masks"
    box_l1: float = 5.0
    box_giou: float = 2.0


class Optimisation(Strict):
    """The schedule. `drop_at` holds iterations at which the learning rate is multiplied by 0.1.

    `clip_frames` is T of training; its frames are drawn within `sampling_range` of a key frame,
    distinct ones unless `repeat_frames`. A clip is cropped to a random size within `crop` (least
    and most pixels of a side), its shorter side resized to one of `sizes`, and flipped or not, all
    its frames alike. `clips` is the batch over all processes. The AP curve is taken every
    `curve_every` iterations on the validation split, with windows of `clip_frames` at
    `curve_stride`; 0 keeps no curve. `precision` other than float32 is automatic mixed precision;
    losses are always taken in float32.
    """

    iterations: PositiveInt
    clips: PositiveInt = 16
    clip_frames: PositiveInt = 5
    sampling_range: PositiveInt = 20
    repeat_frames: bool = False
    learning_rate: PositiveFloat = 1e-4
    backbone_multiplier: PositiveFloat = 0.1
    weight_decay: float = 1e-4
    clip_norm: PositiveFloat = 0.01
    warmup: NonNegativeInt = 0
    drop_at: tuple[PositiveInt, ...] = ()
    flip: bool = True
    crop: tuple[PositiveInt, PositiveInt] | None = None
    sizes: tuple[PositiveInt, ...] = ()
    longest_side: PositiveInt = 1333
    loss: LossConfig = LossConfig()
    curve_every: NonNegativeInt = 0
    curve_stride: PositiveInt = 3
    precision: Precision = "float32"
    compiled: bool = False

    def of_length(self, iterations: int) -> Optimisation:
        """The same schedule stretched or shortened: drops and curve points move in proportion."""

        def moved(at: int) -> int:
            return max(1, round(at * iterations / self.iterations))

        return self.model_copy(
            update={
                "iterations": iterations,
                "drop_at": tuple(moved(at) for at in self.drop_at),
                "curve_every": moved(self.curve_every) if self.curve_every else 0,
            }
        )


# --- data -----------------------------------------------------------------------------------------


class SyntheticData(Strict):
    """The embedded benchmark; `ifc_bench.data.synthetic` turns this into files.

    `generator` is the version of the scene rules: raise it when the same seed gives other scenes.
    """

    kind: Literal["synthetic"] = "synthetic"
    generator: Literal[2] = 2
    seed: NonNegativeInt = 0
    train_videos: PositiveInt = 240
    validation_videos: PositiveInt = 60
    frames: PositiveInt = 24
    height: PositiveInt = 64
    width: PositiveInt = 96


class FolderData(Strict):
    """Videos or images that a user has, in the YouTube-VIS or the COCO format.

    `train` and `valid` are the SHA-256 of the two annotation files; where they lie is no part of
    it, the store remembers that. Empty hashes stand for a data set that is still to be pointed at.
    """

    kind: Literal["folder"] = "folder"
    name: str
    train: str = ""
    valid: str = ""

    @property
    def known(self) -> bool:
        return bool(self.train and self.valid)


Data = Annotated[SyntheticData | FolderData, Field(discriminator="kind")]


# --- where weights come from ----------------------------------------------------------------------


class ImageNet(Strict):
    """torchvision's ImageNet weights for the backbone, fetched by torchvision."""

    kind: Literal["imagenet"] = "imagenet"
    weights: Literal["IMAGENET1K_V1"] = "IMAGENET1K_V1"


class WeightsFile(Strict):
    """A file of the user's: ImageNet weights of a backbone, or a released IFC checkpoint."""

    kind: Literal["file"] = "file"
    content: Literal["imagenet", "released"]
    sha256: str


# --- work -----------------------------------------------------------------------------------------


class Work(Strict):
    """A piece of work with an id: the hash of all that determines its outcome.

    Fields at their defaults are left out of the hash, so that a later version may add a field
    without orphaning every record. In return a default, once released, never changes.
    """

    @property
    def id(self) -> str:
        canonical = json.dumps(_essence(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _essence(value: Strict) -> dict[str, Any]:
    """The fields that differ from their defaults, and every `kind`; values within values alike."""
    fields = {}
    for name, field in type(value).model_fields.items():
        content = getattr(value, name)
        if name == "kind" or content != field.default:
            fields[name] = _essence(content) if isinstance(content, Strict) else content
    return fields


class Training(Work):
    """Configuration, seed and data; makes a checkpoint and its curves.

    `start` is what the weights start from: another training (of which everything that fits is
    taken), ImageNet weights, or a file. None: fresh weights.
    """

    kind: Literal["training"] = "training"
    model: ModelConfig
    optimisation: Optimisation
    data: Data
    seed: NonNegativeInt
    start: Annotated[Training | ImageNet | WeightsFile, Field(discriminator="kind")] | None = None


class Testing(Strict):
    """How a model is run over videos: windows of T frames at stride S.

    `window` None is the offline mode: one window holds the whole video. `short_videos` says what
    happens to a video of fewer than T frames: refuse it, or use one window of its length (the
    paper's protocol on YouTube-VIS). Frames are resized to a shorter side of `size` first; masks
    are given at the video's own size. `protocol` "image" takes every one-frame video as COCO takes
    an image.
    """

    window: PositiveInt | None
    stride: PositiveInt = 1
    match_threshold: float = 0.05
    score_threshold: float = 0.01
    short_videos: Literal["refuse", "shrink"] = "refuse"
    size: PositiveInt | None = None
    protocol: Literal["video", "image"] = "video"


class Evaluation(Work, Testing):
    """A training, tested; makes the accuracies."""

    kind: Literal["evaluation"] = "evaluation"
    training: Training


class RandomWeights(Strict):
    """Fresh weights of `model`, for speed and memory alone.

    The class head is biased until `instances` queries of the first clip count as objects, so that
    the tracker and the output have as much to do as with a trained model.
    """

    kind: Literal["random"] = "random"
    model: ModelConfig
    instances: PositiveInt = 10


class NoiseFrames(Strict):
    """One video of uniform noise; `frames` is its length."""

    kind: Literal["noise"] = "noise"
    frames: PositiveInt
    height: PositiveInt
    width: PositiveInt


class Protocol(Strict):
    """How long to measure, in each of several processes.

    A process repeats passes over all videos for `min_passes` and `min_seconds` at least, and goes
    on until the 95% interval of the median is within `target` of the median either way, or
    `max_seconds` are over (three passes are made in any case). With `scopes` it then measures
    scope by scope, and with reading, for up to a quarter of `max_seconds` each.
    """

    processes: PositiveInt = 5
    min_passes: PositiveInt = 6
    min_seconds: PositiveFloat = 1.0
    max_seconds: PositiveFloat = 10.0
    target: PositiveFloat = 0.02
    scopes: bool = True


class Profile(Work):
    """Speed, memory and energy of a model over videos on one device.

    `device` is the card's or processor's name, so speeds of different devices never share an id.
    `footage` None is the training's own validation split. Frames are resized to a shorter side of
    `size` before the clock starts. In "fp32" TF32 is off; "bf16" and "fp16" are automatic mixed
    precision.
    """

    kind: Literal["profile"] = "profile"
    weights: Annotated[Training | RandomWeights, Field(discriminator="kind")]
    footage: (
        Annotated[NoiseFrames | SyntheticData | FolderData, Field(discriminator="kind")] | None
    ) = None
    videos: PositiveInt = 8
    window: PositiveInt | None
    stride: PositiveInt = 1
    size: PositiveInt | None = None
    device: str
    threads: PositiveInt = 1
    precision: Arithmetic = "fp32"
    compiled: bool = False
    channels_last: bool = True
    cudnn_benchmark: bool = False
    deterministic: bool = False
    protocol: Protocol = Protocol()

    @property
    def model(self) -> ModelConfig:
        """The network that is measured."""
        return self.weights.model

    @property
    def clip_count(self) -> Count | None:
        """What one of its clips costs, scope by scope; None for real clips, whose sizes vary."""
        if not isinstance(self.footage, NoiseFrames):
            return None
        return Count(
            model=self.model,
            frames=min(self.window or self.footage.frames, self.footage.frames),
            height=self.footage.height,
            width=self.footage.width,
            scopes=True,
        )


class Footprint(Work):
    """Peak memory of one clip of a network: predicted from its modules, or measured.

    "inference" takes a video of T + `stride` frames through windows of T; "training" takes one
    step with `clips` clips and `instances` instances in each.

    `allocator` is whose memory is meant: "cuda" counts tensors alone; "cpu" counts also the copies
    that oneDNN's convolutions make with `threads` threads. `measured_on` None is a prediction; a
    device's name is a measurement, capped at the memory of the card `emulated` where one is named.
    """

    kind: Literal["footprint"] = "footprint"
    model: ModelConfig
    purpose: Literal["inference", "training"] = "inference"
    frames: PositiveInt
    height: PositiveInt
    width: PositiveInt
    stride: PositiveInt = 1
    clips: PositiveInt = 1
    instances: PositiveInt = 10
    precision: Arithmetic = "fp32"
    allocator: Literal["cuda", "cpu"] = "cuda"
    threads: PositiveInt = 1
    measured_on: str | None = None
    emulated: str | None = None


class Count(Work):
    """Multiply-adds of the encoder (the communication module) for one clip; paper, Table 1.

    With `scopes` those of every part of the network, and the bytes that each moves.
    """

    kind: Literal["count"] = "count"
    model: ModelConfig
    frames: PositiveInt
    height: PositiveInt
    width: PositiveInt
    scopes: bool = False


class External(Work):
    """A results.json of another system, scored here; `method` is its name in tables.

    Both files are known by their SHA-256.
    """

    kind: Literal["external"] = "external"
    method: str
    data: str
    predictions: str
    ground_truth: str


AnyWork = Annotated[
    Training | Evaluation | Profile | Footprint | Count | External, Field(discriminator="kind")
]
