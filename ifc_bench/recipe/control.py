"""Planned questions of a table: a control, its primary measure, and the answer that is expected.

They are written down before the trainings are run. The contrasts of one control are corrected
together.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from ifc_bench.config import Strict

Measure = Literal["AP", "marked IoU", "class accuracy"]
Expected = Literal["above", "equal", "open"]


class Contrast(Strict):
    """Two rows by label; `row` is expected above `against`, equal to it, or nothing is expected."""

    row: str
    against: str
    expected: Expected


class Control(Strict):
    """A question about the videos of one situation (generator 3), with the answers expected.

    `measure`: AP; "marked IoU", the mean IoU of the tracks of all annotated instances over the
    frames that hide the scene; or "class accuracy", the share of instances whose track has the
    right class. "equal" is within `margin`, a fraction, either way.
    """

    situation: str
    measure: Measure
    contrasts: tuple[Contrast, ...]
    reason: str
    window: PositiveInt = 5
    margin: PositiveFloat = 0.02
