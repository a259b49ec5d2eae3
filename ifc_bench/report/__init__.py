"""From records to tables and figures. Reads records alone; no torch."""

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
