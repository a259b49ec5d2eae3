"""What a table asks for: presets (sizes and budgets) and tables (rows, windows, columns).

`ablations/` writes these down; `ifc_bench.sweep.plan` turns them into work.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from ifc_bench.config import (
    Count,
    Evaluation,
    ModelConfig,
    Optimisation,
    Profile,
    Strict,
    SyntheticData,
    Training,
)
from ifc_bench.records import Device

Metric = Literal["AP", "AP75", "FPS"]


class Preset(Strict):
    """A budget: the base model, data, schedule, test windows and number of seeds.

    `seconds_per_iteration` is what one training iteration took on one thread of the machine that
    the preset was written on; it serves the plan's estimate of time and nothing else.
    """

    name: str
    model: ModelConfig
    optimisation: Optimisation
    data: SyntheticData
    windows: tuple[PositiveInt, ...] = (5, 10, 15, 20)
    seeds: PositiveInt = 5
    tables: tuple[str, ...]
    profile_videos: PositiveInt = 8
    profile_repeats: PositiveInt = 5
    seconds_per_iteration: float
    seconds_per_evaluation: float


class Row(Strict):
    """One line of a table: a label as the paper prints it, and the model behind it."""

    label: str
    model: ModelConfig


class Table(Strict):
    """Rows by windows. `statistic` "std" prints the stds alone, in Table 4's layout."""

    name: str
    title: str
    factor: str
    rows: tuple[Row, ...]
    metrics: tuple[Metric, ...]
    statistic: Literal["mean", "std"] = "mean"
    paper_table: str | None = None

    def trainings(self, preset: Preset, row: Row) -> list[Training]:
        """The runs behind `row`, one for each seed."""
        return [
            Training(model=row.model, optimisation=preset.optimisation, data=preset.data, seed=seed)
            for seed in range(preset.seeds)
        ]

    def evaluations(self, preset: Preset, row: Row, window: int) -> list[Evaluation]:
        """The evaluations behind one cell of accuracies, one for each seed."""
        return [
            Evaluation(training=training, window=window) for training in self.trainings(preset, row)
        ]

    def profile(self, preset: Preset, row: Row, window: int, device: Device) -> Profile | None:
        """The measurement behind the cell's FPS, on the first seed's weights, if it has one."""
        if "FPS" not in self.metrics:
            return None
        return Profile(
            training=self.trainings(preset, row)[0],
            window=window,
            device=device.name,
            threads=device.threads or 1,
            videos=preset.profile_videos,
            repeats=preset.profile_repeats,
        )


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


AnyTable = Table | TableOfCounts
