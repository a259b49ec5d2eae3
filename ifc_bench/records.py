"""The record of a piece of work: immutable JSON with raw values; everything else is derived.

Units stand in field names. FPS, means, stds and intervals are never stored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ifc_bench.config import (
    AnyWork,
    Count,
    Evaluation,
    External,
    Footprint,
    Profile,
    Strict,
    Training,
)

SCHEMA_VERSION: Literal[1] = 1

Status = Literal["ok", "out_of_memory", "diverged", "failed"]


class Device(Strict):
    """What the work ran on. Everything that could not be read is None, never invented."""

    kind: Literal["cpu", "cuda"]
    name: str
    memory_bytes: int | None = None
    threads: int | None = None
    uuid: str | None = None
    driver: str | None = None
    compute_capability: str | None = None


class Provenance(Strict):
    """Where a record comes from."""

    created: str
    git_revision: str | None
    git_dirty: bool | None
    python: str
    platform: str
    packages: dict[str, str]
    device: Device


class TrainingResult(Strict):
    """Curves of a training; lists have one entry for every `curve_step`-th iteration.

    `new_parameters` names what the weights that it started from did not have; None where it
    started from nothing.
    """

    kind: Literal["training"] = "training"
    loss: list[float | None]
    loss_parts: dict[str, list[float | None]]
    accuracy_curve: list[tuple[int, float]]
    parameters: int
    wall_seconds: float
    diverged_at: int | None = None
    new_parameters: list[str] | None = None
    curve_step: int = 1


class StratumResult(Strict):
    """AP of the instances whose `attribute` lies within `low` and `high`, both included.

    "area" is mean pixels, "span" frames from first to last, "seen" frames with a mask.
    """

    attribute: Literal["area", "span", "seen"]
    low: float
    high: float
    truths: int
    ap: float | None


class Detections(Strict):
    """Every detection that counted, column by column, by video, class and descending score.

    `hits` and `ignored` have a bit for each IoU threshold, 0.50 first: matched there, and not
    counted there. `error` is empty for a hit at 0.50 (`ifc_bench.evaluation.errors`); `truth` is
    the annotation that it is about.
    """

    video: list[int]
    category: list[int]
    score: list[float]
    hits: list[int]
    ignored: list[int]
    error: list[str]
    truth: list[int | None]


class Truths(Strict):
    """Every annotation, column by column; `hits` as in `Detections`."""

    id: list[int]
    video: list[int]
    category: list[int]
    crowd: list[bool]
    hits: list[int]


class EvaluationResult(Strict):
    """Accuracies as fractions; None where no ground truth defines one.

    `detections` and `truths` are what accuracies are made of, so that errors, bootstraps and
    single videos can be looked into without the predictions; None for images.
    """

    kind: Literal["evaluation"] = "evaluation"
    metrics: dict[str, float | None]
    by_class: dict[str, float | None]
    by_situation: dict[str, dict[str, float | None]]
    videos: int
    frames: int
    tracks: int
    wall_seconds: float
    situations: dict[str, list[int]] = Field(default_factory=dict)
    by_stratum: list[StratumResult] = Field(default_factory=list)
    detections: Detections | None = None
    truths: Truths | None = None


class CardFacts(Strict):
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


class CardSamples(Strict):
    """NVML during a measurement, one entry for each reading; None where a reading failed.

    `slowdown_bits` is NVML's bit mask of reasons why clocks are held down.
    """

    seconds: list[float] = Field(default_factory=list)
    sm_clock_mhz: list[int | None] = Field(default_factory=list)
    memory_clock_mhz: list[int | None] = Field(default_factory=list)
    power_watts: list[float | None] = Field(default_factory=list)
    temperature_celsius: list[int | None] = Field(default_factory=list)
    slowdown_bits: list[int | None] = Field(default_factory=list)


class CardLog(Strict):
    """A card before and during a measurement.

    `foreign_processes` is the largest number of processes on the card that are not ours;
    `energy_joules` the difference of the card's own counter over the timed passes.
    """

    facts: CardFacts
    samples: CardSamples
    foreign_processes: int | None = None
    energy_joules: float | None = None


class Memory(Strict):
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


class Rates(Strict):
    """What the device did just after: its fastest arithmetic in this precision, and a copy."""

    macs_per_second: float
    bytes_per_second: float


class ProcessSamples(Strict):
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
    wall_seconds: list[float]
    device_seconds: list[float] | None
    reading_wall_seconds: list[float] | None
    scope_seconds: dict[str, list[float]] | None
    stopped: Literal["precise", "cap"]
    settings: dict[str, str | int | bool]
    rates: Rates
    memory: Memory
    card: CardLog | None


class ProfileResult(Strict):
    """Frames of each video and what every process measured.

    Out of memory leaves no processes, and `asked_bytes` where torch told what it had asked for.
    """

    kind: Literal["profile"] = "profile"
    frames: list[int]
    processes: list[ProcessSamples]
    asked_bytes: int | None = None


class FootprintResult(Strict):
    """Peak of allocated bytes, weights included; None where the card was too small.

    `at` is the operation at the peak of a prediction.
    """

    kind: Literal["footprint"] = "footprint"
    weights_bytes: int
    peak_bytes: int | None
    at: str | None = None
    asked_bytes: int | None = None


class ScopeCost(Strict):
    """What one part of the network costs for one clip; bytes as of separate kernels in float32."""

    macs: int
    parameters: int
    bytes_moved: int


class CountResult(Strict):
    """Multiply-adds, exact, with 5 for each element of a normalisation.

    `scopes` has every part of the network, where they were asked for.
    """

    kind: Literal["count"] = "count"
    encoder_macs: int
    scopes: dict[str, ScopeCost] | None = None


Result = Annotated[
    TrainingResult | EvaluationResult | ProfileResult | FootprintResult | CountResult,
    Field(discriminator="kind"),
]


class Record(Strict):
    """One piece of work and what came of it.

    `split_hash` is the SHA-256 of both splits. `attention` repeats the model's attention
    implementation, because no speed or memory means anything without it.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str
    status: Status
    work: AnyWork
    attention: str
    split_hash: str | None
    provenance: Provenance
    result: Result | None = None
    error: str | None = None


def attention_of(work: AnyWork) -> str:
    """The attention implementation behind a piece of work."""
    match work:
        case Training() | Count() | Profile() | Footprint():
            return work.model.attention
        case Evaluation():
            return work.training.model.attention
        case External():
            return "not known"


def plain(record: Record) -> dict[str, Any]:
    """The record as JSON values."""
    return record.model_dump(mode="json")
