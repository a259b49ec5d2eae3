"""The records behind one table, read once and passed on.

Every table, figure and frame is a function of `Results` (of `Counts` for MACs) and reads
no record itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeGuard

from ifc_bench.config import Evaluation, External, Training
from ifc_bench.errors import UserError
from ifc_bench.recipe import AnyTable, Preset, Table, TableOfCounts
from ifc_bench.recipe.control import Measure
from ifc_bench.records import EvaluationResult, Record, TrainingResult
from ifc_bench.report.cells import NOT_RUN, Cell
from ifc_bench.report.counts import Counts as Counts
from ifc_bench.report.crossed import Scores
from ifc_bench.report.differences import Comparison, best_rows, compare, corrected
from ifc_bench.report.measures import Integers, scores, videos_of
from ifc_bench.report.origins import origin_of
from ifc_bench.report.row_speeds import profiles_of, speeds_of
from ifc_bench.report.speeds import Speed
from ifc_bench.store import Store

_Place = tuple[str, int | None]  # a row's label and a window
_Asked = tuple[str, int | None, Measure, str | None]  # the same, a measure and a situation


@dataclass(frozen=True)
class SeededScores:
    """A measure of one row; `seeds` has the place of each seed in `scores`."""

    seeds: dict[int, int]
    scores: Scores
    videos: int


@dataclass(frozen=True)
class Run:
    """One training run behind a row; `record` None where it was not run."""

    row: str
    work: Training
    record: Record | None

    @property
    def result(self) -> TrainingResult | None:
        """The curves, if there are any."""
        found = self.record.result if self.record else None
        return found if isinstance(found, TrainingResult) else None


@dataclass(frozen=True)
class Test:
    """One evaluation behind a cell, and the training run that it tests."""

    row: str
    work: Evaluation
    record: Record | None
    training: Record | None

    @property
    def result(self) -> EvaluationResult | None:
        """The accuracies, if there are any."""
        found = self.record.result if self.record else None
        return found if isinstance(found, EvaluationResult) else None

    @property
    def reason(self) -> str:
        """The reason for missing accuracies: a status, or "not run"."""
        if self.record is not None:
            return self.record.status
        if self.training is not None and self.training.status != "ok":
            return self.training.status
        return NOT_RUN


@dataclass(frozen=True, eq=False)
class Results:
    """The records behind a table of training runs, and everything derived from them.

    Derived values are computed on first use, and once.

    Attributes:
        runs: the training runs, row by row.
        tests: the evaluations, row by row and window by window.
        speeds: for each row and window, the profiles of every device with their FPS.
        externals: results of other systems, in a table of methods.
    """

    table: Table
    preset: Preset
    runs: tuple[Run, ...]
    tests: Mapping[_Place, tuple[Test, ...]]
    speeds: Mapping[_Place, tuple[tuple[Record, Speed], ...]]
    externals: tuple[Record, ...] = ()
    _cells: dict[str | None, list[Cell]] = field(default_factory=dict, init=False)
    _best: dict[str, set[_Place]] = field(default_factory=dict, init=False)
    _videos: dict[str | None, Integers | None] = field(default_factory=dict, init=False)
    _scores: dict[_Asked, SeededScores | None] = field(default_factory=dict, init=False)

    @classmethod
    def read(cls, table: Table, preset: Preset, store: Store) -> Results:
        """Read every record that `table` needs."""
        runs = tuple(
            Run(row.label, work, store.load(work))
            for row in table.rows
            for work in table.trainings(preset, row)
        )
        trained = {run.work.id: run.record for run in runs}
        places = [(row, window) for row in table.rows for window in row.windows]
        tests = {
            (row.label, window): tuple(
                Test(row.label, work, store.load(work), trained[work.training.id])
                for work in table.evaluations(preset, row, window)
            )
            for row, window in places
        }
        profiles = profiles_of(store) if "FPS" in table.metrics else {}
        speeds = {
            (row.label, window): speeds_of(table, preset, row, window, profiles)
            for row, window in places
        }
        others = store.records("external") if table.published else ()
        externals = tuple(record for record in others if isinstance(record.work, External))
        return cls(table, preset, runs, tests, speeds, externals)

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell, row by row and window by window."""
        return self.cells_of(None)

    def cells_of(self, situation: str | None) -> list[Cell]:
        """The cells with accuracies on the videos of one situation alone.

        Raises:
            UserError: where the data of a record has no such situation.
        """
        if situation not in self._cells:
            self._cells[situation] = [self._cell(place, situation) for place in self.tests]
        return self._cells[situation]

    @cached_property
    def situations(self) -> list[str]:
        """Situations that every evaluation has accuracies for, in the order of the data."""
        found = [list(result.by_situation) for _, result in self.evaluated()]
        return [name for name in found[0] if all(name in names for names in found)] if found else []

    @cached_property
    def differences(self) -> list[Comparison]:
        """The AP of every row against the baseline row, corrected over the table."""
        return self._compared(None)

    @cached_property
    def by_situation(self) -> list[Comparison]:
        """The same on the videos of each situation alone, corrected over all situations together.

        Empty where the data has no situations.
        """
        return self._compared(*self.situations)

    def scores_of(
        self, row: str, window: int | None, measure: Measure, situation: str | None
    ) -> SeededScores | None:
        """A measure of every seed, and on draws of the videos; None where a record lacks it."""
        key = (row, window, measure, situation)
        if key not in self._scores:
            self._scores[key] = self._measured(*key)
        return self._scores[key]

    def _measured(
        self, row: str, window: int | None, measure: Measure, situation: str | None
    ) -> SeededScores | None:
        tests = [test for test in self.tests.get((row, window), ()) if test.result is not None]
        if situation not in self._videos:
            every = [result for _, result in self.evaluated()]
            self._videos[situation] = videos_of(every, situation)
        videos = self._videos[situation]
        if videos is None:
            return None
        found = scores([test.result for test in tests if test.result], measure, videos)
        if found is None:
            return None
        seeds = {test.work.training.seed: place for place, test in enumerate(tests)}
        return SeededScores(seeds, found, len(videos))

    def paired(self, row: str, against: str) -> bool:
        """Whether training runs of one seed of both rows share a pretraining of that seed alone."""
        a, b = (
            {run.work.seed: run.work.start for run in self.runs if run.row == one}
            for one in (row, against)
        )
        shared = [a[seed] for seed in a.keys() & b.keys() if a[seed] == b[seed]]
        starts = {start.id for start in shared if isinstance(start, Training)}
        return len(shared) > 1 and len(starts) == len(shared) == len(a.keys() & b.keys())

    def best(self, metric: str) -> set[_Place]:
        """Rows that are better than every other row at their window by more than noise."""
        if metric not in self._best:
            self._best[metric] = best_rows(self.cells, metric, self.paired)
        return self._best[metric]

    @property
    def devices(self) -> list[str]:
        """The devices behind the speeds."""
        return list(dict.fromkeys(speed.device for cell in self.cells for speed in cell.speeds))

    @property
    def recorded(self) -> bool:
        """Whether any record is behind the table."""
        return any(cell.recorded for cell in self.cells)

    def evaluated(self) -> Iterator[tuple[Test, EvaluationResult]]:
        """Evaluations that have a result, with it."""
        for tests in self.tests.values():
            yield from ((test, test.result) for test in tests if test.result is not None)

    def _compared(self, *situations: str | None) -> list[Comparison]:
        baseline = self.table.baseline
        if baseline is None:
            return []
        found = [
            one
            for situation in situations
            for one in compare(
                self.cells_of(situation), baseline, situation=situation, pairs=self.paired
            )
        ]
        return corrected(found)

    def _cell(self, place: _Place, situation: str | None) -> Cell:
        values: dict[str, dict[int, float]] = {m: {} for m in self.table.metrics if m != "FPS"}
        lost: dict[str, int] = {}
        records: list[Record | None] = []
        splits: set[str] = set()
        for test in self.tests[place]:
            if test.result is None or test.record is None:
                lost[test.reason] = lost.get(test.reason, 0) + 1
                continue
            splits.update([test.record.split_hash] if test.record.split_hash else [])
            records += [test.record, test.training]
            scores = _scores(test.result, situation)
            for metric, found in values.items():
                value = scores.get(metric)
                if value is not None:
                    found[test.work.training.seed] = value
        records += [record for record, _ in self.speeds[place]]
        return Cell(
            *place,
            values=values,
            speeds=tuple(speed for _, speed in self.speeds[place]),
            lost=lost,
            splits=frozenset(splits),
            origins=frozenset(origin_of(record) for record in records if record is not None),
        )


AnyResults = Results | Counts


def comparing(results: AnyResults) -> TypeGuard[Results]:
    """Whether the rows of the table are compared with each other."""
    return results.table.compares


def read_results(table: AnyTable, preset: Preset, store: Store) -> AnyResults:
    """Read the records of `store` behind `table`."""
    if isinstance(table, TableOfCounts):
        return Counts.read(table, store)
    return Results.read(table, preset, store)


def read_all(tables: Sequence[AnyTable], preset: Preset, store: Store) -> list[AnyResults]:
    """Read the records of `store` behind each of `tables`."""
    return [read_results(table, preset, store) for table in tables]


def _scores(result: EvaluationResult, situation: str | None) -> dict[str, float | None]:
    if situation is None:
        return result.metrics
    if situation not in result.by_situation:
        there = ", ".join(result.by_situation)
        raise UserError(
            f"--situation: {situation!r} is none of {there}"
            if there
            else f"--situation: {situation!r}: no record has situations"
        )
    return result.by_situation[situation]
