"""Iterations of a training run for a dry run: the trainer's own, whole or in parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from ifc_bench.config import Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.transforms import Batch
from ifc_bench.errors import UserError
from ifc_bench.training.hooks import Hooks
from ifc_bench.training.trainer import Trainer


class Rehearsal(Trainer):
    """A trainer whose iterations are called one by one; it starts from fresh weights."""

    def __init__(self, work: Training, data: VideoDataset, path: Path, device: str) -> None:
        super().__init__(work, data, path, device, Hooks())
        # A real run begins at a scale of 65536, which skips its first steps until it has fallen:
        # without them there is no step to time, and no moments of AdamW in memory.
        enabled = self.scaler.is_enabled()
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=1.0, enabled=enabled)

    def moments_bytes(self) -> int:
        """Return the size of what AdamW keeps."""
        kept = (value for state in self.optimiser.state.values() for value in state.values())
        return sum(v.numel() * v.element_size() for v in kept if isinstance(v, torch.Tensor))

    def batches(self) -> Iterator[Batch]:
        """Yield the first batches of the training run."""
        return self._batches(self.work.optimisation)

    def step(self, batch: Batch, at_a_time: int) -> None:
        """Run one iteration with `at_a_time` clips of `batch` in memory at a time.

        Raises:
            UserError: if the loss or its gradient is not finite.
        """
        before = self.iteration
        self.hooks.clips_at_once = at_a_time
        self._step(self.work.optimisation, batch)
        if self.iteration == before:
            raise UserError(
                f"training {self.work.id}: the loss or its gradient is not finite at iteration "
                f"{before} from fresh weights; a dry run needs finite ones"
            )

    def save(self) -> int:
        """Write a checkpoint; returns its size in bytes."""
        self._save()
        return self.path.stat().st_size
