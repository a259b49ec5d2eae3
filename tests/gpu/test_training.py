"""Training on a GPU: resuming, loading ahead, and NCCL in one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ifc_bench.config import Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.trainer import Trainer
from tests.conftest import ROOT, tiny_model
from tests.training.test_trainer import StoppedError, work

_NCCL = """
import json, sys
from pathlib import Path
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from ifc_bench.data.loading import VideoDataset
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.trainer import Trainer
from tests.training.test_trainer import work


class Wrapped(Trainer):
    def _wrapped(self):
        return DistributedDataParallel(self.model, device_ids=[0])


data, checkpoint, out, meeting = map(Path, sys.argv[1:])
dist.init_process_group("nccl", init_method=f"file://{meeting}", rank=0, world_size=1)
total = torch.ones(3, device="cuda:0")
dist.all_reduce(total)
assert total.tolist() == [1, 1, 1]
curves = Wrapped(work(), VideoDataset(data), checkpoint, "cuda:0", Hooks()).run()
out.write_text(json.dumps(curves.loss))
dist.destroy_process_group()
"""


def losses_of(
    training: Training, data: Path, path: Path, device: str = "cuda:0", **hooks: object
) -> list[float]:
    return Trainer(training, VideoDataset(data), path, device, Hooks(**hooks)).run().loss


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_resumed_training_has_the_same_curve(precision, data_folder, tmp_path):
    training, data = work(precision=precision), data_folder / "train"
    whole = losses_of(training, data, tmp_path / "whole.pt")

    def stop(done: int, loss: float) -> None:
        if done == 4:
            raise StoppedError

    path = tmp_path / "parts.pt"
    with pytest.raises(StoppedError):
        losses_of(training, data, path, progress=stop, checkpoint_every=0.0)
    assert losses_of(training, data, path) == pytest.approx(whole, rel=1e-3)


def test_losses_are_near_those_of_the_cpu(data_folder, tmp_path):
    """Without dropout, whose masks differ; later losses drift apart by rounding."""
    training = work().model_copy(update={"model": tiny_model(dropout=0.0)})
    ours = losses_of(training, data_folder / "train", tmp_path / "gpu.pt")
    theirs = losses_of(training, data_folder / "train", tmp_path / "cpu.pt", device="cpu")
    assert ours[:2] == pytest.approx(theirs[:2], rel=1e-3)


def test_loaders_pin_what_they_load(data_folder, tmp_path):
    trainer = Trainer(
        work(), VideoDataset(data_folder / "train"), tmp_path / "a.pt", "cuda:0", Hooks(loaders=1)
    )
    batch = next(trainer._batches(work().optimisation))
    assert batch.clips.is_pinned()
    assert all(target.masks.is_pinned() for target in batch.targets)


def test_nccl_in_one_process_gives_the_losses_of_none(data_folder, tmp_path):
    """One process: gradients go through NCCL and DistributedDataParallel all the same."""
    script, out = tmp_path / "nccl.py", tmp_path / "losses.json"
    script.write_text(_NCCL)
    data = data_folder / "train"
    done = subprocess.run(
        [sys.executable, str(script), str(data), str(tmp_path / "nccl.pt"), str(out),
         str(tmp_path / "meeting")],
        capture_output=True, text=True, cwd=ROOT, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    alone = losses_of(work(), data, tmp_path / "alone.pt")
    assert json.loads(out.read_text()) == pytest.approx(alone, rel=1e-3)
