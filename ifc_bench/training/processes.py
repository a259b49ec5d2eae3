"""Several processes on one training, as torchrun starts them; alone, everything is a no-op."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ifc_bench.errors import UserError

_PATIENCE = timedelta(hours=12)  # the others wait while the first process evaluates


@dataclass(frozen=True)
class Processes:
    """Which of `count` processes this one is; `local` counts within its machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average(self, value: Tensor) -> Tensor:
        """The mean of `value` over all processes; every process must ask for it."""
        if self.count == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total / self.count

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            dist.monitored_barrier(_group(), timeout=_PATIENCE)


ALONE = Processes()


def launched_by_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join(device: str) -> tuple[Processes, str]:
    """Meet the other processes that torchrun started; also gives this process's device.

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
                f"torchrun: process {processes.local} of this machine has no GPU (it has "
                f"{torch.cuda.device_count()}); lower --nproc-per-node"
            )
        device = f"cuda:{processes.local}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("gloo" if device == "cpu" else "nccl", timeout=_PATIENCE)
    return processes, device


_waiting_room: list[Any] = []


def _group() -> Any:
    """A gloo group for waiting: NCCL would spin on the GPU that is being measured."""
    if not _waiting_room:
        _waiting_room.append(dist.new_group(backend="gloo", timeout=_PATIENCE))
    return _waiting_room[0]
