"""The record of a piece of work: immutable JSON with raw values; everything else is derived.

Units stand in field names. FPS, means, stds and intervals are never stored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ifc_bench.config import AnyWork, Count, Evaluation, External, Profile, Strict, Training

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


class EvaluationResult(Strict):
    """Accuracies as fractions; None where no ground truth defines one."""

    kind: Literal["evaluation"] = "evaluation"
    metrics: dict[str, float | None]
    by_class: dict[str, float | None]
    by_situation: dict[str, dict[str, float | None]]
    videos: int
    frames: int
    tracks: int
    wall_seconds: float


class ProfileResult(Strict):
    """End-to-end times: `wall_seconds[r][v]` is repeat r of video v, up to its final tracks.

    Warm-up is kept apart. The peak is that of torch's CUDA allocator in a pass of its own, None
    on a CPU.
    """

    kind: Literal["profile"] = "profile"
    frames: list[int]
    warmup_seconds: list[float]
    wall_seconds: list[list[float]]
    peak_allocated_bytes: int | None


class CountResult(Strict):
    """Multiply-adds, exact, with 5 for each element of a normalisation."""

    kind: Literal["count"] = "count"
    encoder_macs: int


Result = Annotated[
    TrainingResult | EvaluationResult | ProfileResult | CountResult, Field(discriminator="kind")
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

    @property
    def final(self) -> bool:
        """Whether doing the work again could tell anything new; only a failure is tried again."""
        return self.status != "failed"


def attention_of(work: AnyWork) -> str:
    """The attention implementation behind a piece of work."""
    match work:
        case Training() | Count():
            return work.model.attention
        case Evaluation() | Profile():
            return work.training.model.attention
        case External():
            return "not known"


def plain(record: Record) -> dict[str, Any]:
    """The record as JSON values."""
    return record.model_dump(mode="json")
