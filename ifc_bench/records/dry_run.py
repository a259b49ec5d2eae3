"""Measurements of a dry run. They leave no record: nothing under the results directory."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Steps:
    """Training iterations with a number of clips in memory at a time.

    Attributes:
        at_a_time: clips of one forward and backward; fewer than the batch has accumulate gradients.
        seconds: of each timed iteration, over all clips of the batch, without loading them; empty
            if memory ran out.
        peak_bytes: peak of torch's allocations, weights and optimiser included; None if memory ran
            out.
        reserved_bytes: the same of what torch's allocator held of the GPU; None on a CPU.
    """

    at_a_time: int
    seconds: tuple[float, ...] = ()
    peak_bytes: int | None = None
    reserved_bytes: int | None = None

    @property
    def fits(self) -> bool:
        """Whether memory was enough."""
        return bool(self.seconds)

    @property
    def typical_seconds(self) -> float:
        """Median of the timed iterations."""
        return median(self.seconds)


@dataclass(frozen=True)
class Validation:
    """Testing on some validation videos, with random weights.

    Attributes:
        share: frames of these videos, as a fraction of all frames of the validation split.
        seconds: for these videos, in all ways of testing that the training run needs.
        curve_seconds: for these videos, for one point of the AP curve; 0 without a curve.
        predictions_bytes: of the predictions for these videos, in all ways of testing.
    """

    share: float
    seconds: float
    curve_seconds: float
    predictions_bytes: int


@dataclass(frozen=True)
class DryRun:
    """Everything measured of one training run.

    Attributes:
        frame_size: height and width of the largest frames in the batches, after padding.
        load_seconds: to load each batch, in one process.
        loaders: processes that load ahead in a real run; 0: the training process loads.
        cores: of the CPU that this process may use.
        steps: from the whole batch at a time down to one clip.
        checkpoint_bytes: size of the checkpoint; None if no iteration fitted.
        tests: None if the training run is not tested, or if testing ran out of memory.
        free_bytes: memory of the device that was free at the start.
        on_gpu: whether the device is a GPU, which loader processes do not slow down.
    """

    frame_size: tuple[int, int]
    load_seconds: tuple[float, ...]
    loaders: int
    cores: int
    steps: tuple[Steps, ...]
    checkpoint_bytes: int | None
    tests: Validation | None
    free_bytes: int
    on_gpu: bool = False

    def at(self, at_a_time: int) -> Steps | None:
        """Return the iterations with that number of clips at a time."""
        return next((steps for steps in self.steps if steps.at_a_time == at_a_time), None)
