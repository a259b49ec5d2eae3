"""Validation rules of a record: finite numbers, fractions, columns of equal length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from ifc_bench.config import Strict

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
Scores = dict[str, Fraction | None]


class Kept(Strict):
    """Value of a record; its numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class Columns(Kept):
    """Columns of equal length."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_length(vars(self))
        return self


def one_length(columns: Mapping[str, Sequence[object] | None]) -> None:
    """Refuse columns of unequal length; a column that is None is skipped.

    Raises:
        ValueError: if the lengths differ; it names every column and its length.
    """
    lengths = {name: len(values) for name, values in columns.items() if values is not None}
    if len(set(lengths.values())) > 1:
        text = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"columns of unequal length: {text}")
