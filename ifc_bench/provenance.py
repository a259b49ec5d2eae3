"""Provenance of a record: git revision, package versions, device. Imports no torch."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from ifc_bench.hardware.device import describe_device
from ifc_bench.records import Provenance

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pillow",
    "pycocotools",
    "transformers",  # of networks that users bring
    "ifc-bench",
)


def provenance(device: str, threads: int) -> Provenance:
    """Collect the provenance of work that runs now, on `device` ("cpu" or "cuda:N")."""
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


@lru_cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@lru_cache
def _git() -> tuple[str | None, bool | None]:
    """Return revision and dirty flag of the code; results and notebooks do not make it dirty."""
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
