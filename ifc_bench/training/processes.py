"""Distributed training with torchrun; with a single process, every operation is a no-op."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ifc_bench.errors import UserError

_Value = TypeVar("_Value")
_PATIENCE = timedelta(hours=12)  # other processes wait while the first one evaluates


@dataclass(frozen=True)
class Processes:
    """Rank of this process among `count` processes; `local` is the rank on its machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average(self, value: Tensor) -> Tensor:
        """Average `value` over all processes; a collective call, made by every process."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def agreed(self, value: _Value) -> _Value:
        """Return the first process's `value`; a collective call, made by every process.

        What exists is decided by one process alone: the others may see a file system that lags.
        """
        if self.count == 1:
            return value
        shared = [value]
        dist.broadcast_object_list(shared)
        return shared[0]

    def wait(self) -> None:
        """Wait until every process has made this call."""
        if self.count > 1:
            dist.monitored_barrier(_group(), timeout=_PATIENCE)


ALONE = Processes()


def launched_by_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join(device: str) -> tuple[Processes, str]:
    """Join the process group of torchrun; also returns this process's device.

    NCCL on GPUs, gloo on CPUs. `device` "cuda:N" becomes the GPU of this process's local rank.

    Raises:
        UserError: if a machine has fewer GPUs than processes.
    """
    if not launched_by_torchrun():
        return ALONE, device
    environment = {key: int(os.environ[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    processes = Processes(*(environment[k] for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if device != "cpu":
        if processes.local >= torch.cuda.device_count():
            raise UserError(
                f"torchrun: there is no GPU for local rank {processes.local} (this machine has "
                f"{torch.cuda.device_count()}); lower --nproc-per-node"
            )
        device = f"cuda:{processes.local}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("gloo" if device == "cpu" else "nccl", timeout=_PATIENCE)
    return processes, device


def leave() -> None:
    """Leave the process group, if this process is in one."""
    if dist.is_initialized():
        _barrier_groups.clear()
        dist.destroy_process_group()


_barrier_groups: list[Any] = []


def _group() -> Any:
    """Create a gloo group for barriers: NCCL would busy-wait on the GPU being measured."""
    if not _barrier_groups:
        _barrier_groups.append(dist.new_group(backend="gloo", timeout=_PATIENCE))
    return _barrier_groups[0]
