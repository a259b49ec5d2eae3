"""Times inference over one video of noise, in each order of operations, in turn.

    python benchmarks/inference.py --times 5 --threads 2
    python benchmarks/inference.py --offline --beside path/to/another/clone

Random weights of the paper's network (ResNet-50, IFC with M = 8), about ten instances a window,
36 frames 360x640, from frames in memory to run-length masks. `--beside` names another clone of this
project, such as an older commit: it runs in turn with this one, in its own process each time, so
that other work on the machine affects both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from evaluator import ratios

HERE = Path(__file__).resolve().parent
ROOT, ONE_PASS = HERE.parent, HERE / "one_pass.py"
FORMS = ("release", "shared", "folded")


def measured(clone: Path, form: str, threads: int, frames: int, window: int) -> dict[str, float]:
    """One process of the code in `clone`: seconds of a pass, peak resident memory, tracks."""
    done = subprocess.run(
        [sys.executable, str(ONE_PASS), form, str(threads), str(frames), str(window)],
        env={**os.environ, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": str(threads)},
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Read the options, measure in turn, and print medians and ratios to the first program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5, help="Turns.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=36)
    parser.add_argument("--window", type=int, default=5, help="T of near-online windows, S = 1.")
    parser.add_argument("--offline", action="store_true", help="One window for the whole video.")
    parser.add_argument("--beside", type=Path, help="Another clone of this project.")
    given = parser.parse_args()
    programs = {form: (ROOT, form) for form in FORMS}
    if given.beside:
        programs = {"beside": (given.beside.resolve(), "as it is"), **programs}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    window = 0 if given.offline else given.window
    for turn in range(given.times):
        for name, (clone, form) in programs.items():
            found[name].append(measured(clone, form, given.threads, given.frames, window))
            print(f"turn {turn + 1}: {name} {found[name][-1]}", flush=True)
    first = next(iter(found.values()))
    for name, runs in found.items():
        ours, theirs = ([run["seconds"] for run in taken] for taken in (runs, first))
        print(
            f"{name}: {median(ours):.2f} s, ratio {ratios(ours, theirs)}, "
            f"peak {median(run['megabytes'] for run in runs):.0f} MiB, n = {given.times}"
        )


if __name__ == "__main__":
    main()
