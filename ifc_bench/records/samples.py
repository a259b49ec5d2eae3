"""Raw samples of a profile: measurements of one process, and NVML readings of its GPU."""

from __future__ import annotations

from typing import Any, Literal, Self

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
    default_sm_clock_mhz: int | None = None
    max_memory_clock_mhz: int | None = None
    power_limit_watts: float | None = None
    default_power_limit_watts: float | None = None
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

    `foreign_processes` is the largest number of other processes that compute on the GPU,
    `graphics_processes` of those that draw. `energy_joules` is the increase of the GPU's energy
    counter over the timed passes, in older records. `used_bytes` is the memory in use on the whole
    GPU when memory ran out, if it did.
    """

    facts: GpuFacts
    samples: GpuSamples
    foreign_processes: int | None = None
    graphics_processes: int | None = None
    energy_joules: float | None = None
    used_bytes: int | None = None


class Energy(Kept):
    """Energy of the GPU over a window of passes to masks, one after the other.

    Attributes:
        joules: over the window.
        window_seconds: length of the window.
        pass_seconds: mean time of a pass over all videos in it.
        source: "energy counter", or "integrated power" where the GPU has no counter.
        step_seconds: median time between two values of the counter; None for integrated power.
        idle_watts: power before the window, with the network in memory and no work.
    """

    joules: float
    window_seconds: float = Field(gt=0)
    pass_seconds: float = Field(gt=0)
    source: Literal["energy counter", "integrated power"]
    step_seconds: float | None = None
    idle_watts: float | None = None


class Memory(Kept):
    """Peak memory of one pass to masks over the first video, apart from the timed passes.

    A GPU's cache is emptied before. Instances that a profile hands to the tracker count nowhere.

    Attributes:
        weights_bytes: torch's allocated memory before the pass.
        peak_allocated_bytes: peak of torch's allocations, `weights_bytes` included.
        peak_reserved_bytes: peak of what torch's caching allocator holds during the pass.
        scope_increase_bytes: the peak above `weights_bytes` within each scope.
        process_bytes: NVML's count for this process after the pass.
        device_used_bytes: NVML's count for the whole GPU after the pass.
        host_rss_bytes: resident memory of the process after the pass.
        host_peak_bytes: its peak during the pass; None where the system does not tell.
    """

    weights_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int | None = None
    scope_increase_bytes: dict[str, int]
    process_bytes: int | None = None
    device_used_bytes: int | None = None
    host_rss_bytes: int
    host_peak_bytes: int | None = None


class Rates(Kept):
    """Rates of the device right after the timed passes: fastest matmul in this precision, copy."""

    macs_per_second: float
    bytes_per_second: float


class Timed(Kept):
    """Timed passes, in seconds; lists have one entry for each pass.

    Attributes:
        wall_seconds: by the host's clock, the device synchronised before and after.
        device_seconds: the same passes between two events on the CUDA stream.
        sm_clock_mhz: mean of NVML's readings of the SM clock right before and after each pass.
        stopped: "precise", or "cap" if the time limit came before the interval was narrow enough.
    """

    wall_seconds: Seconds
    device_seconds: Seconds | None = None
    sm_clock_mhz: list[float | None] | None = None
    stopped: Literal["precise", "cap"]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        columns = ("wall_seconds", "device_seconds", "sm_clock_mhz")
        one_length({name: getattr(self, name) for name in columns})
        return self


class ProcessSamples(Kept):
    """Samples of one process.

    Attributes:
        place: position in the order in which all processes of the session ran.
        warmup_wall_seconds: passes before the timed ones.
        network: one clip of T frames on the device to its logits; None in older records.
        network_graph: the same, replayed as a CUDA graph; None without one.
        masks: frames of all videos in memory to final masks on the host; None in older records.
        results: the same to the text of results.json, run lengths included. Older records end at
            the run lengths.
        reading_wall_seconds: passes to masks that also read and decode their frames; None for
            generated frames.
        scope_seconds: passes with timers for each scope; None for a compiled network.
        settings: other settings that affect speed, read back from torch.
        content: a hash of all that the tracker and the drawing of masks are given in one pass;
            equal for variants that were measured on equal work; None but in a first process.
        logit_distance: the largest difference of a logit of one clip from the first rung's of the
            speed ladder; None if it was not asked for.
    """

    place: int
    warmup_wall_seconds: list[float]
    network: Timed | None = None
    network_graph: Timed | None = None
    masks: Timed | None = None
    results: Timed
    reading_wall_seconds: list[float] | None
    scope_seconds: dict[str, list[float]] | None
    settings: dict[str, str | int | bool]
    rates: Rates
    memory: Memory
    energy: Energy | None = None
    card: GpuLog | None
    content: str | None = None
    logit_distance: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_older_records(cls, given: Any) -> Any:
        """Read the one number of older records, from frames in memory to run lengths."""
        if not isinstance(given, dict) or "wall_seconds" not in given:
            return given
        names = ("wall_seconds", "device_seconds", "stopped")
        rest = {name: value for name, value in given.items() if name not in names}
        return rest | {"results": {name: given[name] for name in names if name in given}}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length(self.scope_seconds or {})
        return self
