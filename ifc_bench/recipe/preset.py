"""Presets: the sizes and budgets of a recipe, which a table varies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import PositiveInt

from ifc_bench.config import (
    Data,
    ImageNet,
    ModelConfig,
    Optimisation,
    Precision,
    Protocol,
    Strict,
    Testing,
    Training,
    WeightsFile,
)

FirstWeights = Training | ImageNet | WeightsFile | None
_Value = TypeVar("_Value", bound=Strict)


def varied(value: _Value, changes: Mapping[str, object]) -> _Value:
    """The same value with other fields, checked as a new one is.

    Raises:
        pydantic.ValidationError: if there is no such field, or what it is given does not fit.
    """
    return type(value).model_validate({**dict(value), **changes})


class Stage(Strict):
    """A part of a preset's recipe: what to train on, how long, and how to test; videos or images.

    `classes` are the data's. `testing` with window None stands for the preset's windows. `epochs`
    (all, and before the rate drops) set the iterations when the data is known; an epoch has every
    frame of the training videos once as a key frame. The seconds serve the plan's estimates alone.
    """

    data: Data
    optimisation: Optimisation
    classes: PositiveInt
    testing: Testing = Testing(window=None)
    epochs: tuple[PositiveInt, PositiveInt] | None = None
    seconds_per_iteration: float

    @property
    def of_images(self) -> bool:
        """Whether it is tested as COCO tests images."""
        return self.testing.protocol == "image"

    def with_changes(
        self, optimisation: Mapping[str, object], testing: Mapping[str, object]
    ) -> Stage:
        """The same stage with other fields in its schedule and in how it is tested."""
        schedule = varied(self.optimisation, optimisation)
        tested = varied(self.testing, testing)
        return self.model_copy(update={"optimisation": schedule, "testing": tested})


class Preset(Strict):
    """A budget: the base model, a recipe for videos and one for images, and number of seeds.

    A training takes its number of classes from the stage, not from `model`. Where `pretrain` is
    set, every row on videos starts from a training on `image`, one for all its seeds. `start` is
    what the first training of a row starts from. `box_weights` (L1, GIoU) are for rows that are
    matched by boxes; `windows` are the T of testing on videos. What an iteration and an evaluation
    take in seconds, the bytes of a checkpoint and the number of GPUs serve the plan's estimates and
    nothing else; `timed` tells where they come from.
    """

    name: str
    model: ModelConfig
    video: Stage
    image: Stage
    box_weights: tuple[float, float] = (5.0, 2.0)
    pretrain: bool = False
    start: ImageNet | WeightsFile | None = None
    windows: tuple[PositiveInt, ...] = (5, 10, 15, 20)
    seeds: PositiveInt = 5
    tables: tuple[str, ...]
    profile_videos: PositiveInt = 8
    profile_protocol: Protocol = Protocol(scopes=False)
    seconds_per_evaluation: float
    timed: str
    checkpoint_bytes: PositiveInt
    gpus: int = 0

    def pretraining(self, model: ModelConfig) -> Training:
        """The training on images that the rows with `model` start from."""
        return Training(
            model=varied(model, {"classes": self.image.classes, "box_frames": 0}),
            optimisation=self.image.optimisation,
            data=self.image.data,
            seed=0,
            start=self.start,
        )

    def start_of(self, stage: Stage, model: ModelConfig) -> FirstWeights:
        """What a training of `model` starts from: where the preset says so, images come first."""
        return self.pretraining(model) if self.pretrain and not stage.of_images else self.start

    def tests(self, stage: Stage, changes: Mapping[str, object]) -> tuple[Testing, ...]:
        """How a row of `stage` is tested; `changes` with a window have one test, at that window."""
        testing = varied(stage.testing, changes)
        if "window" in changes or testing.window is not None:
            return (testing,)
        return tuple(varied(testing, {"window": window}) for window in self.windows)

    def with_options(
        self,
        short_side: int | None = None,
        precision: Precision | None = None,
        compiled: bool = False,
        iterations: int | None = None,
    ) -> Preset:
        """The same with frames of another shorter side, trained in another arithmetic, or longer.

        `iterations` are those on videos; a schedule on images stays as it is.
        """
        schedule: dict[str, object] = {}
        if short_side is not None:
            schedule["sizes"] = (short_side,)
        if precision is not None:
            schedule["precision"] = precision
        if compiled:
            schedule["compiled"] = True
        testing = {} if short_side is None else {"size": short_side}
        video = self.video
        if iterations is not None:
            longer = video.optimisation.of_length(iterations)
            video = video.model_copy(update={"optimisation": longer})
        return self.model_copy(
            update={
                "video": video.with_changes(schedule, testing),
                "image": self.image.with_changes(schedule, testing),
            }
        )

    def seconds_of(self, training: Training) -> float:
        """An estimate of the time that `training` takes; it grows with the frames of a batch."""
        stage = self.image if training.data == self.image.data else self.video
        ours, known = training.optimisation, stage.optimisation
        frames = ours.clips * ours.clip_frames / (known.clips * known.clip_frames)
        return ours.iterations * stage.seconds_per_iteration * frames
