"""Prints tables with their verdicts, in the same way for `run` and `report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ifc_bench.cli.recipes import Recipes
from ifc_bench.config import SyntheticData
from ifc_bench.data.situations import names as situations_of
from ifc_bench.errors import UserError
from ifc_bench.file_io import write_text
from ifc_bench.recipe import AnyTable, Preset
from ifc_bench.report.controls import controls_grid
from ifc_bench.report.controls_in_words import answers, committed_answers, in_words
from ifc_bench.report.layout import Format, Grid, span, write
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.presence import refuse_nothing
from ifc_bench.report.results import AnyResults, Results, comparing, read_all, read_results
from ifc_bench.report.tables import lay_out
from ifc_bench.report.verdict import SMOKE, verdict
from ifc_bench.store import COMMITTED, Store

_BASELINE_PRESET = "full"


@dataclass(frozen=True)
class Answers:
    """Source of the records, and format of the printed tables."""

    recipes: Recipes
    preset: Preset
    store: Store
    style: Format = "github"
    paper: PaperNumbers | None = None
    situation: str | None = None

    def text(self, results: AnyResults) -> str:
        """Format the table of `results`, with its verdict below; then its controls, if any.

        JSON and CSV are read by programs: one document a table, without the controls.
        """
        grid = lay_out(results, self.paper, self.situation)
        committed = committed_results(results.table, self.recipes)
        grid.foot += verdict(results, self.situation, committed)
        grid.foot += _of_committed_controls(results)
        text = write(grid, self.style)
        if comparing(results) and results.table.controls and self.style not in ("json", "csv"):
            text += "\n" + write(_controls(results), self.style)
        return text

    def refuse_empty(self, found: Sequence[AnyResults]) -> None:
        """Refuse tables that would be empty; with the paper's numbers, a table is not empty.

        Raises:
            UserError: if there is no record, or no such situation; it names those that exist.
        """
        if self.situation is not None:
            self._refuse_situation(found, self.situation)
        if self.paper is None or self.situation is not None:
            recipes = self.recipes
            refuse_nothing(found, self.preset, self.store, recipes.tables, recipes.presets)

    def _refuse_situation(self, found: Sequence[AnyResults], situation: str) -> None:
        plain = [one for one in found if comparing(one)]
        if not plain:
            names = ", ".join(one.table.name for one in found)
            raise UserError(f"--situation: {names}: has no accuracies by situation")
        there = [name for one in plain for name in one.situations]
        data = self.preset.video.data
        if not there and isinstance(data, SyntheticData):
            there = list(situations_of(data.generator))
        if there and situation not in there:
            names = ", ".join(dict.fromkeys(there))
            raise UserError(f"--situation: {situation[:60]!r} is none of {names}")


def print_and_keep(tables: Sequence[AnyTable], answers: Answers) -> None:
    """Write tables to the results directory, then print them, so that a closed pipe loses nothing.

    Raises:
        OSError: if they cannot be written; they are printed anyway.
    """
    texts = [answers.text(one) for one in read_all(tables, answers.preset, answers.store)]
    refused: OSError | None = None
    for table, text in zip(tables, texts, strict=True):
        path = answers.store.table_path(f"{table.name}-{answers.preset.name}")
        try:
            write_text(path, text)
        except OSError as error:
            refused = refused or error
    for text in texts:
        print(text)
    if refused is not None:
        raise refused


def comparable(read: Sequence[AnyResults], folder: Path) -> list[Results]:
    """Select results with a row that can be compared with the baseline row; report the others.

    `folder` is the directory of the records, for messages.

    Raises:
        UserError: if there are none.
    """
    results = [one for one in read if comparing(one)]
    found = [one for one in results if one.differences]
    lost = [
        f"{one.table.name}: no row can be compared with {one.table.baseline}, because one of them "
        f"has no records of preset {one.preset.name} under {folder}"
        for one in results
        if not one.differences
    ]
    if not found:
        raise UserError("; ".join(lost))
    for note in lost:
        tell(note)
    return found


def with_baseline(tables: Sequence[AnyTable], recipes: Recipes, preset: Preset) -> list[AnyTable]:
    """Select the tables that have a baseline row; report the others.

    Raises:
        UserError: if there are none; it names the tables that have one.
    """
    found = [table for table in tables if table.baseline is not None]
    others = ", ".join(table.name for table in tables if table not in found)
    if not found:
        made = {name: recipe(preset) for name, recipe in recipes.tables.items()}
        there = [n for n, t in made.items() if t.baseline is not None]
        raise UserError(
            f"TABLE: {others}: no baseline row to compare with; {', '.join(there)} have one"
        )
    if others:
        tell(f"{others}: no baseline row to compare with")
    return found


def _controls(results: Results) -> Grid:
    """The controls of a table, with what they found in words."""
    grid = controls_grid(results)
    found = in_words(answers(grid.values, results.table.baseline))
    return grid if not found else replace(grid, foot=[*grid.foot, f"Verdict: {found}"])


def _of_committed_controls(results: AnyResults) -> list[str]:
    """Sentences on the committed baseline's controls, below a table of modules that has none."""
    if not comparing(results) or results.table.controls or not results.table.compares_modules:
        return []
    if not all(isinstance(one.data, SyntheticData) for one in results.table.recipes):
        return []
    baseline = results.table.baseline
    if baseline is None or results.preset.name == SMOKE:
        return []
    found = committed_answers(COMMITTED / "report" / "tables" / "decide-controls.json", baseline)
    if not found:
        return []
    n = span([one.seeds for one in found])
    return [f"Controls of the committed baseline (n = {n}): {in_words(found)}"]


def tell(note: str) -> None:
    """Print a note on stderr."""
    print(f"note: {note}", file=sys.stderr)


def committed_results(table: AnyTable, recipes: Recipes) -> Results | None:
    """Read the same table of the committed baseline; None if this copy does not have it."""
    if not (COMMITTED / "evaluations").is_dir() or _BASELINE_PRESET not in recipes.presets:
        return None
    preset = recipes.presets[_BASELINE_PRESET]
    if table.name not in recipes.tables:
        return None
    theirs = read_results(recipes.tables[table.name](preset), preset, Store(COMMITTED, Path()))
    return theirs if comparing(theirs) else None
