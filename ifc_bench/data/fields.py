"""Field types of annotation files: validated numbers, names and directory names.

Limits of numbers stand twice where both readers use a type: pydantic names every fault, msgspec
(`sound_files`) reads large files.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

MAX_SIDE = 65_535  # of a JPEG
MAX_PIXELS = 178_956_970  # of the largest image that Pillow opens
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _whole(value: object) -> object:
    """Refuse true and "7", which pydantic would convert to whole numbers."""
    if isinstance(value, (bool, str)):
        raise PydanticCustomError("whole", "Input should be a whole number")
    return value


def _number(value: object) -> object:
    """Refuse true and "0.5", which pydantic would convert to numbers."""
    if isinstance(value, (bool, str)):
        raise PydanticCustomError("number", "Input should be a number")
    return value


def _clean(text: str) -> str:
    """Refuse control characters, newlines and lone surrogates."""
    if bad := _UNFIT.search(text):
        raise PydanticCustomError(
            "name", "has {sign}, not allowed in a name; remove it", {"sign": f"U+{ord(bad[0]):04X}"}
        )
    return text


def _folder(text: str) -> str:
    """Refuse a name that would leave its parent: `visualize` makes a directory of this name."""
    if text in (".", "..") or "/" in text or "\\" in text:
        raise PydanticCustomError(
            "folder", "is used as a directory name, so it cannot contain / or \\ nor be . or .."
        )
    return text


_Whole = Annotated[int, BeforeValidator(_whole)]
Id = Annotated[_Whole, Field(ge=-(2**63), lt=2**63)]
PositiveId = Annotated[_Whole, Field(gt=0, lt=2**63), msgspec.Meta(gt=0)]
Length = Annotated[_Whole, Field(gt=0, lt=2**63)]
FrameNumber = Annotated[_Whole, Field(ge=0, lt=2**63)]
Side = Annotated[_Whole, Field(gt=0, le=MAX_SIDE)]
Area = Annotated[  # the API ignores larger ones
    float,
    BeforeValidator(_number),
    Field(ge=0, le=1e10, allow_inf_nan=False),
    msgspec.Meta(ge=0, le=1e10),
]
Name = Annotated[str, Field(max_length=200), AfterValidator(_clean)]
FileName = Annotated[str, Field(max_length=1000), AfterValidator(_clean)]
Situation = Annotated[str, Field(max_length=60), AfterValidator(_clean), AfterValidator(_folder)]


class Lenient(BaseModel):
    """Model that ignores unknown fields, which published files have."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Sized(Lenient):
    """Frame size in pixels, limited so that masks and images of it can be read."""

    height: Side
    width: Side

    @model_validator(mode="after")
    def _readable(self) -> Sized:
        if self.height * self.width > MAX_PIXELS:
            raise PydanticCustomError(
                "pixels",
                "is {height} x {width} pixels (height x width), more than the {most} that can be "
                "read",
                {"height": self.height, "width": self.width, "most": MAX_PIXELS},
            )
        return self
