"""Times the clip tracker alone, beside another clone: windows of logits in, run-length masks out.

    python benchmarks/tracker.py --times 5 --beside path/to/another/clone

Synthetic discs that move, T = 5 at S = 1, logits 90x160, masks 360x640; one thread. `--steepness`
is how fast a logit falls for each cell away from a disc: 0.1 are hesitant masks, 1 confident ones,
whose probabilities far away are about e-100. Also compares the masks of the two clones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from evaluator import ratios

from ifc_bench.tracking import ClipTracker
from ifc_bench.tracking.windows import windows

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH, WINDOW = 90, 160, 5


def scene(frames: int, instances: int, steepness: float) -> torch.Tensor:
    """Logits [I, L, h, w] of discs that move in straight lines."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([HEIGHT, WIDTH])
    starts = torch.rand(instances, 2, generator=generator) * size
    steps = 0.3 * torch.randn(instances, 2, generator=generator)
    radii = 4 + 10 * torch.rand(instances, generator=generator)
    centres = starts[:, None] + steps[:, None] * torch.arange(frames)[None, :, None]
    rows = torch.arange(HEIGHT)[:, None] - centres[..., 0, None, None]
    across = torch.arange(WIDTH) - centres[..., 1, None, None]
    return steepness * (radii[:, None, None, None] - (rows**2 + across**2).sqrt())


def once(frames: int, instances: int, steepness: float) -> dict[str, object]:
    """Seconds of the second pass of two, the number of tracks, and a hash of their masks."""
    torch.set_num_threads(1)
    logits = scene(frames, instances, steepness)
    noise = 0.5 * torch.randn(
        instances, WINDOW, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)
    )
    classes = torch.zeros(instances, 41)
    classes[:, 3] = 1
    for _ in range(2):
        seconds = 0.0
        tracker = ClipTracker((4 * HEIGHT, 4 * WIDTH))
        with torch.inference_mode():
            for window in windows(frames, WINDOW, 1):
                seen = logits[:, window.start : window.stop] + noise
                begun = time.perf_counter()
                tracker.update(window, classes, seen)
                seconds += time.perf_counter() - begun
            begun = time.perf_counter()
            tracks = tracker.tracks()
            seconds += time.perf_counter() - begun
    masks = json.dumps([track.segmentations for track in tracks]).encode()
    digest = hashlib.sha256(masks).hexdigest()
    return {"seconds": seconds, "tracks": len(tracks), "masks": digest}


def main() -> None:
    """Read the options, time each clone in turn, and compare times and masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--instances", type=int, default=30)
    parser.add_argument("--steepness", type=float, default=0.1)
    parser.add_argument("--beside", type=Path, help="Another clone of this project.")
    parser.add_argument("--once", action="store_true", help="This code alone; prints JSON.")
    given = parser.parse_args()
    workload = (given.frames, given.instances, given.steepness)
    if given.once:
        print(json.dumps(once(*workload)))
        return
    roots = [ROOT] if given.beside is None else [given.beside.resolve(), ROOT]
    found: list[list[dict[str, object]]] = [[] for _ in roots]
    names = ("--frames", "--instances", "--steepness")
    options = [f"{name}={value}" for name, value in zip(names, workload, strict=True)]
    for _ in range(given.times):
        for root, runs in zip(roots, found, strict=True):
            done = subprocess.run(
                [sys.executable, __file__, "--once", *options],
                env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
            runs.append(json.loads(done.stdout))
    times = [[float(str(run["seconds"])) for run in runs] for runs in found]
    for root, taken, runs in zip(roots, times, found, strict=True):
        ratio = ratios(taken, times[0])
        print(f"{root}: {median(taken):.2f} s, ratio {ratio}, {runs[0]['tracks']} tracks")
    print(f"masks equal: {len({str(run['masks']) for runs in found for run in runs}) == 1}")


if __name__ == "__main__":
    main()
