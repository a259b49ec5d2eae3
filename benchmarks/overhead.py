"""Measure the share of a sweep's time in which it neither trains nor evaluates.

    PYTHONPATH=. python benchmarks/overhead.py --seconds 10 60

For each length of a piece of work (a training run with its evaluation) one sweep of them runs
on one worker, as a command of its own. Its wall time is that of the command, from start to table;
the work's is what the records say. Needs a quiet machine.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ifc_bench.records import EvaluationResult, TrainingResult
from ifc_bench.store import Store

ROOT = Path(__file__).resolve().parent.parent
LEAST_SECONDS = 240.0  # of a sweep, so that the start of the command is one part of many
CALIBRATION = 200  # iterations


def swept(iterations: int, seeds: int) -> tuple[float, list[float]]:
    """Seconds of a command, and of each piece of its work."""
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "results", Path(name) / "runs")
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, str(ROOT / "run_ablations.py"), "run", "table3d", "--preset=smoke",
             "--window=5", "--device=cpu", "--workers=1", f"--seeds={seeds}",
             f"--iterations={iterations}", f"--results={store.results}", f"--runs={store.runs}"],
            check=True, capture_output=True,
        )  # fmt: skip
        wall = time.monotonic() - begun
        seconds: dict[str, float] = {}
        for record in store.records("training", "evaluation"):
            result = record.result
            assert isinstance(result, TrainingResult | EvaluationResult)
            work = record.work.training if record.work.kind == "evaluation" else record.work
            seconds[work.id] = seconds.get(work.id, 0.0) + result.wall_seconds
    return wall, list(seconds.values())


def main() -> None:
    """Measure sweeps of pieces of each length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 60.0])
    asked = parser.parse_args()
    _, pieces = swept(CALIBRATION, 1)
    each = sum(pieces) / len(pieces) / CALIBRATION
    print("| seconds of a piece | pieces | seconds of the command | overhead |\n|---|---|---|---|")
    for length in asked.seconds:
        seeds = max(1, round(LEAST_SECONDS / length / 2))
        wall, pieces = swept(round(length / each), seeds)
        share = 1 - sum(pieces) / wall
        mean = sum(pieces) / len(pieces)
        print(f"| {mean:.1f} | {len(pieces)} | {wall:.1f} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main()
