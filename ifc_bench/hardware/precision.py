"""Arithmetic that a device has, by CUDA compute capability. Imports no torch.

A GPU without bfloat16 emulates it, and one without TF32 computes in float32: both would be measured
under a name that is not theirs.
"""

from __future__ import annotations

from ifc_bench.config import Arithmetic
from ifc_bench.errors import UserError
from ifc_bench.records import Device

# CUDA C++ Programming Guide, "Compute Capabilities": tensor cores for half precision came with 7.0
# (float16 arithmetic itself with 5.3), those for bfloat16 and TF32 with 8.0.
_SINCE: dict[Arithmetic, tuple[int, int]] = {
    "fp32": (0, 0),
    "fp16": (5, 3),
    "bf16": (8, 0),
    "tf32": (8, 0),
}


def require_precision(precision: Arithmetic, device: Device, option: str = "--precision") -> None:
    """Refuse arithmetic that `device` does not have; an unknown compute capability is not refused.

    `option` chose the precision.

    Raises:
        UserError: naming the device and the precisions that it has.
    """
    if device.kind == "cpu":
        if precision == "tf32":
            raise UserError(f"{option}: tf32 is a GPU's arithmetic; on a CPU use fp32")
        return
    capability = _parsed(device.compute_capability)
    if capability is None or capability >= _SINCE[precision]:
        return
    there = [name for name, since in _SINCE.items() if capability >= since]
    raise UserError(
        f"{option}: {precision} does not exist on {device.name} (compute capability "
        f"{device.compute_capability}, {precision} needs {'.'.join(map(str, _SINCE[precision]))}); "
        f"use {', '.join(there)}"
    )


def _parsed(capability: str | None) -> tuple[int, int] | None:
    major, _, minor = (capability or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
