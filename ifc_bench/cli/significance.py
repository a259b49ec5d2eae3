"""`significance`: test which differences of tables exceed noise."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.answers import comparable, with_baseline
from ifc_bench.cli.choice import Choice
from ifc_bench.cli.options import Injected, Style, Tables
from ifc_bench.errors import UserError
from ifc_bench.report.controls import controls_grid
from ifc_bench.report.layout import write
from ifc_bench.report.paper import PaperNumbers
from ifc_bench.report.presence import refuse_nothing
from ifc_bench.report.results import read_all
from ifc_bench.report.significance import paper_grid, significance_grid, situation_grid

_CHOICE = Choice()


def command(
    *tables: Tables,
    choice: Choice = _CHOICE,
    style: Style = "github",
    paper: Annotated[
        bool, Parameter(help="Test the differences in the paper, from its printed numbers.")
    ] = False,
    by_situation: Annotated[bool, Parameter(help="Test the videos of each situation.")] = False,
    recipes: Injected,
) -> None:
    """Test which differences of tables exceed noise, ours or the paper's; from records alone.

    Example: python run_ablations.py significance table3a --preset full
    """
    if paper and by_situation:
        raise UserError("--paper, --by-situation: the paper has no numbers by situation")
    preset, store = choice.resolved(recipes), choice.store()
    chosen = with_baseline(choice.tables(recipes, tables, preset), recipes, preset)
    if paper:
        grids = [paper_grid(table, PaperNumbers()) for table in chosen]
    else:
        found = read_all(chosen, preset, store)
        refuse_nothing(found, preset, store, recipes.tables, recipes.presets)
        ours = situation_grid if by_situation else significance_grid
        asked = comparable(found, store.results)
        grids = [ours(one) for one in asked]
        grids += [controls_grid(one) for one in asked if one.table.controls]
    for grid in grids:
        print(write(grid, style))
