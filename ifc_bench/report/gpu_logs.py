"""Reasons in the log of a process not to trust its measurement, and its energy."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ifc_bench.measuring.throttling import CLOCK_SHARE, DRIFT, MOST_SET_ASIDE, drift, judged
from ifc_bench.records import GpuFacts, GpuLog, ProcessSamples

# Bits of nvmlDeviceGetCurrentClocksEventReasons (NVML API reference, "NvmlClocksEventReasons").
_NOT_TO_BE_TRUSTED = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
}
_SET_CLOCKS = 0x02
_POWER_CAP = 0x04


@dataclass(frozen=True)
class Joules:
    """Energy of one pass over all videos; `above_idle` None where idle power is not known."""

    joules: float
    above_idle: float | None
    source: str


def doubts(process: ProcessSamples) -> list[str]:
    """Reasons not to trust a measurement."""
    log = process.card
    if log is None:
        return []
    seen = 0
    for bits in log.samples.slowdown_bits:
        seen |= bits or 0
    found = [name for bit, name in _NOT_TO_BE_TRUSTED.items() if seen & bit]
    if log.foreign_processes:
        found.append(f"{log.foreign_processes} other processes on the GPU")
    slow = judged(process.masks or process.results, log.facts).slow_kept
    if slow:
        found.append(
            f"SM clock below {CLOCK_SHARE:.0%} of the default in more than "
            f"{MOST_SET_ASIDE:.0%} of the passes"
        )
    return found


def remarks(process: ProcessSamples) -> list[str]:
    """Remarks on a measurement that stands."""
    main = process.masks or process.results
    found = _remarks_of_card(process.card) if process.card else []
    if process.card:
        verdict = judged(main, process.card.facts)
        if verdict.set_aside:
            found.append(
                f"{verdict.set_aside} of {len(main.wall_seconds)} passes set aside for a low clock"
            )
    change = drift(main.wall_seconds)
    if change is not None and abs(change) > DRIFT:
        found.append(f"drift: the last third of a process's passes took {change:+.0%}")
    return found


def _remarks_of_card(log: GpuLog) -> list[str]:
    held = [bits or 0 for bits in log.samples.slowdown_bits]
    found = []
    for bit, name in ((_POWER_CAP, "power cap"), (_SET_CLOCKS, "clocks set by the user")):
        count = sum(bool(bits & bit) for bits in held)
        if count:
            found.append(f"{name} in {count} of {len(held)} readings")
    if log.graphics_processes:
        found.append(f"{log.graphics_processes} processes draw on the GPU")
    return found + _remarks_of_facts(log.facts)


def _remarks_of_facts(facts: GpuFacts) -> list[str]:
    found = []
    limit, default = facts.power_limit_watts, facts.default_power_limit_watts
    if limit is not None and default is not None and limit < default:
        found.append(f"power limit {limit:.0f} W, below the default of {default:.0f} W")
    if facts.mig:
        found.append("MIG is on")
    if facts.ecc:
        found.append("ECC is on")
    return found


def joules(process: ProcessSamples) -> Joules | None:
    """Energy of one pass: of its own window, or in older records of the timed passes."""
    energy = process.energy
    if energy is not None:
        watts = energy.joules / energy.window_seconds
        above = None if energy.idle_watts is None else watts - energy.idle_watts
        seconds = energy.pass_seconds
        return Joules(watts * seconds, None if above is None else above * seconds, energy.source)
    if process.card is None or process.masks is not None:
        return None
    passes = len(process.results.wall_seconds)
    if process.card.energy_joules is not None:
        return Joules(process.card.energy_joules / passes, None, "energy counter")
    samples = process.card.samples
    pairs = [
        (at, watts)
        for at, watts in zip(samples.seconds, samples.power_watts, strict=True)
        if watts is not None
    ]
    if len(pairs) < 2:
        return None
    areas = [(b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(pairs)]
    return Joules(sum(areas) / passes, None, "integrated power")
