"""Quantities of tables and figures: unit, scale and digits of each, in one list."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

ABSENT = "–"


@dataclass(frozen=True)
class Quantity:
    """Prints numbers of one kind alike.

    Attributes:
        unit: after the number.
        scale: units in one of what records hold (a byte, a MAC, a second, a fraction of 1).
        digits: after the decimal point.
    """

    unit: str
    scale: float
    digits: int

    def of(self, value: Any) -> Any:
        """A number, an array or a column in this unit, not rounded."""
        return value * self.scale

    def number(self, value: float | None) -> str:
        """The number alone, for a column that names the unit; a dash where there is none."""
        if value is None or math.isnan(value):
            return ABSENT
        return f"{value * self.scale:.{self.digits}f}"

    def with_spread(self, mean: float, std: float | None) -> str:
        """A mean, and its std where it has one: "38.4±2.2"."""
        return self.number(mean) if std is None else f"{self.number(mean)}±{self.number(std)}"

    def text(self, value: float) -> str:
        """The number with its unit."""
        return f"{self.number(value)} {self.unit}"


GIGA_MACS = Quantity("G", 1e-9, 2)
MEGA_PARAMETERS = Quantity("M", 1e-6, 2)
TRAFFIC = Quantity("GB", 1e-9, 2)  # bytes that kernels read and write
GPU_MEMORY = Quantity("GB", 1e-9, 2)  # beside the memory of a GPU
SPACE = Quantity("GB", 1e-9, 1)  # on a disk, or that an allocation asked for
FILE_SIZE = Quantity("MB", 1e-6, 1)
PEAK_MEMORY = Quantity("MB", 1e-6, 0)
EXACT_MEMORY = Quantity("MB", 1e-6, 1)  # a prediction beside a measurement
FRAME_TIME = Quantity("ms", 1, 1)  # columns of times hold milliseconds
FPS = Quantity("FPS", 1, 1)
MEASURED_FPS = Quantity("FPS", 1, 2)  # in the table of profiles
STEP_TIME = Quantity("s", 1, 3)  # of a training iteration
RESOLUTION = Quantity("ns", 1e9, 0)  # of a timer
OVERHEAD = Quantity("us", 1e6, 2)
SHORT_TIME = Quantity("ms", 1e3, 3)
ENERGY = Quantity("J", 1, 2)
ACCURACY = Quantity("%", 1, 1)  # summaries are in percentage points (`Summary.points`)
