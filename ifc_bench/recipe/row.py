"""Rows: a training run and its tests, given as changes to a preset's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self, TypedDict, Unpack

from pydantic import PositiveInt, model_validator

from ifc_bench.config import Data, Strict, Testing, Training
from ifc_bench.recipe.preset import FirstWeights, Preset, Stage, varied


class Changes(TypedDict, total=False):
    """Changes of a row to the preset: fields by name, or data, initial weights and tests.

    `testing` with a window means that the row is tested only at that window (None: offline).
    """

    model: Mapping[str, object]
    optimisation: Mapping[str, object]
    loss: Mapping[str, object]
    testing: Mapping[str, object]
    data: Data
    start: FirstWeights
    tests: tuple[Testing, ...]


class Row(Strict):
    """One line of a table: a label as the paper prints it, a training run, and its tests.

    A table may vary any of their fields. The seed of `training` is 0; a table runs it with every
    seed that the preset has for it, up to `most_seeds`. Each test has a different window, which
    identifies it.
    """

    label: str
    training: Training
    tests: tuple[Testing, ...]
    most_seeds: PositiveInt | None = None

    @classmethod
    def of(
        cls, preset: Preset, label: str, stage: Stage | None = None, **changes: Unpack[Changes]
    ) -> Row:
        """Create a row from the recipe of `stage` (default: the preset's videos), with changes.

        Raises:
            pydantic.ValidationError: if a change names no field, or its value is not valid.
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
        """Windows of the tests; None is the offline mode."""
        return tuple(test.window for test in self.tests)

    def test(self, window: int | None) -> Testing:
        """Return the test at `window`.

        Raises:
            ValueError: if there is no such test.
        """
        if window not in self.windows:
            raise ValueError(f"{self.label}: has no test at T = {window}")
        return self.tests[self.windows.index(window)]

    @model_validator(mode="after")
    def _one_test_a_window(self) -> Self:
        if len(set(self.windows)) < max(len(self.windows), 1):
            raise ValueError(f"tests: row {self.label} has none, or two with the same window")
        if self.training.seed:
            raise ValueError(f"training: row {self.label} has seed {self.training.seed}, not 0")
        return self
