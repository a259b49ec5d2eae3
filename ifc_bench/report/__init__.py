"""From records to tables. Reads records only, and never imports torch."""

from ifc_bench.report.aggregate import Cell, collect, collect_counts, measured_on
from ifc_bench.report.layout import FORMATS
from ifc_bench.report.speeds import Speed
from ifc_bench.report.statistics import Summary, summarise
from ifc_bench.report.tables import render

__all__ = [
    "FORMATS",
    "Cell",
    "Speed",
    "Summary",
    "collect",
    "collect_counts",
    "measured_on",
    "render",
    "summarise",
]
