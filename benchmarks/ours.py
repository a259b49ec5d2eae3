"""Scores files with ifc_bench in a process that is up: `python ours.py TRUTH RESULTS`.

Prints one line of JSON: the times of `--repeat` calls, after one that is not counted. `--out` keeps
the arrays.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from ifc_bench.api import evaluate
from ifc_bench.data.annotations import read_instances
from ifc_bench.evaluation import read_predictions, score_videos


def main() -> None:
    """Read the options, score, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("truth", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--repeat", type=int, default=0, help="Calls that are timed.")
    parser.add_argument("--out", type=Path, help="An .npz for precision, recall and the summary.")
    given = parser.parse_args()
    times = []
    for _ in range(given.repeat + 1):
        begun = (time.perf_counter(), time.process_time())
        evaluate(given.truth, given.results)
        times.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    if given.out:
        truth = read_instances(given.truth)
        scores = score_videos(truth, read_predictions(given.results, truth))
        precision, recall = scores.curves()
        stats = list(scores.summary().values())
        np.savez(given.out, precision=precision, recall=recall, stats=stats)
    print(json.dumps(times[1:]))


if __name__ == "__main__":
    main()
