"""The time that pieces of work take in this sweep, from those that are done: time-outs."""

from __future__ import annotations

import time
from collections import defaultdict
from statistics import median

from ifc_bench.config import AnyWork, Training
from ifc_bench.file_io import partial_path
from ifc_bench.recipe import Preset
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Job

_KNOWN = 3  # pieces from which an estimate is believed
_LIMIT = 10.0  # times the estimate
_LEAST_SECONDS = 60.0


class Pace:
    """Times of pieces against the preset's estimates, in one sweep.

    What continues from a checkpoint or from finished videos, and what failed, does not count.
    """

    def __init__(self, preset: Preset, store: Store) -> None:
        self.preset, self.store = preset, store
        # Measured seconds over estimated ones, by kind of work: estimates of each are off alike.
        self.ratios: dict[str, list[float]] = defaultdict(list)
        self._begun: dict[int, tuple[AnyWork, float, float, bool]] = {}

    def begin(self, number: int, task: object, work: AnyWork) -> None:
        """A task has begun a piece of work, and so ended the one before.

        An evaluation after another may follow one that failed.
        """
        last = self._begun.get(number)
        self.end(number, last is not None and isinstance(last[0], Training))
        expected = self._expected(task, work)
        if expected is None:
            return
        fresh = not (
            self.store.checkpoint_path(work).exists()
            if isinstance(work, Training)
            else partial_path(self.store.predictions_path(work)).exists()
        )
        self._begun[number] = (work, time.monotonic(), expected, fresh)

    def end(self, number: int, well: bool) -> None:
        """A task has ended its piece."""
        known = self._begun.pop(number, None)
        if known is not None and well and known[3]:
            self.ratios[known[0].kind].append((time.monotonic() - known[1]) / known[2])

    def overdue(self, number: int) -> tuple[AnyWork, float] | None:
        """The piece that takes more than ten times its estimate, and the minutes of that limit.

        None before three pieces of its kind are done.
        """
        known = self._begun.get(number)
        ratios = self.ratios[known[0].kind] if known is not None else []
        if known is None or len(ratios) < _KNOWN:
            return None
        limit = max(_LEAST_SECONDS, _LIMIT * median(ratios) * known[2])
        return (known[0], limit / 60) if time.monotonic() - known[1] > limit else None

    def _expected(self, task: object, work: AnyWork) -> float | None:
        """The preset's seconds of a piece; None for what has no estimate of its own."""
        if isinstance(work, Training):
            return self.preset.seconds_of(work)
        if isinstance(task, Job) and task.evaluations:
            return self.preset.evaluation_seconds * len(task.evaluations)
        return None
