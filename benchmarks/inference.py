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

ROOT = Path(__file__).resolve().parent.parent
FORMS = ("release", "shared", "folded")
ONE = """
import json, resource, sys, time
import torch
from ifc_bench.config import InterFrame, ModelConfig, RandomWeights
from ifc_bench.measuring.subject import random_network
from ifc_bench.tracking import ClipTracker, track_video

form, threads, frames, window = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
generator = torch.Generator().manual_seed(0)
video = torch.randint(0, 256, (frames, 3, 360, 640), dtype=torch.uint8, generator=generator)
weights = RandomWeights(model=ModelConfig(communication=InterFrame(memory_tokens=8)))
network = random_network(weights, torch.device("cpu"), video[:5])
if form != "as it is":
    from ifc_bench.models.inference_form import inference_form

    network = inference_form(network, form)
network = network.to(memory_format=torch.channels_last)
taken = []
for _ in range(2):  # the first pass is not counted
    begun = time.perf_counter()
    tracker = ClipTracker((360, 640))
    tracks = track_video(network, lambda i: video[i], frames, tracker, window or None)
    taken.append(time.perf_counter() - begun)
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
megabytes = kilobytes / (1024 if sys.platform != "darwin" else 1024**2)
print(json.dumps({"seconds": taken[-1], "megabytes": megabytes, "tracks": len(tracks)}))
"""


def measured(clone: Path, form: str, threads: int, frames: int, window: int) -> dict[str, float]:
    """One process of the code in `clone`: seconds of a pass, peak resident memory, tracks."""
    done = subprocess.run(
        [sys.executable, "-c", ONE, form, str(threads), str(frames), str(window)],
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
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(runs, first, strict=True)]
        print(
            f"{name}: {median(run['seconds'] for run in runs):.2f} s, ratio {median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}), "
            f"peak {median(run['megabytes'] for run in runs):.0f} MiB, n = {given.times}"
        )


if __name__ == "__main__":
    main()
