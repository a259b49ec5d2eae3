"""Settings of torch that change speed or arithmetic: applied for a profile, and read back.

Records of training runs and evaluations keep them too.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from ifc_bench.config import Profile
from ifc_bench.models.arithmetic import settle_tf32


def settle(work: Profile) -> None:
    """Apply the settings of `work` that torch keeps for a whole process."""
    torch.set_num_threads(work.threads)
    settle_tf32(work.precision)
    torch.backends.cudnn.benchmark = work.cudnn_benchmark
    if work.deterministic:
        torch.use_deterministic_algorithms(True, warn_only=True)
    else:  # the same as the call above with False, which takes 1.5 s to import a compiler
        torch.set_deterministic_debug_mode("default")


def settings(device: torch.device) -> dict[str, str | int | bool]:
    """Read the settings of torch that affect speed or arithmetic, as they are in this process."""
    backends = torch.backends
    values: dict[str, str | int | bool] = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul_tf32": backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": backends.cudnn.allow_tf32,
        "cudnn_benchmark": backends.cudnn.benchmark,
    }
    if device.type == "cuda":
        values["cublas_workspace"] = os.environ.get("CUBLAS_WORKSPACE_CONFIG", "")
        values["cudnn"] = backends.cudnn.version() or 0
        values["cuda"] = torch.version.cuda or ""
    else:
        values["cpu_capability"] = backends.cpu.get_cpu_capability()
        kept = os.environ.get("MALLOC_MMAP_MAX_") == "0" and platform.libc_ver()[0] == "glibc"
        values["keeps_memory"] = kept  # freed memory stays (measuring/isolation.py)
        preloaded = os.environ.get("LD_PRELOAD", "").split()
        values["preloaded"] = " ".join(Path(library).name for library in preloaded)
    return values
