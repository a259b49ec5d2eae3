"""Gathers the records behind each cell of a table."""

from __future__ import annotations

from dataclasses import dataclass

from ifc_bench.config import Evaluation, Profile
from ifc_bench.errors import UserError
from ifc_bench.recipe import Preset, Row, Table, TableOfCounts
from ifc_bench.records import CountResult, Device, EvaluationResult, Record
from ifc_bench.report.origins import Origin, origin_of
from ifc_bench.report.speeds import Speed, speed_of
from ifc_bench.report.statistics import Summary, summarise
from ifc_bench.store import Store

NOT_RUN = "not run"
_Profiles = dict[str, list[Record]]  # by what is measured, whatever the device


@dataclass(frozen=True)
class Cell:
    """One row of a table at one window.

    Attributes:
        values: for each accuracy, its value as a fraction by seed, of the seeds that have one.
        speeds: one for each device that was measured; they never share a mean.
        lost: seeds without a value, by reason ("diverged", "failed", "not run").
        splits: the split hashes behind the values (more than one is a fault to be shown).
        origins: the code and packages behind the values, their trainings and the speeds.
    """

    row: str
    window: int | None
    values: dict[str, dict[int, float]]
    speeds: tuple[Speed, ...]
    lost: dict[str, int]
    splits: frozenset[str]
    origins: frozenset[Origin]

    def summary(self, metric: str) -> Summary | None:
        """Mean and std of an accuracy over seeds."""
        return summarise(list(self.by_seed(metric).values()))

    def by_seed(self, metric: str) -> dict[int, float]:
        """An accuracy of each seed that has one."""
        return self.values.get(metric, {})

    def on(self, card: tuple[str, str] | None) -> list[Speed]:
        """The speeds on one device with one implementation of attention."""
        return [speed for speed in self.speeds if card == (speed.device, speed.attention)]

    @property
    def recorded(self) -> bool:
        """Whether any record is behind this cell, were it of a failure."""
        return bool(self.origins) or any(reason != NOT_RUN for reason in self.lost)


def collect(table: Table, preset: Preset, store: Store, situation: str | None = None) -> list[Cell]:
    """Every cell of `table`, row by row and window by window.

    `situation` narrows the accuracies to the videos of one situation.

    Raises:
        UserError: where the data of a record has no such situation.
    """
    profiles: _Profiles = {}
    for record in store.records("profile") if "FPS" in table.metrics else ():
        if isinstance(record.work, Profile):
            profiles.setdefault(_wherever(record.work), []).append(record)
    return [
        _cell(table, preset, store, table.rows[row_index], window, profiles, situation)
        for row_index in range(len(table.rows))
        for window in table.windows(preset, table.rows[row_index])
    ]


def situations_of(table: Table, preset: Preset, store: Store) -> list[str]:
    """The situations that every evaluation of `table` tells, in their own order."""
    found: list[list[str]] = []
    for row in table.rows:
        for window in table.windows(preset, row):
            for work in table.evaluations(preset, row, window):
                record = store.load(work)
                if record is not None and isinstance(record.result, EvaluationResult):
                    found.append(list(record.result.by_situation))
    return [name for name in found[0] if all(name in names for names in found)] if found else []


def _cell(
    table: Table,
    preset: Preset,
    store: Store,
    row: Row,
    window: int | None,
    profiles: _Profiles,
    situation: str | None,
) -> Cell:
    values: dict[str, dict[int, float]] = {m: {} for m in table.metrics if m != "FPS"}
    lost: dict[str, int] = {}
    splits: set[str] = set()
    origins: set[Origin] = set()
    for work in table.evaluations(preset, row, window):
        record = store.load(work)
        if record is None or not isinstance(record.result, EvaluationResult):
            reason = _reason(store, work, record)
            lost[reason] = lost.get(reason, 0) + 1
            continue
        splits.update([record.split_hash] if record.split_hash else [])
        trained = store.load(work.training)
        origins.update(origin_of(one) for one in (record, trained) if one is not None)
        scores = _scores(record.result, situation)
        for metric, found in values.items():
            value = scores.get(metric)
            if value is not None:
                found[work.training.seed] = value
    asked = table.profile(preset, row, window, Device(kind="cpu", name=""))
    found_here = profiles.get(_wherever(asked), []) if asked else []
    measured = [(record, speed) for record in found_here if (speed := speed_of(record))]
    origins.update(origin_of(record) for record, _ in measured)
    return Cell(
        row=row.label,
        window=window,
        values=values,
        speeds=tuple(speed for _, speed in measured),
        lost=lost,
        splits=frozenset(splits),
        origins=frozenset(origins),
    )


def _scores(result: EvaluationResult, situation: str | None) -> dict[str, float | None]:
    if situation is None:
        return result.metrics
    if situation not in result.by_situation:
        there = ", ".join(result.by_situation)
        raise UserError(
            f"--situation: {situation!r} is none of {there}"
            if there
            else f"--situation: {situation!r}: no record tells situations of its videos"
        )
    return result.by_situation[situation]


def _reason(store: Store, work: Evaluation, record: Record | None) -> str:
    """Why a seed has no value."""
    if record is not None:
        return record.status
    training = store.load(work.training)
    if training is not None and training.status != "ok":
        return training.status
    return NOT_RUN


def measured_on(table: Table, preset: Preset, store: Store) -> list[str]:
    """The devices behind the speeds of `table`."""
    cells = collect(table, preset, store)
    return list(dict.fromkeys(speed.device for cell in cells for speed in cell.speeds))


def _wherever(work: Profile) -> str:
    """The id that `work` has without its device."""
    return work.model_copy(update={"device": "", "threads": 1}).id


def collect_counts(
    table: TableOfCounts, store: Store
) -> dict[tuple[str, tuple[int, int], int], int | None]:
    """Multiply-adds by row, frame size and T; None where they are not counted yet."""
    found: dict[tuple[str, tuple[int, int], int], int | None] = {}
    for row in table.rows:
        for size in table.sizes:
            for frames in table.frames:
                record = store.load(table.count(row, size, frames))
                macs = None
                if record is not None and isinstance(record.result, CountResult):
                    macs = record.result.encoder_macs
                found[row.label, size, frames] = macs
    return found
