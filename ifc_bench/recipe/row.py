"""Rows: a training and its tests, written down as what differs from a preset's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypedDict, Unpack

from pydantic import model_validator

from ifc_bench.config import Data, Strict, Testing, Training
from ifc_bench.recipe.preset import FirstWeights, Preset, Stage, varied


class Changes(TypedDict, total=False):
    """What a row has otherwise than the preset: fields by name, or data, first weights and tests.

    `testing` with a window has the row tested at that one alone (None: offline).
    """

    model: Mapping[str, object]
    optimisation: Mapping[str, object]
    loss: Mapping[str, object]
    testing: Mapping[str, object]
    data: Data
    start: FirstWeights
    tests: tuple[Testing, ...]


class Row(Strict):
    """One line of a table: a label as the paper prints it, a training, and how it is tested.

    A table may vary any field of them. The training's seed is 0, and a table runs it with every
    seed of the preset. Each test has a window of its own, by which the table finds it.
    """

    label: str
    training: Training
    tests: tuple[Testing, ...]

    @classmethod
    def of(
        cls, preset: Preset, label: str, stage: Stage | None = None, **changes: Unpack[Changes]
    ) -> Row:
        """The recipe of `stage` (the preset's videos) with some fields changed.

        Raises:
            pydantic.ValidationError: if a change names no field, or does not fit it.
            ValueError: if both `testing` and `tests` are given.
        """
        if "testing" in changes and "tests" in changes:
            raise ValueError(f"row {label}: testing and tests exclude each other; give one")
        stage = stage or preset.video
        model = varied(preset.model, {"classes": stage.classes, **changes.get("model", {})})
        loss = varied(stage.optimisation.loss, changes.get("loss", {}))
        schedule = {"loss": loss, **changes.get("optimisation", {})}
        training = Training(
            model=model,
            optimisation=varied(stage.optimisation, schedule),
            data=changes.get("data", stage.data),
            seed=0,
            start=changes["start"] if "start" in changes else preset.start_of(stage, model),
        )
        told = changes.get("testing", {})
        tests = changes["tests"] if "tests" in changes else preset.tests(stage, told)
        return cls(label=label, training=training, tests=tests)

    @property
    def windows(self) -> tuple[int | None, ...]:
        """The windows that it is tested with; None is the offline mode."""
        return tuple(test.window for test in self.tests)

    def test(self, window: int | None) -> Testing:
        """The test at `window`.

        Raises:
            ValueError: if there is none.
        """
        if window not in self.windows:
            raise ValueError(f"{self.label}: has no test at T = {window}")
        return self.tests[self.windows.index(window)]

    @model_validator(mode="after")
    def _one_test_a_window(self) -> Self:
        if len(set(self.windows)) < max(len(self.windows), 1):
            raise ValueError(f"tests: of row {self.label}, none or two have the same window")
        if self.training.seed:
            raise ValueError(f"training: of row {self.label}, has seed {self.training.seed}, not 0")
        return self
