"""Settings of a whole process that trains: its device, its threads and its data loaders."""

from __future__ import annotations

import os

import torch

from ifc_bench.errors import UserError
from ifc_bench.hardware.device import usable_cores


def prepare(device: str, threads: int) -> None:
    """Apply the settings of a process that works on `device`.

    Raises:
        UserError: if torch cannot use the requested device.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise UserError(
            f"--device: {device} exists, but torch {torch.__version__} cannot use it "
            "(built without CUDA, or for another driver); install a matching torch, or use cpu"
        )
    if device != "cpu":
        torch.cuda.set_device(device)  # so that nothing opens a context on another GPU
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def loaders(given: int | None = None) -> int:
    """Return the number of processes that load real data ahead: as `given`, or up to 4."""
    return min(4, usable_cores()) if given is None else given
