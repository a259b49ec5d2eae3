"""Results of evaluations: accuracies, and the columns from which they can be computed again."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from ifc_bench.records.consistency import Columns, Fraction, Kept, Scores


class StratumResult(Kept):
    """AP of the instances whose `attribute` is between `low` and `high`, both included.

    "area" is the mean area in pixels, "span" the number of frames from the first to the last mask,
    "seen" the number of frames with a mask.
    """

    attribute: Literal["area", "span", "seen", "occlusion"]
    low: float
    high: float
    truths: int
    ap: Fraction | None


class Detections(Columns):
    """Every detection that counted, in columns, sorted by video, class and descending score.

    `hits` and `ignored` have a bit for each IoU threshold, 0.50 first: matched at that threshold,
    and ignored at it. `error` is empty for a hit at 0.50, else the error kind
    (`ifc_bench.evaluation.errors`); `truth` is the annotation concerned.
    """

    video: list[int]
    category: list[int]
    score: list[float]
    hits: list[NonNegativeInt]
    ignored: list[NonNegativeInt]
    error: list[str]
    truth: list[int | None]


class Truths(Columns):
    """Every annotation, in columns; `hits` as in `Detections`."""

    id: list[int]
    video: list[int]
    category: list[int]
    crowd: list[bool]
    hits: list[NonNegativeInt]


class MarkedTruths(Columns):
    """Every annotation that is no crowd, in columns, where the data marks frames.

    `iou` is that of its track over the marked frames (None where it has no mask in any), and
    `clear_iou` over the others; `clear_area` is the track's area there over its own; `category` is
    the track's (`ifc_bench.evaluation.marked`).
    """

    id: list[int]
    iou: list[Fraction | None]
    clear_iou: list[Fraction]
    clear_area: list[float | None] | None = None
    category: list[int | None]


class IdentityOracle(Kept):
    """AP with the tracks joined again by the ground truth (`ifc_bench.evaluation.identity`).

    `breaks` are of the annotations that are no crowd, in the order of their ids.
    """

    metrics: Scores
    breaks: list[NonNegativeInt]


class EvaluationResult(Kept):
    """Accuracies as fractions; None without any ground truth.

    Accuracies are computed from `detections` and `truths`; they are stored so that errors,
    bootstraps and single videos can be analysed without the predictions. None for images.
    `predicted_videos` counts the videos with predictions in another system's file. `settings` are
    those of torch during inference, as in a profile; empty in older records and of other systems.
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
    marked: MarkedTruths | None = None
    oracle: IdentityOracle | None = None
    predicted_videos: int | None = None
    settings: dict[str, str | int | bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name, scores in {"metrics": self.metrics, **self.by_situation}.items():
            if "AP" not in scores:
                raise ValueError(f"{name}: AP is absent")
        return self
