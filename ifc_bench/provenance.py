"""Reads where a record comes from: git, packages, device. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import psutil

from ifc_bench.errors import UserError
from ifc_bench.nvml import Card
from ifc_bench.records import Device, Provenance

_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pillow", "pycocotools", "ifc-bench")
_INDEX_DIGITS = 4


def provenance(device: str, threads: int) -> Provenance:
    """The provenance of work that runs now, on `device` ("cpu" or "cuda:N")."""
    revision, dirty = _git()
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        git_revision=revision,
        git_dirty=dirty,
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: v for name in _PACKAGES if (v := _version(name)) is not None},
        device=describe_device(device, threads),
    )


def resolve_device(asked: str) -> str:
    """ "auto" becomes the first CUDA device where the driver lists one, else the CPU.

    Raises:
        UserError: where the device that was asked for by name is not there.
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


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache
def _git() -> tuple[str | None, bool | None]:
    """Revision and dirty flag of the code; results and notebooks do not make it dirty."""
    root = Path(__file__).resolve().parent.parent

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    revision = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", "ifc_bench", "ablations", "run_ablations.py")
    return revision, None if changes is None else bool(changes)
