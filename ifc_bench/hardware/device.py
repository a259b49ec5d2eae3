"""Resolves the device named on the command line, and describes it."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import psutil

from ifc_bench.errors import UserError
from ifc_bench.hardware.nvml import Gpu
from ifc_bench.records import Device

_INDEX_DIGITS = 4
_NAMES = "auto, cpu, cuda:N"
_ASK_TORCH = """
import json, sys, torch
found = torch.cuda.get_device_properties(int(sys.argv[1]))
print(json.dumps({
    "kind": "cuda", "name": found.name, "memory_bytes": found.total_memory,
    "compute_capability": f"{found.major}.{found.minor}",
}))
"""


def resolve_devices(asked: str) -> tuple[str, ...]:
    """Resolve "cuda:0,1,2" to these GPUs, "all" to every GPU, or to the CPU without one.

    Raises:
        UserError: if a device requested by name does not exist, or is named twice.
    """
    if asked == "all":
        found: list[str] = []
        while _nvml(len(found)) is not None:
            found.append(f"cuda:{len(found)}")
        return tuple(found) or ("cpu",)
    kind, _, several = asked.partition(":")
    names = [f"{kind}:{one}" for one in several.split(",")] if "," in several else [asked]
    devices = tuple(resolve_device(name) for name in names)
    if len(set(devices)) < len(devices):
        raise UserError(f"--device: {asked!r} names a GPU twice; name each once")
    return devices


def resolve_device(asked: str) -> str:
    """Resolve "auto" to the first CUDA device if the driver lists one, else to the CPU.

    Raises:
        UserError: if a device requested by name does not exist.
    """
    if asked == "cpu":
        return "cpu"
    if asked == "auto":
        return "cpu" if _nvml(0) is None else "cuda:0"
    kind, _, index = asked.partition(":")
    digits = index or "0"
    if kind != "cuda" or not (digits.isascii() and digits.isdigit()):
        raise UserError(f"--device: {asked!r} is none of {_NAMES}")
    if len(digits) > _INDEX_DIGITS or _nvml(int(digits)) is None:
        raise UserError(f"--device: {asked!r} does not exist (NVML lists no such GPU); use cpu")
    return f"cuda:{int(digits)}"


@lru_cache
def describe_device(device: str, threads: int) -> Device:
    """Describe a resolved device: name, memory and driver."""
    if device == "cpu":
        memory = psutil.virtual_memory().total
        return Device(kind="cpu", name=_cpu_name(), memory_bytes=memory, threads=threads)
    described = _nvml(int(device.partition(":")[2]))
    return described or Device(kind="cuda", name=device)


def _cpu_name() -> str:
    """Return the CPU's model name, with the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: keep the platform's name
    return f"{name} ({usable_cores()} cores)"


def usable_cores() -> int:
    """Count the cores that this process may use, at least 1, by CPU affinity and cgroup quota.

    A quota of 1.5 cores counts as 2, as in other runtimes, so that all of it can be used.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cpu_quota())))


def _cpu_quota(root: Path = Path("/")) -> float:
    """Return the smallest quota of this process's cgroups (version 2), in cores, or infinity."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf  # not Linux
    place = next((line[3:].strip("/") for line in groups if line.startswith("0::")), "")
    unified = root / "sys/fs/cgroup"
    folder, least = unified / place, math.inf
    for group in (folder, *(p for p in folder.parents if p.is_relative_to(unified))):
        try:
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            continue  # the root cgroup has no quota
        if quota != "max":
            least = min(least, int(quota) / int(period))
    return least


def _driver_there(root: Path = Path("/")) -> bool:
    """Return whether an NVIDIA driver's devices exist; a container may have them without NVML."""
    return any((root / "dev" / name).exists() for name in ("nvidiactl", "dxg"))


@lru_cache
def _asked_of_torch(index: int) -> Device | None:
    """Describe GPU `index` from torch, in a process of its own: CUDA in this one would disturb."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK_TORCH, str(index)], capture_output=True, text=True
    )
    return Device.model_validate_json(done.stdout) if done.returncode == 0 else None


def _nvml(index: int) -> Device | None:
    """Describe GPU `index` from NVML, or from torch where NVML is missing; None without a GPU."""
    gpu = Gpu(index)
    if not gpu.there:
        return None if gpu.readable or not _driver_there() else _asked_of_torch(index)
    facts = gpu.facts()
    return Device(
        kind="cuda",
        name=facts.name or f"cuda:{index}",
        memory_bytes=facts.memory_bytes,
        uuid=facts.uuid,
        driver=facts.driver,
        compute_capability=facts.compute_capability,
    )
