"""What a table asks for: presets (sizes and budgets) and tables (rows, windows, columns).

`ablations/` writes these down; `ifc_bench.sweep.plan` turns them into work.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from ifc_bench.config import (
    Communication,
    Count,
    Data,
    Evaluation,
    ImageNet,
    ModelConfig,
    Optimisation,
    Precision,
    Profile,
    Protocol,
    Strict,
    Training,
    WeightsFile,
    spoken,
)
from ifc_bench.records import Device

Metric = Literal["AP", "AP50", "AP75", "AR1", "AR10", "FPS"]


class Preset(Strict):
    """A budget: the base model, data, schedules, test windows and number of seeds.

    `image_data` and `image_optimisation` are for clips of one frame: Table 3(b), and, where
    `pretrain` is set, the training on images that every row starts from (one for all its seeds).
    `start` is what the first training of a row starts from. `box_weights` (L1, GIoU) go to rows
    that are matched by boxes. `epochs` (all, and before the rate drops) set the iterations when
    the data is known; an epoch has every frame of the training videos once as a key frame. What an
    iteration and an evaluation take in seconds, the bytes of a checkpoint and the number of GPUs
    serve the plan's estimates and nothing else; `timed` tells where they come from.
    """

    name: str
    model: ModelConfig
    optimisation: Optimisation
    data: Data
    image_data: Data
    image_optimisation: Optimisation
    image_classes: PositiveInt
    epochs: tuple[PositiveInt, PositiveInt] | None = None
    image_epochs: tuple[PositiveInt, PositiveInt] | None = None
    box_weights: tuple[float, float] = (5.0, 2.0)
    pretrain: bool = False
    start: ImageNet | WeightsFile | None = None
    windows: tuple[PositiveInt, ...] = (5, 10, 15, 20)
    short_videos: Literal["refuse", "shrink"] = "refuse"
    size: PositiveInt | None = None
    seeds: PositiveInt = 5
    tables: tuple[str, ...]
    profile_videos: PositiveInt = 8
    profile_protocol: Protocol = Protocol(scopes=False)
    seconds_per_iteration: float
    seconds_per_image_iteration: float
    seconds_per_evaluation: float
    timed: str
    checkpoint_bytes: PositiveInt
    gpus: int = 0

    def pretraining(self, model: ModelConfig) -> Training:
        """The training on images that the rows with `model` start from."""
        return Training(
            model=model.model_copy(update={"classes": self.image_classes, "box_frames": 0}),
            optimisation=self.image_optimisation,
            data=self.image_data,
            seed=0,
            start=self.start,
        )

    def training(self, row: Row, seed: int) -> Training:
        """The training behind one seed of `row`."""
        if row.images:
            return self.pretraining(row.model).model_copy(update={"seed": seed})
        optimisation = self.optimisation
        if row.matching == "boxes":
            weights = {"box_l1": self.box_weights[0], "box_giou": self.box_weights[1]}
            loss = optimisation.loss.model_copy(update={"matching": "boxes", **weights})
            optimisation = optimisation.model_copy(update={"loss": loss})
        return Training(
            model=row.model,
            optimisation=optimisation,
            data=self.data,
            seed=seed,
            start=self.pretraining(row.model) if self.pretrain else self.start,
        )

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
        changes: dict[str, object] = {}
        if short_side is not None:
            changes["sizes"] = (short_side,)
        if precision is not None:
            changes["precision"] = precision
        if compiled:
            changes["compiled"] = True
        schedule = self.optimisation.of_length(iterations or self.optimisation.iterations)
        return self.model_copy(
            update={
                "size": self.size if short_side is None else short_side,
                "optimisation": schedule.model_copy(update=changes),
                "image_optimisation": self.image_optimisation.model_copy(update=changes),
            }
        )

    def seconds_of(self, training: Training) -> float:
        """An estimate of the time that `training` takes."""
        still = training.optimisation == self.image_optimisation
        each = self.seconds_per_image_iteration if still else self.seconds_per_iteration
        return training.optimisation.iterations * each


class Row(Strict):
    """One line of a table: a label as the paper prints it, and the model behind it.

    A row may bring its own `window` (with a `stride`), where the others take the table's, or be
    `offline`: one window for the whole video. `images` trains and tests it on the preset's images
    instead of its videos.
    """

    label: str
    model: ModelConfig
    matching: Literal["masks", "boxes"] = "masks"
    images: bool = False
    window: PositiveInt | None = None
    offline: bool = False
    stride: PositiveInt = 1


class Table(Strict):
    """Rows by windows. `statistic` "std" prints the stds alone, in Table 4's layout.

    `baseline` is the label of the row that the others are held against.
    """

    name: str
    title: str
    factor: str
    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    baseline: str | None = None
    statistic: Literal["mean", "std"] = "mean"
    paper_table: str | None = None

    def with_communication(self, preset: Preset, communication: Communication) -> Table:
        """This table with one more row: the preset's model with another communication module."""
        model = preset.model.model_copy(update={"communication": communication})
        row = Row(label=spoken(communication), model=model)
        return self.model_copy(update={"rows": (*self.rows, row)})

    def windows(self, preset: Preset, row: Row) -> tuple[int | None, ...]:
        """The windows that `row` is tested with; None is the offline mode."""
        if row.images:
            return (1,)
        if row.offline:
            return (None,)
        return preset.windows if row.window is None else (row.window,)

    def trainings(self, preset: Preset, row: Row) -> list[Training]:
        """The runs behind `row`, one for each seed."""
        return [preset.training(row, seed) for seed in range(preset.seeds)]

    def evaluations(self, preset: Preset, row: Row, window: int | None) -> list[Evaluation]:
        """The evaluations behind one cell of accuracies, one for each seed."""
        return [
            Evaluation(
                training=training,
                window=window,
                stride=row.stride,
                short_videos=preset.short_videos,
                size=preset.size,
                protocol="image" if row.images else "video",
            )
            for training in self.trainings(preset, row)
        ]

    def profile(
        self, preset: Preset, row: Row, window: int | None, device: Device
    ) -> Profile | None:
        """The measurement behind the cell's FPS, on the first seed's weights, if it has one."""
        if "FPS" not in self.metrics:
            return None
        return Profile(
            weights=self.trainings(preset, row)[0],
            window=window,
            stride=row.stride,
            device=device.name,
            threads=device.threads or 1,
            size=preset.size,
            videos=preset.profile_videos,
            protocol=preset.profile_protocol,
        )


class TableOfMethods(Table):
    """Published rows of other methods, results of others scored here, and our own rows below."""


class TableOfCounts(Strict):
    """A table of the encoder's multiply-adds; nothing is trained for it (paper, Table 1)."""

    name: str
    title: str
    factor: str
    rows: tuple[Row, ...]
    sizes: tuple[tuple[PositiveInt, PositiveInt], ...]
    frames: tuple[PositiveInt, ...]
    paper_table: str | None = None

    def count(self, row: Row, size: tuple[int, int], frames: int) -> Count:
        """The work behind one cell; `size` is the frame's height and width."""
        return Count(model=row.model, frames=frames, height=size[0], width=size[1])

    def counts(self) -> list[Count]:
        """The work behind all cells."""
        return [
            self.count(row, size, frames)
            for row in self.rows
            for size in self.sizes
            for frames in self.frames
        ]


AnyTable = Table | TableOfMethods | TableOfCounts
