"""Presets (sizes and budgets), and tables of rows that vary a preset's recipe.

`ablations/` defines them; `ifc_bench.sweep.plan` turns them into work.
"""

from ifc_bench.recipe.control import Contrast, Control, Expected
from ifc_bench.recipe.overrides import overridden
from ifc_bench.recipe.preset import DataSize, Preset, Stage, varied
from ifc_bench.recipe.row import Changes, Row
from ifc_bench.recipe.table import (
    AnyTable,
    CountedRow,
    Metric,
    Table,
    TableOfCounts,
    TableOfMethods,
)

__all__ = [
    "AnyTable",
    "Changes",
    "Contrast",
    "Control",
    "CountedRow",
    "DataSize",
    "Expected",
    "Metric",
    "Preset",
    "Row",
    "Stage",
    "Table",
    "TableOfCounts",
    "TableOfMethods",
    "overridden",
    "varied",
]
