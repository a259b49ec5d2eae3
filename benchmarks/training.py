"""Times training steps of the embedded benchmark, beside another clone, step by step.

    python benchmarks/training.py --steps 60
    python benchmarks/training.py --communication none --beside path/to/another/clone

One process for each clone; they take steps in turn, so that other work on the machine affects
both. Also compares losses and gradients of the first batches at the same weights.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from evaluator import ratios

HERE = Path(__file__).resolve().parent
ROOT, ONE_TRAINING = HERE.parent, HERE / "one_training.py"
WARM = 31  # the steps of an epoch, in which frames are read from files


class Clone:
    """A process that trains with the code of `root`, one step at a time."""

    def __init__(self, root: Path, kind: str, threads: int, batches: int, file: Path) -> None:
        self.seconds = list[float]()
        self.process = subprocess.Popen(
            [sys.executable, str(ONE_TRAINING), kind, str(threads), str(batches), str(file)],
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads)},
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.parts: dict[str, float] = json.loads(self.answer())

    def answer(self) -> str:
        """The next line that the process prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("error: the training process ended; its message is above")
        return line

    def step(self) -> None:
        """Take one step."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.answer()))


def distances(one: Path, other: Path) -> tuple[float, float]:
    """The largest relative difference of losses, and of gradients (of a parameter's norm)."""
    of_losses, of_gradients = [0.0], [0.0]
    batches = [torch.load(file, weights_only=True) for file in (one, other)]
    for (loss, gradients), (their_loss, theirs) in zip(*batches, strict=True):
        of_losses.append(((loss - their_loss).abs() / their_loss.abs()).max().item())
        for name, gradient in gradients.items():
            distance = (gradient - theirs[name]).norm() / theirs[name].norm().clamp(min=1e-12)
            of_gradients.append(distance.item())
    return max(of_losses), max(of_gradients)


def main() -> None:
    """Read the options, train in turn, and print medians, ratios and differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40, help=f"After {WARM} that are not counted.")
    parser.add_argument("--batches", type=int, default=20, help="Whose gradients are compared.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--communication", default="ifc", help="none, full, decomposed or ifc.")
    parser.add_argument("--beside", type=Path, help="Another clone of this project.")
    given = parser.parse_args()
    roots = [ROOT] if given.beside is None else [given.beside.resolve(), ROOT]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.pt" for number in range(len(roots))]
        fixed = (given.communication, given.threads, given.batches)
        clones = [Clone(root, *fixed, file) for root, file in zip(roots, files, strict=True)]
        for turn in range(WARM + given.steps):
            for clone in clones if turn % 2 else clones[::-1]:
                clone.step()
        first = clones[0].seconds[WARM:]
        for root, clone in zip(roots, clones, strict=True):
            clone.process.kill()
            taken = clone.seconds[WARM:]
            parts = ", ".join(f"{name} {1e3 * s:.0f}" for name, s in clone.parts.items())
            print(
                f"{root}: {median(taken):.3f} s a step, ratio {ratios(taken, first)}; ms: {parts}"
            )
        if len(files) == 2:
            print(
                "largest relative difference: losses {:.1e}, gradients {:.1e}".format(
                    *distances(*files)
                )
            )


if __name__ == "__main__":
    main()
