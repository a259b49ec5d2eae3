"""From records to tables and figures. Reads records alone; no torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifc_bench.report.cells import Cell
    from ifc_bench.report.layout import FORMATS
    from ifc_bench.report.results import Counts, Results, read_results
    from ifc_bench.report.speeds import Speed
    from ifc_bench.report.statistics import Summary, summarise
    from ifc_bench.report.tables import render

__all__ = [
    "FORMATS",
    "Cell",
    "Counts",
    "Results",
    "Speed",
    "Summary",
    "read_results",
    "render",
    "summarise",
]

_MODULES = {
    "FORMATS": "layout",
    "Cell": "cells",
    "Counts": "results",
    "Results": "results",
    "Speed": "speeds",
    "Summary": "statistics",
    "read_results": "results",
    "render": "tables",
    "summarise": "statistics",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `report.quantities` must be importable without pandas and scipy."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
