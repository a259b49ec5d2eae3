"""Training schedule, loss and initial weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from ifc_bench.config.strict import Strict

Precision = Literal["float32", "bfloat16", "float16"]


class LossConfig(Strict):
    """Matching and loss weights; lambda0, lambda1 and lambda2 of the paper's Section 3.2.

    Matching on "boxes" is that of DETR and VisTR: p(class), L1 distance and generalised IoU of the
    boxes, each with its weight. The loss then trains the boxes as well.
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


_CURVE_POINTS = 20_000  # so that the record of a long training run stays small


class Optimisation(Strict):
    """Training schedule. The learning rate is multiplied by 0.1 at the iterations in `drop_at`.

    With `decay` "linear" (ours) it also falls linearly from the end of the warm-up to zero at the
    end. With `average` (ours) the final weights are an exponential moving average over iterations
    that keeps this share at each.

    `clip_frames` is T of training; the frames of a clip are drawn within `sampling_range` of a key
    frame, without repetition unless `repeat_frames`. A clip is cropped to a random size within
    `crop` (minimum and maximum side in pixels), its short edge is resized to one of `sizes`, and it
    is flipped at random, all its frames alike. `clips` is the batch size over all processes. The AP
    curve has a point every `curve_every` iterations on the validation split, with windows of
    `clip_frames` at `curve_stride`; 0 means no curve. `precision` other than float32 is automatic
    mixed precision; losses are always computed in float32.
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
    decay: Literal["none", "linear"] = "none"
    average: Annotated[float, Field(gt=0, lt=1)] | None = None

    @field_validator("crop")
    @classmethod
    def _in_order(cls, crop: tuple[int, int] | None) -> tuple[int, int] | None:
        if crop is not None and crop[0] > crop[1]:
            raise ValueError("the smallest side is larger than the largest")
        return crop

    @property
    def curve_step(self) -> int:
        """The iterations from one kept point of the loss to the next; 1 up to 20,000 of them."""
        return max(1, self.iterations // _CURVE_POINTS)

    def of_length(self, iterations: int) -> Optimisation:
        """Scale the schedule to `iterations`: drops and curve points move in proportion."""

        def moved(at: int) -> int:
            return max(1, round(at * iterations / self.iterations))

        return self.model_copy(
            update={
                "iterations": iterations,
                "drop_at": tuple(moved(at) for at in self.drop_at),
                "curve_every": moved(self.curve_every) if self.curve_every else 0,
            }
        )


class ImageNet(Strict):
    """torchvision's ImageNet weights for the backbone, downloaded by torchvision."""

    kind: Literal["imagenet"] = "imagenet"
    weights: Literal["IMAGENET1K_V1"] = "IMAGENET1K_V1"


class WeightsFile(Strict):
    """Weights file of the user: ImageNet weights of a backbone, or a released IFC checkpoint."""

    kind: Literal["file"] = "file"
    content: Literal["imagenet", "released"]
    sha256: str
