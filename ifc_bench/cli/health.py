"""`doctor`: what of this installation works, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform

import typer
from tabulate import tabulate

from ifc_bench.provenance import describe_device, resolve_device

_REQUIRED = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "pycocotools", "scipy")
_OPTIONAL = {
    "tensorboard": "run --tensorboard; pip install tensorboard",
    "detectron2": "the detectron2 bridge; docs/detectron2.md says how to install it",
}


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("doctor")
    def doctor_command() -> None:
        """Report versions, devices and optional parts.

        Example: python run_ablations.py doctor
        """
        rows = [("python", platform.python_version(), "")]
        rows += [(name, _version(name) or "missing", "") for name in _REQUIRED]
        for name, what in _OPTIONAL.items():
            version = _version(name) if importlib.util.find_spec(name) else None
            rows.append((name, version or "not installed", "" if version else f"for {what}"))
        rows += [("nvidia-ml-py", _version("nvidia-ml-py") or "missing", "")]
        device = describe_device(resolve_device("auto"), 1)
        rows.append(("device", device.name, device.driver or ""))
        rows.append(("CUDA in torch", *_cuda()))
        print(tabulate(rows, ["part", "found", "note"], "github", disable_numparse=True))


def _cuda() -> tuple[str, str]:
    import torch

    if not torch.cuda.is_available():
        return "no", "torch sees no GPU"
    return str(torch.version.cuda), f"{torch.cuda.device_count()} GPUs"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
