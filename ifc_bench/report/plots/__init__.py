"""Figures from frames; every function draws on the axes it is given and returns them.

Bands and bars are Student's 95% intervals over seeds unless a title says otherwise.
"""

from ifc_bench.report.plots.accuracy import (
    accuracy_over_tokens,
    accuracy_over_windows,
    grouped_bars,
    training_curves,
)
from ifc_bench.report.plots.differences import colour_limit, difference_map
from ifc_bench.report.plots.ladder import speed_ladder
from ifc_bench.report.plots.machines import (
    clip_ms,
    memory_against_gpus,
    profile_over_windows,
    roofline,
)
from ifc_bench.report.plots.style import COLOURS
from ifc_bench.report.plots.tradeoff import accuracy_against_speed

__all__ = [
    "COLOURS",
    "accuracy_against_speed",
    "accuracy_over_tokens",
    "accuracy_over_windows",
    "clip_ms",
    "colour_limit",
    "difference_map",
    "grouped_bars",
    "memory_against_gpus",
    "profile_over_windows",
    "roofline",
    "speed_ladder",
    "training_curves",
]
