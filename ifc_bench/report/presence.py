"""Refuses empty answers: an error that names the records that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ifc_bench.config import Data, Evaluation, FolderData, Optimisation
from ifc_bench.errors import UserError
from ifc_bench.recipe import AnyTable, Preset
from ifc_bench.report.results import AnyResults, comparing, read_all
from ifc_bench.store import Store

_Recipes = Mapping[str, Callable[[Preset], AnyTable]]


def refuse_nothing(
    found: Sequence[AnyResults],
    preset: Preset,
    store: Store,
    recipes: _Recipes,
    presets: Mapping[str, Preset],
) -> None:
    """Check that one of the tables has a record.

    Counts of MACs belong to no preset, so tables of them pass only where nothing else is requested.
    Tables of methods have published rows in any case.

    Raises:
        UserError: where nothing is there; it names the records that are.
    """
    trained = [one for one in found if comparing(one)]
    if trained:
        if not any(one.recorded for one in trained):
            tables = [one.table for one in trained]
            raise UserError(_nothing(tables, preset, store, recipes, presets))
        return
    if not any(one.recorded or one.table.published for one in found):
        uncounted = [one.table for one in found]
        raise UserError(
            f"{_names(uncounted)}: nothing is counted under {store.results}; do it first: "
            f"run {_named(uncounted)}"
        )


def _names(tables: Sequence[AnyTable]) -> str:
    return ", ".join(table.name for table in tables)


def _named(tables: Sequence[AnyTable]) -> str:
    return " ".join(table.name for table in tables)


def _nothing(
    tables: Sequence[AnyTable],
    preset: Preset,
    store: Store,
    recipes: _Recipes,
    presets: Mapping[str, Preset],
) -> str:
    text = f"no records of preset {preset.name} under {store.results} for {_names(tables)}"
    groups = list(_groups(store))
    if not groups:
        return f"{text}; do the work first: run {_named(tables)} --preset {preset.name}"
    found = [_Found.of(group, presets, recipes) for group in groups]
    there = [one for one in found if one.preset and _fits(tables, one.preset, store, recipes)]
    if there:
        named = ", ".join(dict.fromkeys(one.told for one in there))
        options = " or ".join(dict.fromkeys(one.option for one in there))
        return f"{text}; there are records of {named}: add {options}"
    count = sum(group.count for group in groups)
    named = ", ".join(dict.fromkeys(one.told for one in found))
    return f"{text}; the {count} evaluations there are of other tables or options: {named}"


@dataclass
class _Group:
    """Evaluations of one schedule and data set."""

    optimisation: Optimisation
    data: Data
    seeds: set[int] = field(default_factory=set)
    windows: set[int] = field(default_factory=set)
    count: int = 0


def _groups(store: Store) -> Iterator[_Group]:
    found: dict[tuple[Optimisation, Data], _Group] = {}
    for record in store.records("evaluation"):
        if not isinstance(record.work, Evaluation):
            continue
        training = record.work.training
        key = (training.optimisation, training.data)
        group = found.setdefault(key, _Group(*key))
        group.seeds.add(training.seed)
        group.windows.update([record.work.window] if record.work.window else [])
        group.count += 1
    yield from found.values()


@dataclass(frozen=True)
class _Found:
    """A group in a user's words, and what to add to a command to see it.

    `preset` is the one behind the group, with its seeds, windows, iterations and data; None where
    there is no such preset.
    """

    told: str
    option: str
    preset: Preset | None

    @classmethod
    def of(cls, group: _Group, presets: Mapping[str, Preset], recipes: _Recipes) -> _Found:
        schedule, iterations = group.optimisation, group.optimisation.iterations
        same = {key: schedule in _schedules(one, recipes) for key, one in presets.items()}
        alike = [
            preset
            for key, preset in presets.items()
            if same[key] or schedule in _schedules(preset.of_length(iterations=iterations), recipes)
        ]
        beside = [f"n = {len(group.seeds)}"]
        if isinstance(group.data, FolderData):
            beside.insert(0, f"data {group.data.name}")
        if not alike:
            return cls(f"{iterations} iterations ({', '.join(beside)})", "", None)

        def nearness(preset: Preset) -> tuple[bool, bool]:
            known = group.data in (preset.video.data, preset.image.data)
            return known, same[preset.name]

        base = max(alike, key=nearness)
        same_data, same_length = nearness(base)
        option = f"--preset {base.name}"
        if not same_length:
            beside.insert(0, f"{iterations} iterations")
            option += f" --iterations {iterations}"
        option += "" if same_data else " --data DIRECTORY"
        changes: dict[str, object] = {"seeds": max(group.seeds) + 1}
        changes |= {"windows": tuple(sorted(group.windows))} if group.windows else {}
        preset = base if same_length else base.of_length(iterations=iterations)
        if not same_data:
            changes["video"] = preset.video.model_copy(update={"data": group.data})
        return cls(f"{base.name} ({', '.join(beside)})", option, preset.model_copy(update=changes))


def _schedules(preset: Preset, recipes: _Recipes) -> set[Optimisation]:
    """The schedules of all rows of all tables: a row may vary any part of its preset's."""
    return {one.optimisation for recipe in recipes.values() for one in recipe(preset).recipes}


def _fits(tables: Sequence[AnyTable], preset: Preset, store: Store, recipes: _Recipes) -> bool:
    """Whether one of `tables`, made for `preset`, has a record."""
    again = [recipes[table.name](preset) for table in tables if table.name in recipes]
    return any(one.recorded for one in read_all(again, preset, store))
