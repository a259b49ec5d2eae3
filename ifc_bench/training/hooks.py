"""Callbacks and settings that a training run takes, and its results besides the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ifc_bench.models.ifc import IFC


@dataclass
class Curves:
    """Results of a training run besides its weights.

    Attributes:
        every: iterations between two points; more than 1 only in long training runs.
        loss: total loss of an iteration at each point, over all processes.
        parts: weighted loss terms at each point, by name.
        accuracy: (iteration, AP) pairs on the validation split.
        seconds: wall time, summed over all sessions of the training run.
        waiting: the part of `seconds` in which the next batch was not there yet.
        diverged_at: the iteration whose loss, gradient or weights were not finite, or None.
        new_parameters: parameters that the initial weights lack; None without initial weights.
    """

    every: int = 1
    loss: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    accuracy: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    waiting: float = 0.0
    diverged_at: int | None = None
    new_parameters: list[str] | None = None


@dataclass
class Hooks:
    """Callbacks and settings of the trainer; all are optional.

    Attributes:
        start: loads the initial weights into a new model, and returns the names of the parameters
            that they lack (None: no initial weights).
        score: returns the current validation AP of the model, for the AP curve; or raises
            `Stopped`.
        progress: called with the iterations done and the last loss.
        log: called with the iterations done and all values that have a curve, by name.
        checkpoint_every: seconds between checkpoints; large ones are written less often, so that
            writing takes 2% of the time, at most 30 times this interval.
        loaders: number of processes that load batches ahead; 0 loads them in this process.
        stopping: called after every iteration; True writes a checkpoint and stops.
        saved: called with the path of each checkpoint that was written.
        clips_at_once: clips in memory at a time, whose gradients add up to those of the batch; None
            for all that a process has.
    """

    start: Callable[[IFC], list[str] | None] | None = None
    score: Callable[[IFC], float] | None = None
    progress: Callable[[int, float], None] | None = None
    log: Callable[[int, dict[str, float]], None] | None = None
    checkpoint_every: float = 20.0
    loaders: int = 0
    stopping: Callable[[], bool] | None = None
    saved: Callable[[Path], None] | None = None
    clips_at_once: int | None = None
