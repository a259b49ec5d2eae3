"""Bounds of numbers on the command line."""

from __future__ import annotations

import math

import typer

MOST_SEEDS = 1000
MOST_FRAMES = 1024  # of a window, and of a video of noise
MOST_SIDE = 8192  # pixels
MOST_TOKENS = 4096
MOST_THREADS = 1024  # and processes
MOST_ITERATIONS = 10_000_000


def number(value: float) -> float:
    """A callback for options: `value`, unless it is "nan", which passes every bound.

    Raises:
        typer.BadParameter: where it is.
    """
    if math.isnan(value):
        raise typer.BadParameter("nan is no number")
    return value
