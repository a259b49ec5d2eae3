"""The device that work runs on: found by its name on the command line, and described."""

from __future__ import annotations

import math
import os
import platform
from functools import lru_cache
from pathlib import Path

import psutil

from ifc_bench.errors import UserError
from ifc_bench.hardware.nvml import Card
from ifc_bench.records import Device

_INDEX_DIGITS = 4


def resolve_device(asked: str) -> str:
    """ "auto" becomes the first CUDA device where the driver lists one, else the CPU.

    Raises:
        UserError: if the device that was asked for by name is not there.
    """
    if asked == "cpu":
        return "cpu"
    if asked == "auto":
        return "cpu" if _nvml(0) is None else "cuda:0"
    kind, _, index = asked.partition(":")
    digits = index or "0"
    if kind != "cuda" or not (digits.isascii() and digits.isdigit()):
        raise UserError(f"--device: {asked!r} is none of auto, cpu, cuda:N")
    if len(digits) > _INDEX_DIGITS or _nvml(int(digits)) is None:
        raise UserError(f"--device: {asked!r} is not there (NVML lists no such card); use cpu")
    return f"cuda:{int(digits)}"


@lru_cache
def describe_device(device: str, threads: int) -> Device:
    """Name and facts of a resolved device."""
    if device == "cpu":
        memory = psutil.virtual_memory().total
        return Device(kind="cpu", name=_processor(), memory_bytes=memory, threads=threads)
    described = _nvml(int(device.partition(":")[2]))
    return described or Device(kind="cuda", name=device)


def _processor() -> str:
    """The processor's own name, with the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: the platform's name must do
    return f"{name} ({usable_cores()} cores)"


def usable_cores() -> int:
    """The cores that this process may use, at least 1, by its CPU affinity and its cgroup's quota.

    A quota of 1.5 cores counts as 2, as in other runtimes: all of it can be used.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cpu_quota())))


def _cpu_quota(root: Path = Path("/")) -> float:
    """The least quota of this process's cgroups (version 2), in cores; infinity without one."""
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
            continue  # the topmost has none
        if quota != "max":
            least = min(least, int(quota) / int(period))
    return least


def _nvml(index: int) -> Device | None:
    """Card `index` as NVML sees it; None without a driver or such a card."""
    card = Card(index)
    if not card.there:
        return None
    facts = card.facts()
    return Device(
        kind="cuda",
        name=facts.name or f"cuda:{index}",
        memory_bytes=facts.memory_bytes,
        uuid=facts.uuid,
        driver=facts.driver,
        compute_capability=facts.compute_capability,
    )
