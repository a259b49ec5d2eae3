"""Iterations of a training run for a dry run: the trainer's own, whole or in parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from ifc_bench.config import Training
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.transforms import Batch
from ifc_bench.errors import UserError
from ifc_bench.models.criterion import losses
from ifc_bench.training.schedule import set_rate
from ifc_bench.training.trainer import Hooks, Trainer


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

        With fewer than the batch has, gradients are accumulated: forward and backward of each part,
        then one optimiser step. Each part's loss has its own normalisers and is divided by the
        number of parts. Time and memory are those of exact accumulation, the gradient is not.

        Raises:
            UserError: if the loss or its gradient is not finite.
        """
        before = self.iteration
        if at_a_time >= len(batch.targets):
            self._step(self.work.optimisation, batch)
        else:
            self._step_in_parts(parts(batch, at_a_time))
        if self.iteration == before:
            raise UserError(
                f"training {self.work.id}: the loss or its gradient is not finite at iteration "
                f"{before} from fresh weights; a dry run needs finite ones"
            )

    def save(self) -> int:
        """Write a checkpoint; returns its size in bytes."""
        self._save()
        return self.path.stat().st_size

    def _step_in_parts(self, batches: list[Batch]) -> None:
        """Run one iteration as `Trainer` does, with gradients accumulated over `batches`."""
        schedule = self.work.optimisation
        torch.manual_seed(self._dropout_seed())
        set_rate(self.optimiser, schedule, self.iteration)
        self.optimiser.zero_grad()
        total = torch.zeros((), device=self.device)
        for batch in batches:
            targets = [target.to(self.device) for target in batch.targets]
            sizes = None if batch.valid_sizes is None else batch.valid_sizes.to(self.device)
            with self._precision(schedule):
                prediction = self._forward(batch.clips.to(self.device, non_blocking=True), sizes)
            terms = losses(prediction, targets, schedule.loss)
            loss = torch.stack(list(terms.values())).sum() / len(batches)
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), schedule.clip_norm)
        if not (torch.isfinite(total) and (self.scaler.is_enabled() or torch.isfinite(norm))):
            return
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.iteration += 1


def parts(batch: Batch, at_a_time: int) -> list[Batch]:
    """Split a batch into parts of `at_a_time` clips; the last one may have fewer.

    All keep the frame size to which the whole batch is padded.
    """
    starts = range(0, len(batch.targets), at_a_time)
    some = [slice(start, start + at_a_time) for start in starts]
    sizes = batch.valid_sizes
    return [
        Batch(batch.clips[s], batch.targets[s], None if sizes is None else sizes[s]) for s in some
    ]
