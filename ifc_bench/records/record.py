"""The record of a piece of work: immutable JSON with raw values; everything else is derived.

Units are in field names. FPS, means, stds and intervals are never stored. A record is validated
whenever it is created or read: its parts must not contradict each other.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from ifc_bench.config import (
    AnyWork,
    Count,
    Evaluation,
    External,
    Footprint,
    Profile,
    Training,
)
from ifc_bench.records.consistency import Kept, one_length
from ifc_bench.records.evaluation import EvaluationResult
from ifc_bench.records.origin import Provenance
from ifc_bench.records.samples import GpuLog, ProcessSamples

SCHEMA_VERSION: Literal[1] = 1

Status = Literal["ok", "out_of_memory", "diverged", "timed_out", "killed", "failed"]
# Statuses whose work the next run does again: the reason may be gone.
REPEATED: frozenset[Status] = frozenset({"killed", "failed"})


class TrainingResult(Kept):
    """Curves of a training run; lists have one entry for every `curve_step`-th iteration.

    `accuracy_curve` has AP, which is -1 without any ground truth. `new_parameters` names the
    parameters missing from the initial weights; None without initial weights. `settings` are those
    of torch at its end, as in a profile; empty in older records. `processes` is the world size,
    each process with a device as in the provenance; `wall_seconds` times it gives GPU-seconds.
    `waiting_seconds` is the part of it in which the first process waited for a batch, and
    `clips_at_once` how many clips of a batch were in memory at a time (None: all of a process).
    `peak_allocated_bytes` is of the first process's GPU, since the training was last resumed.
    """

    kind: Literal["training"] = "training"
    loss: list[float | None]
    loss_parts: dict[str, list[float | None]]
    accuracy_curve: list[tuple[int, Annotated[float, Field(ge=-1, le=1)]]]
    parameters: int
    wall_seconds: float
    diverged_at: int | None = None
    new_parameters: list[str] | None = None
    curve_step: int = Field(default=1, ge=1)
    settings: dict[str, str | int | bool] = Field(default_factory=dict)
    processes: PositiveInt = 1
    waiting_seconds: float | None = None
    clips_at_once: PositiveInt | None = None
    peak_allocated_bytes: PositiveInt | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length({"loss": self.loss, **self.loss_parts})
        return self


class ProfileResult(Kept):
    """Frames of each video, and the samples of every process.

    Out of memory: no processes, `asked_bytes` (requested bytes) if torch reported them, and the
    GPU's log until then as `evidence`: a neighbour's memory is not the variant's.
    """

    kind: Literal["profile"] = "profile"
    frames: list[PositiveInt]
    processes: list[ProcessSamples]
    asked_bytes: int | None = None
    evidence: GpuLog | None = None


class FootprintResult(Kept):
    """Peak allocated bytes, weights included; None if the GPU ran out of memory.

    `at` is the operation at the predicted peak. `not_predicted` says why a network of a user's own
    has no prediction.
    """

    kind: Literal["footprint"] = "footprint"
    weights_bytes: int
    peak_bytes: int | None
    at: str | None = None
    asked_bytes: int | None = None
    not_predicted: str | None = None


class ScopeCost(Kept):
    """Cost of one part of the network for one clip; bytes for unfused kernels in float32."""

    macs: int
    parameters: int
    bytes_moved: int


class CountResult(Kept):
    """Exact MACs, with 5 for each element of a normalisation.

    `scopes` has every part of the network if requested. A user's own network has `encoder_macs`
    None where it names no encoder; if it cannot be counted, `not_counted` says why.
    """

    kind: Literal["count"] = "count"
    encoder_macs: int | None
    scopes: dict[str, ScopeCost] | None = None
    not_counted: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.encoder_macs is None and self.scopes is None and self.not_counted is None:
            raise ValueError("encoder_macs: is null; then scopes or not_counted must be given")
        return self


Result = Annotated[
    TrainingResult | EvaluationResult | ProfileResult | FootprintResult | CountResult,
    Field(discriminator="kind"),
]


_RESULTS: dict[str, type[Kept]] = {
    "training": TrainingResult,
    "evaluation": EvaluationResult,
    "external": EvaluationResult,
    "profile": ProfileResult,
    "footprint": FootprintResult,
    "count": CountResult,
}


class Record(Kept):
    """One piece of work and its result.

    `split_hash` is the SHA-256 of both splits. `attention` repeats the model's attention
    implementation, because speed and memory are meaningless without it.
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

    @classmethod
    def of(
        cls, work: AnyWork, provenance: Provenance, result: Result | None = None, **more: Any
    ) -> Self:
        """Create the record of `work`, with status "ok" by default.

        `more` takes `status`, `split_hash` and `error`.
        """
        fields: dict[str, Any] = {"status": "ok", "split_hash": None, **more}
        return cls(
            id=work.id,
            work=work,
            attention=_attention_of(work),
            provenance=provenance,
            result=result,
            **fields,
        )

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, given: Any) -> Any:
        """Read a profile of the first edition of the protocol, which did not name itself."""
        work = given.get("work") if isinstance(given, dict) else None
        protocol = work.get("protocol") if isinstance(work, dict) else None
        if work and isinstance(protocol, dict) and "edition" not in protocol:
            return {**given, "work": {**work, "protocol": {**protocol, "edition": 1}}}
        return given

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.id != self.work.id:
            raise ValueError(f"id: is {self.id[:60]}, but the work hashes to {self.work.id}")
        if self.result is None:
            if self.status == "ok":
                raise ValueError(f"result: is absent; status ok needs one of kind {self.work.kind}")
        elif not isinstance(self.result, _RESULTS[self.work.kind]):
            raise ValueError(f"result: has kind {self.result.kind}, expected {self.work.kind}")
        elif self.status == "ok":
            _measured(self.result)
        return self


def _attention_of(work: AnyWork) -> str:
    """Return the attention implementation that a piece of work uses."""
    match work:
        case Training() | Count() | Profile() | Footprint():
            return work.model.attention
        case Evaluation():
            return work.training.model.attention
        case External():
            return "not known"


def plain(record: Record) -> dict[str, Any]:
    """Convert the record to JSON values."""
    return record.model_dump(mode="json")


def _measured(result: Result) -> None:
    """Refuse an out-of-memory result with status ok."""
    if isinstance(result, ProfileResult):
        for field in ("frames", "processes"):
            if not getattr(result, field):
                raise ValueError(f"result: {field}: is empty, and status is ok")
    if (
        isinstance(result, FootprintResult)
        and result.peak_bytes is None
        and result.not_predicted is None
    ):
        raise ValueError("result: peak_bytes: is null, and status is ok")
