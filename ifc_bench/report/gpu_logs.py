"""Reasons in the log of a GPU not to trust a measurement, and its energy."""

from __future__ import annotations

from itertools import pairwise

from ifc_bench.records import GpuLog

# Bits of nvmlDeviceGetCurrentClocksEventReasons (NVML API reference, "NvmlClocksEventReasons").
_NOT_TO_BE_TRUSTED = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}
_POWER_CAP = 0x04


def doubts(log: GpuLog) -> list[str]:
    """Reasons not to trust a measurement."""
    seen = 0
    for bits in log.samples.slowdown_bits:
        seen |= bits or 0
    found = [name for bit, name in _NOT_TO_BE_TRUSTED.items() if seen & bit]
    if log.foreign_processes:
        found.append(f"{log.foreign_processes} other processes on the GPU")
    return found


def remarks(log: GpuLog) -> list[str]:
    """Remarks on a measurement that stands."""
    held = [bool((bits or 0) & _POWER_CAP) for bits in log.samples.slowdown_bits]
    return [f"power cap in {sum(held)} of {len(held)} readings"] if any(held) else []


def joules(log: GpuLog) -> tuple[float, str] | None:
    """Energy of the timed passes and where it comes from: the counter, or integrated power."""
    if log.energy_joules is not None:
        return log.energy_joules, "energy counter"
    pairs = [
        (at, watts)
        for at, watts in zip(log.samples.seconds, log.samples.power_watts, strict=True)
        if watts is not None
    ]
    if len(pairs) < 2:
        return None
    areas = [(b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(pairs)]
    return sum(areas), "integrated power"
