"""Types of the fields of annotation files: what passes is safe as a number, a name or a folder."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

MAX_SIDE = 65_535  # of a JPEG
MAX_PIXELS = 178_956_970  # of the largest image that Pillow opens
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _whole(value: object) -> object:
    """Pydantic takes true for 1 and "7" for 7; JSON has another type for a reason."""
    if isinstance(value, (bool, str)):
        raise PydanticCustomError("whole", "Input should be a whole number")
    return value


def _number(value: object) -> object:
    """The same for a number with a fraction."""
    if isinstance(value, (bool, str)):
        raise PydanticCustomError("number", "Input should be a number")
    return value


def _clean(text: str) -> str:
    """Refuse control characters, ends of line and halves of surrogate pairs."""
    if bad := _UNFIT.search(text):
        raise PydanticCustomError(
            "name", "holds {sign}, which no name can; take it out", {"sign": f"U+{ord(bad[0]):04X}"}
        )
    return text


def _folder(text: str) -> str:
    """Refuse what would lead out of a folder; `visualize` puts pictures under this name."""
    if text in (".", "..") or "/" in text or "\\" in text:
        raise PydanticCustomError(
            "folder", "names a folder of pictures, so it cannot hold / or \\ nor be . or .."
        )
    return text


_Whole = Annotated[int, BeforeValidator(_whole)]
Id = Annotated[_Whole, Field(ge=-(2**63), lt=2**63)]
PositiveId = Annotated[_Whole, Field(gt=0, lt=2**63)]
Length = Annotated[_Whole, Field(gt=0, lt=2**63)]
Side = Annotated[_Whole, Field(gt=0, le=MAX_SIDE)]
Area = Annotated[  # the API ignores larger ones
    float, BeforeValidator(_number), Field(ge=0, le=1e10, allow_inf_nan=False)
]
Name = Annotated[str, Field(max_length=200), AfterValidator(_clean)]
FileName = Annotated[str, Field(max_length=1000), AfterValidator(_clean)]
Situation = Annotated[str, Field(max_length=60), AfterValidator(_clean), AfterValidator(_folder)]


class Lenient(BaseModel):
    """Published files carry fields that nobody reads; they are left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Sized(Lenient):
    """A frame size in pixels, small enough for masks and images of it to be read."""

    height: Side
    width: Side

    @model_validator(mode="after")
    def _readable(self) -> Sized:
        if self.height * self.width > MAX_PIXELS:
            raise PydanticCustomError(
                "pixels",
                "is {height} x {width} pixels (height x width), of which at most {most} can be "
                "read",
                {"height": self.height, "width": self.width, "most": MAX_PIXELS},
            )
        return self
