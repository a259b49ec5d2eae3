"""The record of a piece of work: immutable JSON with raw values; everything else is derived.

Units stand in field names. FPS, means, stds and intervals are never stored. A record is held
against itself whenever it is made or read: what one part says, no other part may contradict.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from ifc_bench.config import (
    AnyWork,
    Count,
    Evaluation,
    External,
    Footprint,
    Profile,
    Training,
)
from ifc_bench.records.consistency import Columns, Fraction, Kept, Scores, one_length
from ifc_bench.records.samples import ProcessSamples

SCHEMA_VERSION: Literal[1] = 1

Status = Literal["ok", "out_of_memory", "diverged", "failed"]


class Device(Kept):
    """What the work ran on. Everything that could not be read is None, never invented."""

    kind: Literal["cpu", "cuda"]
    name: str
    memory_bytes: int | None = None
    threads: int | None = None
    uuid: str | None = None
    driver: str | None = None
    compute_capability: str | None = None


class Provenance(Kept):
    """Where a record comes from."""

    created: str
    git_revision: str | None
    git_dirty: bool | None
    python: str
    platform: str
    packages: dict[str, str]
    device: Device


class TrainingResult(Kept):
    """Curves of a training; lists have one entry for every `curve_step`-th iteration.

    `accuracy_curve` has AP, which is -1 where no ground truth defines one. `new_parameters` names
    what the weights that it started from did not have; None where it started from nothing.
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

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length({"loss": self.loss, **self.loss_parts})
        return self


class StratumResult(Kept):
    """AP of the instances whose `attribute` lies within `low` and `high`, both included.

    "area" is mean pixels, "span" frames from first to last, "seen" frames with a mask.
    """

    attribute: Literal["area", "span", "seen"]
    low: float
    high: float
    truths: int
    ap: Fraction | None


class Detections(Columns):
    """Every detection that counted, column by column, by video, class and descending score.

    `hits` and `ignored` have a bit for each IoU threshold, 0.50 first: matched there, and not
    counted there. `error` is empty for a hit at 0.50 (`ifc_bench.evaluation.errors`); `truth` is
    the annotation that it is about.
    """

    video: list[int]
    category: list[int]
    score: list[float]
    hits: list[NonNegativeInt]
    ignored: list[NonNegativeInt]
    error: list[str]
    truth: list[int | None]


class Truths(Columns):
    """Every annotation, column by column; `hits` as in `Detections`."""

    id: list[int]
    video: list[int]
    category: list[int]
    crowd: list[bool]
    hits: list[NonNegativeInt]


class EvaluationResult(Kept):
    """Accuracies as fractions; None where no ground truth defines one.

    `detections` and `truths` are what accuracies are made of, so that errors, bootstraps and
    single videos can be looked into without the predictions; None for images. `predicted_videos`
    counts the videos that another system's file has predictions for.
    """

    kind: Literal["evaluation"] = "evaluation"
    metrics: Scores
    by_class: Scores
    by_situation: dict[str, Scores]
    videos: int
    frames: int
    tracks: int
    wall_seconds: float
    situations: dict[str, list[int]] = Field(default_factory=dict)
    by_stratum: list[StratumResult] = Field(default_factory=list)
    detections: Detections | None = None
    truths: Truths | None = None
    predicted_videos: int | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name, scores in {"metrics": self.metrics, **self.by_situation}.items():
            if "AP" not in scores:
                raise ValueError(f"{name}: AP is absent")
        return self


class ProfileResult(Kept):
    """Frames of each video and what every process measured.

    Out of memory leaves no processes, and `asked_bytes` where torch told what it had asked for.
    """

    kind: Literal["profile"] = "profile"
    frames: list[PositiveInt]
    processes: list[ProcessSamples]
    asked_bytes: int | None = None


class FootprintResult(Kept):
    """Peak of allocated bytes, weights included; None where the card was too small.

    `at` is the operation at the peak of a prediction.
    """

    kind: Literal["footprint"] = "footprint"
    weights_bytes: int
    peak_bytes: int | None
    at: str | None = None
    asked_bytes: int | None = None


class ScopeCost(Kept):
    """What one part of the network costs for one clip; bytes as of separate kernels in float32."""

    macs: int
    parameters: int
    bytes_moved: int


class CountResult(Kept):
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


_RESULTS: dict[str, type[Kept]] = {
    "training": TrainingResult,
    "evaluation": EvaluationResult,
    "external": EvaluationResult,
    "profile": ProfileResult,
    "footprint": FootprintResult,
    "count": CountResult,
}


class Record(Kept):
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

    @classmethod
    def of(
        cls, work: AnyWork, provenance: Provenance, result: Result | None = None, **more: Any
    ) -> Self:
        """The record of `work`: status "ok", unless `more` says what went wrong.

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

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.id != self.work.id:
            raise ValueError(f"id: is {self.id[:60]}, its work hashes to {self.work.id}")
        if self.result is None:
            if self.status == "ok":
                raise ValueError(f"result: is absent; status ok needs that of a {self.work.kind}")
        elif not isinstance(self.result, _RESULTS[self.work.kind]):
            raise ValueError(f"result: is that of a {self.result.kind}, not of a {self.work.kind}")
        elif self.status == "ok":
            _measured(self.result)
        return self


def _attention_of(work: AnyWork) -> str:
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


def _measured(result: Result) -> None:
    """Refuse a result of status ok that tells only how memory ran out."""
    if isinstance(result, ProfileResult):
        for field in ("frames", "processes"):
            if not getattr(result, field):
                raise ValueError(f"result: {field}: is empty, and status is ok")
    if isinstance(result, FootprintResult) and result.peak_bytes is None:
        raise ValueError("result: peak_bytes: is null, and status is ok")
