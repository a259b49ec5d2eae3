"""The state of the work behind tables: done, running, failed, not run; by records and claims."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from ifc_bench.config import AnyWork, Training
from ifc_bench.records import REPEATED, Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep.claims import Claim, claims_in
from ifc_bench.sweep.plan import Plan, label

_KINDS = ("count", "training", "evaluation", "profile")


@dataclass(frozen=True)
class Progress:
    """The work of one kind behind one table.

    Attributes:
        bad: pieces without a result, by their status.
    """

    table: str
    kind: str
    done: int
    running: int
    bad: dict[str, int]
    not_run: int


@dataclass(frozen=True)
class Running:
    """A task that a runner has claimed; `alive` is None where that cannot be known from here."""

    name: str
    host: str
    process: int
    alive: bool | None
    seconds: float


def progress(plan: Plan, store: Store) -> list[Progress]:
    """Count the work of each table of `plan`, kind by kind."""
    claimed = {claim.key.removesuffix("-kept") for claim in claims_in(store.claims())}
    works: list[AnyWork] = [*plan.counts, *plan.trainings, *plan.evaluations, *plan.profiles]
    found = []
    tables = dict.fromkeys(name for names in plan.needed_by.values() for name in names)
    for table in tables:
        for kind in _KINDS:
            own = [w for w in works if w.kind == kind and table in plan.needed_by[w.id]]
            if own:
                found.append(_counted(table, kind, own, store, claimed))
    return found


def _counted(
    table: str, kind: str, works: list[AnyWork], store: Store, claimed: set[str]
) -> Progress:
    states: Counter[str] = Counter()
    for work in works:
        record = store.load(work)
        training = work if isinstance(work, Training) else getattr(work, "training", None)
        busy = training is not None and training.id in claimed
        if record is not None and record.status == "ok":
            states["done"] += 1
        elif busy and (record is None or record.status in REPEATED):
            states["running"] += 1
        else:
            states["not run" if record is None else record.status.replace("_", " ")] += 1
    bad = {s: n for s, n in states.items() if s not in ("done", "running", "not run")}
    return Progress(table, kind, states["done"], states["running"], bad, states["not run"])


def running(plan: Plan, store: Store) -> list[Running]:
    """The tasks that runners have claimed now, those of other tables included."""
    names = {training.id: label(training) for training in plan.trainings}
    return [_running(claim, names) for claim in claims_in(store.claims())]


def _running(claim: Claim, names: dict[str, str]) -> Running:
    gone = claim.owner.gone
    return Running(
        name=names.get(claim.key.removesuffix("-kept"), claim.key),
        host=claim.owner.host,
        process=claim.owner.process,
        alive=None if gone is None else not gone,
        seconds=max(0.0, time.time() - claim.changed),
    )


@dataclass(frozen=True)
class Spent:
    """Work that a device has done: pieces by kind, and hours of training over all its processes."""

    device: str
    pieces: dict[str, int]
    training_hours: float


def spent(plan: Plan, store: Store) -> list[Spent]:
    """Add up the records of `plan` by device."""
    by_device: dict[str, list[Record]] = {}
    for record in _records(plan, store):
        by_device.setdefault(record.provenance.device.name, []).append(record)
    return [
        Spent(device, dict(Counter(record.work.kind for record in records)), _hours(records))
        for device, records in sorted(by_device.items())
    ]


def _records(plan: Plan, store: Store) -> Iterator[Record]:
    works: list[AnyWork] = [*plan.counts, *plan.trainings, *plan.evaluations, *plan.profiles]
    for work in works:
        record = store.load(work)
        if record is not None and record.status == "ok":
            yield record


def _hours(records: list[Record]) -> float:
    results = (record.result for record in records)
    seconds = (r.wall_seconds * r.processes for r in results if isinstance(r, TrainingResult))
    return sum(seconds) / 3600
