"""Raw samples of a profile: measurements of one process, and NVML readings of its GPU."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ifc_bench.records.consistency import Kept, Seconds, one_length


class GpuFacts(Kept):
    """GPU properties from NVML before a measurement; None where NVML gives no answer."""

    name: str | None = None
    uuid: str | None = None
    compute_capability: str | None = None
    driver: str | None = None
    memory_bytes: int | None = None
    max_sm_clock_mhz: int | None = None
    max_memory_clock_mhz: int | None = None
    power_limit_watts: float | None = None
    ecc: bool | None = None
    mig: bool | None = None
    persistence: bool | None = None


class GpuSamples(Kept):
    """NVML readings during a measurement, one entry each; None where a reading failed.

    A quantity that was not read at all is empty. `slowdown_bits` is NVML's bit mask of the reasons
    for lowered clocks.
    """

    seconds: list[float] = Field(default_factory=list)
    sm_clock_mhz: list[int | None] = Field(default_factory=list)
    memory_clock_mhz: list[int | None] = Field(default_factory=list)
    power_watts: list[float | None] = Field(default_factory=list)
    temperature_celsius: list[int | None] = Field(default_factory=list)
    slowdown_bits: list[int | None] = Field(default_factory=list)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length({name: values for name, values in vars(self).items() if values})
        return self


class GpuLog(Kept):
    """GPU properties before a measurement and NVML readings during it.

    `foreign_processes` is the largest number of other processes on the GPU; `energy_joules` is the
    increase of the GPU's energy counter over the timed passes.
    """

    facts: GpuFacts
    samples: GpuSamples
    foreign_processes: int | None = None
    energy_joules: float | None = None


class Memory(Kept):
    """Peak memory of one pass over the first video, separate from the timed passes.

    `weights_bytes` is torch's allocated memory before the pass. `peak_allocated_bytes` is the peak
    of torch's allocations, `weights_bytes` included. `scope_increase_bytes` is the peak above
    `weights_bytes` within each scope. `process_bytes` and `device_used_bytes` are from NVML.
    """

    weights_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int | None = None
    scope_increase_bytes: dict[str, int]
    process_bytes: int | None = None
    device_used_bytes: int | None = None
    host_rss_bytes: int


class Rates(Kept):
    """Rates of the device right after the timed passes: fastest matmul in this precision, copy."""

    macs_per_second: float
    bytes_per_second: float


class ProcessSamples(Kept):
    """Samples of one process; times are in seconds for one pass over all videos.

    Attributes:
        place: position in the order in which all processes of the session ran.
        warmup_wall_seconds: passes before the timed ones.
        wall_seconds: from frames in memory to final tracks, the device synchronised at the end.
        device_seconds: the same passes between two events on the CUDA stream.
        reading_wall_seconds: passes that also read and decode their frames; None for generated
            frames.
        scope_seconds: passes with timers for each scope; None for a compiled network.
        stopped: "precise", or "cap" if the time limit came before the interval was narrow enough.
        settings: other settings that affect speed, read back from torch.
        logit_distance: the largest difference of a logit of one clip from the first rung's of the
            speed ladder; None if it was not asked for.
    """

    place: int
    warmup_wall_seconds: list[float]
    wall_seconds: Seconds
    device_seconds: Seconds | None
    reading_wall_seconds: list[float] | None
    scope_seconds: dict[str, list[float]] | None
    stopped: Literal["precise", "cap"]
    settings: dict[str, str | int | bool]
    rates: Rates
    memory: Memory
    card: GpuLog | None
    logit_distance: float | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length({"wall_seconds": self.wall_seconds, "device_seconds": self.device_seconds})
        one_length(self.scope_seconds or {})
        return self
