"""Trains the embedded benchmark, one step for each line on stdin.

    python one_training.py COMMUNICATION THREADS BATCHES FILE

Runs the code that PYTHONPATH names, so that `training.py` can time two clones of this project step
by step. Writes to FILE the losses and gradients of the first BATCHES batches at the first weights,
and prints one line of JSON with the median seconds of the parts of these steps. Then prints the
seconds of each step.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import torch

from ablations.presets import FULL
from ifc_bench.config import Training
from ifc_bench.config.variants import VARIANTS
from ifc_bench.data.loading import VideoDataset, draw_batch
from ifc_bench.data.synthetic import synthesize
from ifc_bench.models.build import build_model
from ifc_bench.models.criterion import losses
from ifc_bench.training.trainer import Hooks, Trainer

kind, file = sys.argv[1], Path(sys.argv[4])
threads, batches = map(int, sys.argv[2:4])
torch.set_num_threads(threads)
communication = next(v.communication for v in VARIANTS if v.kind == kind)
model = FULL.model.model_copy(update={"communication": communication})
schedule, data = FULL.video.optimisation, FULL.video.data
parts: dict[str, list[float]] = defaultdict(list)
last = time.perf_counter()


def lap(name: str) -> None:
    """Note the seconds since the last call as a part of the step."""
    global last
    now = time.perf_counter()
    parts[name].append(now - last)
    last = now


def next_step(iteration: int, loss: float) -> None:
    """Print the seconds of a step, and wait for the next line."""
    print(time.perf_counter() - last, flush=True)
    sys.stdin.readline()
    lap("wait")


with tempfile.TemporaryDirectory() as folder:
    synthesize(data, Path(folder) / "data")
    videos = VideoDataset(Path(folder) / "data/train", cached_frames=1 << 20)
    torch.manual_seed(0)
    network = build_model(model).to(memory_format=torch.channels_last).train()
    found = []
    for index in range(batches):
        lap("between")
        batch = draw_batch(videos, schedule, 0, index)
        lap("data")
        prediction = network(batch.clips, batch.valid_sizes)
        lap("forward")
        terms = losses(prediction, batch.targets, schedule.loss)
        lap("losses")
        network.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        lap("backward")
        gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        found.append((torch.stack(list(terms.values())).detach(), gradients))
    torch.save(found, file)
    print(json.dumps({name: median(times) for name, times in parts.items()}), flush=True)
    sys.stdin.readline()
    work = Training(model=model, optimisation=schedule, data=data, seed=0)
    hooks = Hooks(progress=next_step, checkpoint_every=1e9)
    trainer = Trainer(work, videos, Path(folder) / "checkpoint.pt", "cpu", hooks)
    lap("between")
    trainer.run()
