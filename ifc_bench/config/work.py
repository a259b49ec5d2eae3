"""Pieces of work: each contains all that determines its result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ifc_bench.config.data import Data, FolderData, SyntheticData
from ifc_bench.config.identity import Work
from ifc_bench.config.model import ModelConfig
from ifc_bench.config.own_network import OwnNetwork
from ifc_bench.config.strict import Strict
from ifc_bench.config.training import ImageNet, Optimisation, WeightsFile

Arithmetic = Literal["fp32", "tf32", "bf16", "fp16"]
InferenceForm = Literal["release", "shared", "folded"]
NUMBER_BYTES: dict[Arithmetic, int] = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}


class Training(Work):
    """Configuration, seed and data of a training run; it makes a checkpoint and curves.

    `start` is the source of the first weights: another training run, whole or as it is kept in half
    precision (every tensor that matches is copied), ImageNet weights, or a file. None: fresh
    weights.
    """

    kind: Literal["training"] = "training"
    model: ModelConfig
    optimisation: Optimisation
    data: Data
    seed: NonNegativeInt
    start: (
        Annotated[Training | KeptWeights | ImageNet | WeightsFile, Field(discriminator="kind")]
        | None
    ) = None


class KeptWeights(Strict):
    """Final weights of a training run in half precision, as `keep` writes them beside records."""

    kind: Literal["kept"] = "kept"
    training: Training


class Testing(Strict):
    """Inference over videos in windows of T frames at stride S.

    `window` None is the offline mode: one window holds the whole video. `short_videos` is the rule
    for a video of fewer than T frames: refuse it, or use one window of its length (the paper's
    protocol on YouTube-VIS). Frames are resized to a short edge of `size` first; masks have the
    size of the video. `protocol` "image" evaluates every one-frame video as COCO evaluates an
    image. With `isolated`, the communication module processes each frame as a clip of its own (a
    knock-out), while the decoder still reads all T frames. `precision` and `compiled` are those of
    the network, as in a `Profile`; the tracker always works in float32.

    `data` is another data set whose validation split is tested; None is that of the training run.
    `weights` "kept" tests them as `keep` writes them, in half precision, so that a clone with kept
    weights trains nothing.
    """

    window: PositiveInt | None
    stride: PositiveInt = 1
    match_threshold: float = 0.05
    score_threshold: float = 0.01
    short_videos: Literal["refuse", "shrink"] = "refuse"
    size: PositiveInt | None = None
    protocol: Literal["video", "image"] = "video"
    isolated: bool = False
    precision: Arithmetic = "fp32"
    compiled: bool = False
    data: Data | None = None
    weights: Literal["final", "kept"] = "final"

    @classmethod
    def of_curve(cls, schedule: Optimisation) -> Testing:
        """Return the test behind a point of the AP curve of a training run."""
        return cls(
            window=schedule.clip_frames,
            stride=schedule.curve_stride,
            short_videos="shrink",
            size=min(schedule.sizes, default=None),
        )


class Evaluation(Work, Testing):
    """A test of a training run; its result has the accuracies."""

    kind: Literal["evaluation"] = "evaluation"
    training: Training

    @property
    def tested_on(self) -> Data:
        """The data set whose validation split is tested."""
        return self.data or self.training.data


class RandomWeights(Strict):
    """Fresh weights of `model`, for speed and memory alone.

    The tracker and the output are given `instances` recorded tracks in every window, whatever the
    network answers, so that all networks are measured on equal work. In older records the class
    head is biased until `instances` queries of the first clip count as objects.
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
    """The length of a measurement, in each of several processes.

    A process warms up for `warm_up_seconds` (on a GPU for three at least). It repeats passes over
    all videos for `min_passes` and `min_seconds` at least, and goes on until the 95% interval of
    the median is within `target` of the median either way, or `max_seconds` are over (three passes
    are made in any case). That is the time to masks; the network alone and the way to results.json
    have half as long each. With `scopes` it then measures scope by scope, and with reading, for up
    to a quarter of `max_seconds` each. With `logits` it compares those of one clip with the first
    rung's of the speed ladder.

    `until` adds processes, up to `most_processes`, until Student's 95% interval over processes is
    within that fraction of the mean either way. `edition` 1 is the protocol of older records: one
    number, from frames in memory to run lengths.
    """

    processes: PositiveInt = 5
    min_passes: PositiveInt = 6
    min_seconds: PositiveFloat = 1.0
    max_seconds: PositiveFloat = 10.0
    target: PositiveFloat = 0.02
    scopes: bool = True
    logits: bool = False
    warm_up_seconds: PositiveFloat = 3.0
    until: PositiveFloat | None = None
    most_processes: PositiveInt = 30
    edition: Literal[1, 2] = 2


class Profile(Work):
    """Speed, memory and energy of a model over videos on one device.

    `device` is the name of the GPU or CPU, so speeds of different devices never share an id.
    `footage` None is the validation split of the training run. Frames are resized to a short edge
    of `size` before the timer starts. In "fp32" TF32 is off; "bf16" and "fp16" are automatic mixed
    precision. `form` is the order of the network's operations (`models/inference_form.py`).
    """

    kind: Literal["profile"] = "profile"
    weights: Annotated[Training | RandomWeights | OwnNetwork, Field(discriminator="kind")]
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
    form: InferenceForm = "release"
    cudnn_benchmark: bool = False
    deterministic: bool = False
    protocol: Protocol = Protocol()

    @property
    def equal_work(self) -> bool:
        """Whether tracker and output are given the same instances for every network."""
        if isinstance(self.weights, OwnNetwork):
            return True
        return isinstance(self.weights, RandomWeights) and self.protocol.edition > 1

    @property
    def id_anywhere(self) -> str:
        """The id without the device."""
        return self.model_copy(update={"device": "", "threads": 1}).id

    @property
    def older(self) -> Profile:
        """The same measurement as older versions identified it."""
        first = {"edition": 1, "warm_up_seconds": Protocol().warm_up_seconds}
        return self.model_copy(update={"protocol": self.protocol.model_copy(update=first)})

    @property
    def model(self) -> ModelConfig | OwnNetwork:
        """The network that is measured."""
        return self.weights if isinstance(self.weights, OwnNetwork) else self.weights.model

    @property
    def clip_count(self) -> Count | None:
        """The count of one of its clips, scope by scope; None for real clips, whose sizes vary."""
        if not isinstance(self.footage, NoiseFrames):
            return None
        model = self.model
        return Count(
            model=model.network if isinstance(model, OwnNetwork) else model,
            frames=min(self.window or self.footage.frames, self.footage.frames),
            height=self.footage.height,
            width=self.footage.width,
            scopes=True,
        )


class Footprint(Work):
    """Peak memory of one clip of a network: predicted from its modules, or measured.

    "inference" takes a video of T + `stride` frames through windows of T; "training" takes one
    step with `clips` clips and `instances` instances in each, and is of the built-in networks
    alone. `version` 1 is of older records:
    without the tracker's state, and half precision by the CPU's list of autocast. Version 2 has
    the tracker's state within a long video, and half precision by the list of the `allocator`.

    `allocator` is the device whose memory is meant; "cpu" takes `threads` threads. `measured_on`
    None is a prediction; a device's name is a measurement. `emulated` is of older records, measured
    under the memory limit of a GPU of that name.
    """

    kind: Literal["footprint"] = "footprint"
    model: ModelConfig | OwnNetwork
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
    version: PositiveInt = 1

    @property
    def video_shape(self) -> tuple[int, int, int, int]:
        """Two windows [F, 3, H, W]: frames of the first are still in memory at the second."""
        return (self.frames + self.stride, 3, self.height, self.width)


class Count(Work):
    """MACs of the encoder (the communication module) for one clip; paper, Table 1.

    With `scopes`, MACs and bytes moved of every part of the network; a user's own network has no
    other count.
    """

    kind: Literal["count"] = "count"
    model: ModelConfig | OwnNetwork
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
