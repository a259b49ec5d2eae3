"""Tables: rows of variants, and the work behind their cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import PositiveInt, model_validator

from ifc_bench.config import (
    AnyWork,
    Communication,
    Count,
    Evaluation,
    ModelConfig,
    Profile,
    Strict,
    Training,
    spoken,
)
from ifc_bench.errors import UserError
from ifc_bench.recipe.control import Control
from ifc_bench.recipe.preset import Preset
from ifc_bench.recipe.row import Row
from ifc_bench.records import Device

Metric = Literal["AP", "AP50", "AP75", "AR1", "AR10", "FPS"]


class _AnyTable(Strict):
    """Base class of tables: names, and the factor that the rows vary.

    Attributes:
        compares: whether its rows are trained and compared with each other.
        published: whether it has published rows of other methods, so that it is never empty.
        baseline: the label of the row that the others are compared with.
    """

    compares: ClassVar[bool] = False
    published: ClassVar[bool] = False

    name: str
    title: str
    factor: str
    paper_table: str | None = None
    baseline: str | None = None

    @property
    def compares_modules(self) -> bool:
        """Whether the table can have a row for a communication module of the user."""
        return self.compares and self.factor == "communication"

    def with_communication(self, preset: Preset, communication: Communication) -> Self:
        """Add a row for a module if the table trains its rows; else return it unchanged."""
        return self


class Table(_AnyTable):
    """Rows by windows; row labels are unique.

    `statistic` "std" prints only the stds, in Table 4's layout. `controls` are planned questions,
    with the answers expected.
    """

    compares = True

    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    statistic: Literal["mean", "std"] = "mean"
    controls: tuple[Control, ...] = ()

    @model_validator(mode="after")
    def _controls_name_rows(self) -> Self:
        labels = {row.label for row in self.rows}
        for control in self.controls:
            for contrast in control.contrasts:
                for label in (contrast.row, contrast.against):
                    if label not in labels:
                        raise ValueError(
                            f"controls: table {self.name}: {control.situation}: no row {label!r}"
                        )
        return self

    @model_validator(mode="after")
    def _one_row_a_label(self) -> Self:
        labels = [row.label for row in self.rows]
        if len(set(labels)) < len(labels):
            raise ValueError(f"rows: table {self.name} has two with the same label")
        return self

    @property
    def own_windows(self) -> bool:
        """Whether no row is tested at every window of the table, so that columns are no windows."""
        return self.columns is None

    @property
    def columns(self) -> tuple[int | None, ...] | None:
        """Every window of the table, in the order of a row that is tested at all; None without."""
        every = {window for row in self.rows for window in row.windows}
        whole = (row.windows for row in self.rows if every == set(row.windows))
        return next(whole, None)

    @property
    def recipes(self) -> tuple[Training, ...]:
        """Training run of each row, with seed 0."""
        return tuple(row.training for row in self.rows)

    def with_communication(self, preset: Preset, communication: Communication) -> Self:
        """Add a row: the preset's recipe with another communication module.

        Raises:
            UserError: if a row already has the module's name; their cells would mix.
        """
        label = spoken(communication)
        if label in [row.label for row in self.rows]:
            raise UserError(
                f"--own: {label}: table {self.name} has a row with that name; rename the class"
            )
        row = Row.of(preset, label, model={"communication": communication})
        return self.model_copy(update={"rows": (*self.rows, row)})

    def seeds(self, preset: Preset, row: Row) -> range:
        """Return the seeds of the training runs of `row`."""
        count = preset.seeds_of(self.name)
        return range(preset.first_seed, preset.first_seed + min(count, row.most_seeds or count))

    def trainings(self, preset: Preset, row: Row) -> list[Training]:
        """Return the training runs of `row`, one for each seed."""
        return [preset.seeded(row.training, seed) for seed in self.seeds(preset, row)]

    def evaluations(self, preset: Preset, row: Row, window: int | None) -> list[Evaluation]:
        """Return the evaluations of one accuracy cell, one for each seed."""
        test = row.test(window)
        return [Evaluation(training=one, **dict(test)) for one in self.trainings(preset, row)]

    def profile(
        self, preset: Preset, row: Row, window: int | None, device: Device
    ) -> Profile | None:
        """Return the profile for the FPS cell, on the first seed's weights; None without an FPS.

        It runs in the precision and with the compilation of the test at `window`.
        """
        if "FPS" not in self.metrics:
            return None
        test = row.test(window)
        return Profile(
            weights=preset.seeded(row.training, preset.first_seed),
            window=test.window,
            stride=test.stride,
            device=device.name,
            threads=device.threads or 1,
            size=test.size,
            precision=test.precision,
            compiled=test.compiled,
            videos=preset.profile_videos,
            protocol=preset.profile_protocol,
        )

    def works(self, preset: Preset, device: Device) -> Iterator[AnyWork]:
        """Yield all work of the table; a training run comes after its initial weights.

        A row that tests kept weights alone needs no training run.
        """
        for row in self.rows:
            kept = all(test.weights == "kept" for test in row.tests)
            for training in () if kept else self.trainings(preset, row):
                if isinstance(training.start, Training):
                    yield training.start
                yield training
            for window in row.windows:
                yield from self.evaluations(preset, row, window)
                profile = self.profile(preset, row, window, device)
                if profile is not None:
                    yield profile


class TableOfMethods(Table):
    """Published rows of other methods, predictions of others scored here, and our own rows."""

    compares = False
    published = True


class CountedRow(Strict):
    """One line of a table of MACs: a label and a network."""

    label: str
    model: ModelConfig


class TableOfCounts(_AnyTable):
    """Table of the encoder's MACs, without training (paper, Table 1)."""

    rows: tuple[CountedRow, ...]
    sizes: tuple[tuple[PositiveInt, PositiveInt], ...]
    frames: tuple[PositiveInt, ...]

    @property
    def recipes(self) -> tuple[Training, ...]:
        """Training runs: none."""
        return ()

    def count(self, row: CountedRow, size: tuple[int, int], frames: int) -> Count:
        """Return the work of one cell; `size` is the frame's height and width in pixels."""
        return Count(model=row.model, frames=frames, height=size[0], width=size[1])

    def counts(self) -> list[Count]:
        """Return the work of all cells."""
        return [
            self.count(row, size, frames)
            for row in self.rows
            for size in self.sizes
            for frames in self.frames
        ]

    def works(self, preset: Preset, device: Device) -> Iterator[AnyWork]:
        """Yield all work of the table, the same for every preset and device."""
        yield from self.counts()


AnyTable = Table | TableOfCounts
