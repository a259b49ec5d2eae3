"""Scores files with the YouTube-VIS API: `python theirs.py CLONE TRUTH RESULTS`.

Runs in a process of its own, for the API's package has the name of pycocotools too. Prints one line
of JSON: the times of `--repeat` calls, after one that is not counted. `--out` keeps the arrays.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Read the options, score, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clone", type=Path, help="A clone of youtubevos/cocoapi, built in place.")
    parser.add_argument("truth")
    parser.add_argument("results")
    parser.add_argument("--repeat", type=int, default=0, help="Calls that are timed.")
    parser.add_argument("--out", type=Path, help="An .npz for precision, recall and the summary.")
    given = parser.parse_args()
    sys.path.insert(0, str(given.clone / "PythonAPI"))
    from pycocotools.ytvos import YTVOS
    from pycocotools.ytvoseval import YTVOSeval

    times = []
    for _ in range(given.repeat + 1):
        begun = (time.perf_counter(), time.process_time())
        with contextlib.redirect_stdout(io.StringIO()):  # it prints its steps
            truth = YTVOS(given.truth)
            evaluator = YTVOSeval(truth, truth.loadRes(given.results), "segm")
            evaluator.evaluate()
            evaluator.accumulate()
            evaluator.summarize()
        times.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    if given.out:
        arrays = {name: evaluator.eval[name] for name in ("precision", "recall", "scores")}
        np.savez(given.out, **arrays, stats=evaluator.stats)
    print(json.dumps(times[1:]))


if __name__ == "__main__":
    main()
