"""Times the evaluator, and the YouTube-VIS API beside it, on the same synthetic files.

    python benchmarks/evaluator.py --classes 3 40 --times 5 --api path/to/cocoapi

Without --api only our own times are printed. The API is youtubevos/cocoapi, built in place
(`python setup.py build_ext --inplace` in its PythonAPI). With a current NumPy it needs four
changes: `np.float` and `np.NPY_OWNDATA` have other names, and two counts given to `linspace` must
be int. The two programs run in turn, so that other work on the machine affects both. CPU time is
user and system time; other processes change it least.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from workload import Workload, write

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@dataclass(frozen=True)
class Run:
    """One process: seconds on the clock and of the CPU, the largest resident set, its output."""

    wall: float
    cpu: float
    megabytes: float
    printed: str


def timed(command: list[str]) -> Run:
    """Run `command` to its end.

    Raises:
        RuntimeError: where it fails; with what it printed.
    """
    begun = time.perf_counter()
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        output.seek(0)
        printed = output.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {printed}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Run(wall, usage.ru_utime + usage.ru_stime, kilobytes / 1024, printed)


def ratios(ours: list[float], theirs: list[float]) -> str:
    """Ours in parts of theirs: of the medians, and from the least to the most of the turns."""
    turns = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{median(ours) / median(theirs):.3f} ({min(turns):.3f} to {max(turns):.3f})"


def compare(title: str, ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> None:
    """Print medians of (wall, CPU) seconds, and their ratios where there are theirs."""
    for place, clock in enumerate(("wall", "CPU")):
        mine = [run[place] for run in ours]
        line = f"  {title}, {clock} s: ours {median(mine):.2f}"
        if theirs:
            other = [run[place] for run in theirs]
            line += f", API {median(other):.2f}, ratio {ratios(mine, other)}"
        print(line, flush=True)


def equal_arrays(ours: Path, theirs: Path) -> None:
    """Print whether precision, recall and the twelve numbers are the same to all digits."""
    mine, other = np.load(ours), np.load(theirs)
    for name in mine.files:
        same = np.array_equal(mine[name], other[name])
        print(f"  {name} {mine[name].shape}: {'equal' if same else 'DIFFERENT'}")


def measure(work: Workload, folder: Path, times: int, api: Path | None) -> None:
    """Write the files of `work`, run both programs in turn, and print what they took."""
    with ProcessPoolExecutor(1, get_context("spawn")) as other:  # a child starts as large as this
        files = [str(path) for path in other.submit(write, work, folder).result()]
    size = Path(files[1]).stat().st_size / 1e6
    print(f"{work.classes} classes: {work.videos * work.predictions} predictions, {size:.0f} MB")
    given = [f"--ground-truth={files[0]}", f"--predictions={files[1]}"]
    programs = {"ours": [str(ROOT / "run_ablations.py"), "evaluate", *given]}
    calls = {"ours": [str(HERE / "ours.py"), *files]}
    if api is not None:
        programs["api"] = calls["api"] = [str(HERE / "theirs.py"), str(api), *files]
    whole: dict[str, list[Run]] = {name: [] for name in programs}
    inside: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
    for _ in range(times):
        for name, command in programs.items():
            whole[name].append(timed(command))
        for name, command in calls.items():
            inside[name] += json.loads(timed([*command, "--repeat=1"]).printed)
    seconds = {name: [(run.wall, run.cpu) for run in runs] for name, runs in whole.items()}
    compare("whole command", seconds["ours"], seconds.get("api", []))
    compare("in a process that is up", inside["ours"], inside.get("api", []))
    for name, runs in whole.items():
        print(f"  peak memory, {name}: {median(run.megabytes for run in runs):.0f} MiB")
    if api is not None:
        kept = {name: folder / f"{name}.npz" for name in calls}
        for name, command in calls.items():
            timed([*command, f"--out={kept[name]}"])
        equal_arrays(kept["ours"], kept["api"])


def main() -> None:
    """Read the options and measure each number of classes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classes", type=int, nargs="+", default=[3, 40])
    parser.add_argument("--videos", type=int, default=50)
    parser.add_argument("--times", type=int, default=5, help="Turns of each program.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--api", type=Path, help="A clone of youtubevos/cocoapi, built in place.")
    parser.add_argument("--folder", type=Path, help="Keep the files here. Default: nowhere.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        for classes in given.classes:
            work = Workload(classes, videos=given.videos, seed=given.seed)
            measure(work, folder / f"{classes}-classes", given.times, given.api)


if __name__ == "__main__":
    main()
