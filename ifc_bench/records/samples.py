"""Raw samples of a profile: what one process, and the card under it, measured."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from ifc_bench.records.consistency import Kept, Seconds, one_length


class CardFacts(Kept):
    """What NVML tells of a card before a measurement; None where it tells nothing."""

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


class CardSamples(Kept):
    """NVML during a measurement, one entry for each reading; None where a reading failed.

    What was not read at all is empty. `slowdown_bits` is NVML's bit mask of reasons why clocks are
    held down.
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


class CardLog(Kept):
    """A card before and during a measurement.

    `foreign_processes` is the largest number of processes on the card that are not ours;
    `energy_joules` the difference of the card's own counter over the timed passes.
    """

    facts: CardFacts
    samples: CardSamples
    foreign_processes: int | None = None
    energy_joules: float | None = None


class Memory(Kept):
    """Peak memory of one pass over the first video, in a pass of its own.

    `weights_bytes` is what torch held before it. `peak_allocated_bytes` is the peak of torch's
    allocations, `weights_bytes` included, and `scope_increase_bytes` how far it rose above
    `weights_bytes` while each scope was open. `process_bytes` and `device_used_bytes` are NVML's.
    """

    weights_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int | None = None
    scope_increase_bytes: dict[str, int]
    process_bytes: int | None = None
    device_used_bytes: int | None = None
    host_rss_bytes: int


class Rates(Kept):
    """What the device did just after: its fastest arithmetic in this precision, and a copy."""

    macs_per_second: float
    bytes_per_second: float


class ProcessSamples(Kept):
    """What one process measured; times are in seconds for one pass over all videos.

    Attributes:
        place: its place in the order in which all processes of the session ran.
        warmup_wall_seconds: passes before the clock counted.
        wall_seconds: frames in memory to final tracks, the device synchronised at the end.
        device_seconds: the same passes between two events on the CUDA stream.
        reading_wall_seconds: passes that also read and decode their frames; None where frames are
            made and not read.
        scope_seconds: passes that were watched scope by scope; None for a compiled network.
        stopped: "precise", or "cap" where time was over before the interval was narrow enough.
        settings: what else changes speed, read back from torch.
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
    card: CardLog | None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length({"wall_seconds": self.wall_seconds, "device_seconds": self.device_seconds})
        one_length(self.scope_seconds or {})
        return self
