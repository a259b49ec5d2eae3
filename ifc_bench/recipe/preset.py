"""Presets: the sizes and budgets of a recipe, which a table varies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import NonNegativeInt, PositiveInt

from ifc_bench.config import (
    Communication,
    Data,
    FullTHW,
    ImageNet,
    KeptWeights,
    ModelConfig,
    NoComm,
    Optimisation,
    Precision,
    Protocol,
    Strict,
    Testing,
    Training,
    WeightsFile,
)

FirstWeights = Training | KeptWeights | ImageNet | WeightsFile | None
_Value = TypeVar("_Value", bound=Strict)


def varied(value: _Value, changes: Mapping[str, object]) -> _Value:
    """Copy `value` with some fields changed, and validate the copy.

    Raises:
        pydantic.ValidationError: if there is no such field, or its value is not valid.
    """
    return type(value).model_validate({**dict(value), **changes})


class DataSize(Strict):
    """The size of a user's data: videos (or images) of training and validation, and frames."""

    train_videos: NonNegativeInt
    train_frames: NonNegativeInt
    valid_videos: NonNegativeInt
    valid_frames: NonNegativeInt


class Stage(Strict):
    """One stage of a preset's recipe, on videos or images: data, training schedule and testing.

    `classes` is the number of classes of the data. `testing` with window None means the preset's
    windows. `epochs` (in total, and before the learning rate drops) set the iterations when the
    data is known; in an epoch every frame of the training videos is a key frame once. The seconds,
    and the `size` of a user's data, are used only for the plan's estimates.
    """

    data: Data
    optimisation: Optimisation
    classes: PositiveInt
    testing: Testing = Testing(window=None)
    epochs: tuple[PositiveInt, PositiveInt] | None = None
    size: DataSize | None = None
    seconds_per_iteration: float

    @property
    def of_images(self) -> bool:
        """Whether it is evaluated on images, with COCO's protocol."""
        return self.testing.protocol == "image"

    def with_changes(
        self, optimisation: Mapping[str, object], testing: Mapping[str, object]
    ) -> Stage:
        """Copy the stage with some fields of its schedule and testing changed."""
        schedule = varied(self.optimisation, optimisation)
        tested = varied(self.testing, testing)
        return self.model_copy(update={"optimisation": schedule, "testing": tested})


class Preset(Strict):
    """A budget: the base model, a stage for videos and one for images, and the number of seeds.

    A training run takes its number of classes from the stage, not from `model`. With `pretrain`,
    every row on videos starts from a training run on `image`: one for all its seeds, or with
    `pretrain_seeds` one for each; of its own network, or with `pretrain_module` of one with that
    communication module, which all rows then share. With `pretrain_kept` it is not run: its weights
    are those that a clone has. `start` is the initial weights of a row's first training run.
    `box_weights` (L1, GIoU) are for rows with box-based matching. Seeds begin at `first_seed`;
    there are `seeds` of each row, in some tables as many as `seeds_of_tables` says (name, number).
    `windows` are the T of testing on videos. `changes` names what options changed, and
    `weights_name` the user's file behind `start`, for the heads of tables. The seconds of an
    iteration and of an evaluation, the bytes of a checkpoint and the number of GPUs are used only
    for the plan's estimates; `timed` names their source.
    """

    name: str
    model: ModelConfig
    video: Stage
    image: Stage
    box_weights: tuple[float, float] = (5.0, 2.0)
    pretrain: bool = False
    pretrain_module: Communication | None = None
    pretrain_seeds: bool = False
    pretrain_kept: bool = False
    start: ImageNet | WeightsFile | None = None
    weights_name: str = ""
    changes: tuple[str, ...] = ()
    windows: tuple[PositiveInt, ...] = (5, 10, 15, 20)
    seeds: PositiveInt = 5
    seeds_of_tables: tuple[tuple[str, PositiveInt], ...] = ()
    first_seed: NonNegativeInt = 0
    tables: tuple[str, ...]
    profile_videos: PositiveInt = 8
    profile_protocol: Protocol = Protocol(scopes=False)
    seconds_per_evaluation: float
    frames_of_evaluation: PositiveInt = 6_000
    timed: str
    checkpoint_bytes: PositiveInt
    gpus: int = 0

    def seeds_of(self, table: str) -> int:
        """Return the number of seeds of a row in the table of that name."""
        return dict(self.seeds_of_tables).get(table, self.seeds)

    def pretraining(self, model: ModelConfig) -> Training:
        """Return the training run on images that the rows with `model` start from.

        Full THW shares No Comm's: on clips of one frame they are one network, to the bit.
        """
        changes: dict[str, object] = {"classes": self.image.classes, "box_frames": 0}
        if isinstance(model.communication, FullTHW) and self.image.optimisation.clip_frames == 1:
            changes["communication"] = NoComm()  # in one frame they are the same network
        if self.pretrain_module is not None:
            changes |= {"communication": self.pretrain_module, "time_positions": False}
        return Training(
            model=varied(model, changes),
            optimisation=self.image.optimisation,
            data=self.image.data,
            seed=0,
            start=self.start,
        )

    def seeded(self, training: Training, seed: int) -> Training:
        """Return the training run with another seed, its pretraining as well if each has one."""
        changes: dict[str, object] = {"seed": seed}
        if self.pretrain_seeds and isinstance(training.start, Training):
            changes["start"] = training.start.model_copy(update={"seed": seed})
        return training.model_copy(update=changes)

    def start_of(self, stage: Stage, model: ModelConfig) -> FirstWeights:
        """Return the initial weights of a training run of `model`; with `pretrain`, from images."""
        if not self.pretrain or stage.of_images:
            return self.start
        training = self.pretraining(model)
        return KeptWeights(training=training) if self.pretrain_kept else training

    def tests(self, stage: Stage, changes: Mapping[str, object]) -> tuple[Testing, ...]:
        """Return the tests of a row: one if `changes` set a window, else one for each window."""
        testing = varied(stage.testing, changes)
        if "window" in changes or testing.window is not None:
            return (testing,)
        return tuple(varied(testing, {"window": window}) for window in self.windows)

    def with_options(
        self,
        short_side: int | None = None,
        precision: Precision | None = None,
        compiled: bool = False,
        testing: Mapping[str, object] | None = None,
    ) -> Preset:
        """Copy with another short edge (pixels), precision or compilation.

        `precision` and `compiled` are of training; `testing` changes fields of the tests.
        """
        schedule: dict[str, object] = {}
        if short_side is not None:
            schedule["sizes"] = (short_side,)
        if precision is not None:
            schedule["precision"] = precision
        if compiled:
            schedule["compiled"] = True
        tested = {**({} if short_side is None else {"size": short_side}), **(testing or {})}
        return self.model_copy(
            update={
                "video": self.video.with_changes(schedule, tested),
                "image": self.image.with_changes(schedule, tested),
            }
        )

    def of_length(self, iterations: int | None = None, of_images: int | None = None) -> Preset:
        """Copy with other numbers of iterations; the drops of the learning rate are scaled."""
        stages = {"video": (self.video, iterations), "image": (self.image, of_images)}
        return self.model_copy(
            update={
                name: stage.model_copy(update={"optimisation": stage.optimisation.of_length(count)})
                for name, (stage, count) in stages.items()
                if count is not None
            }
        )

    @property
    def evaluation_seconds(self) -> float:
        """Estimate the seconds of an evaluation on videos, in proportion to their frames."""
        size = self.video.size
        share = 1.0 if size is None else size.valid_frames / self.frames_of_evaluation
        return self.seconds_per_evaluation * share

    def seconds_of(self, training: Training) -> float:
        """Estimate the seconds that `training` takes, in proportion to the frames of a batch."""
        stage = self.image if training.data == self.image.data else self.video
        ours, known = training.optimisation, stage.optimisation
        frames = ours.clips * ours.clip_frames / (known.clips * known.clip_frames)
        return ours.iterations * stage.seconds_per_iteration * frames
