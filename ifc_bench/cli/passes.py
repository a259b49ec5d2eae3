"""Options of `profile` for the duration of a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.options import number, share
from ifc_bench.config import Protocol

DEFAULT = Protocol()
_MOST_PROCESSES, _MOST_PASSES, _MOST_SECONDS = 1000, 1_000_000, 86_400


@Parameter(name="*")
@dataclass(frozen=True)
class Passes:
    """Options for the duration of the measurement."""

    processes: Annotated[int, number("Processes per row.", 1, _MOST_PROCESSES)] = DEFAULT.processes
    min_passes: Annotated[int, number("Minimum passes of a process.", 1, _MOST_PASSES)] = (
        DEFAULT.min_passes
    )
    min_seconds: Annotated[float, number("Minimum seconds of a process.", 0.001, _MOST_SECONDS)] = (
        DEFAULT.min_seconds
    )
    max_seconds: Annotated[float, number("Maximum seconds of a process.", 0.001, _MOST_SECONDS)] = (
        DEFAULT.max_seconds
    )
    target: Annotated[
        float,
        number("Target half width of the median's 95% interval, as a fraction of it.", 1e-6, 1),
    ] = DEFAULT.target
    warm_up_seconds: Annotated[
        float,
        number("Seconds of warm-up of a process (on a GPU 3 at least).", 0.001, _MOST_SECONDS),
    ] = DEFAULT.warm_up_seconds
    until: Annotated[
        float | None,
        share(
            "Add processes until the 95% interval between them is within this share of their mean "
            "either way, such as 1%."
        ),
    ] = None
    most_processes: Annotated[
        int, number("Maximum processes per row with --until.", 2, _MOST_PROCESSES)
    ] = DEFAULT.most_processes
