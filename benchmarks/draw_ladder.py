"""Draws the speed ladder of a results directory: docs/speed_ladder.png.

python run_ablations.py profile --ladder --communication ifc --window 5 --frame-size 360x640 ...
python benchmarks/draw_ladder.py --results results
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

from ifc_bench.report.ladder import ladder_frame
from ifc_bench.report.plots import speed_ladder
from ifc_bench.store import Store


def main() -> None:
    """Read the options, and draw all rungs in the directory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("docs/speed_ladder.png"))
    given = parser.parse_args()
    figure, axis = plt.subplots(figsize=(7, 3))
    records = Store(given.results, Path("runs")).records("profile")
    speed_ladder(ladder_frame(records), axis)
    figure.tight_layout()
    figure.savefig(given.out, dpi=80)


if __name__ == "__main__":
    main()
