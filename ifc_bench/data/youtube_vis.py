"""The YouTube-VIS annotation format. No torch.

One JSON object with `videos`, `categories` and `annotations`; an annotation has one segmentation
(an RLE, or null) for each frame of its video. Optional extras: a video's `situation`, and `marked`,
its frames that hide the scene; an annotation's `occlusion`, a word for each frame, as in OVIS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic import BaseModel, ValidationError

from ifc_bench.data.fields import (
    Area,
    FileName,
    FrameNumber,
    Id,
    Length,
    Lenient,
    Name,
    PositiveId,
    Situation,
    Sized,
)
from ifc_bench.data.json_files import shown
from ifc_bench.errors import UserError
from ifc_bench.masks import Rle, areas, compress, encode

Model = TypeVar("Model", bound=BaseModel)
Polygons = list[list[float]]
"""The outline of one instance in one frame: x, y, x, y ... of each closed polygon, in pixels."""
_OCCLUSION = {"no_occlusion": 0.0, "slight_occlusion": 0.25, "severe_occlusion": 0.75}


class Category(Lenient):
    """A class; ids need not be contiguous."""

    id: Id
    name: Name


class Video(Sized):
    """A video of `length` frames; `file_names` are relative to the image directory."""

    id: Id
    length: Length
    file_names: list[FileName]
    situation: Situation | None = None
    marked: list[FrameNumber] | None = None


@dataclass(frozen=True)
class RawRle:
    """A mask as published: `counts` is text (compressed) or a list of run lengths."""

    size: tuple[int, int]
    counts: str | list[int]

    def compressed(self) -> Rle:
        if isinstance(self.counts, str):
            return Rle(size=list(self.size), counts=self.counts)
        return compress(self.size, self.counts)


@dataclass(frozen=True)
class Annotation:
    """One instance over a video."""

    id: PositiveId
    video_id: Id
    category_id: Id
    segmentations: list[RawRle | None]
    areas: list[Area | None] | None = None
    iscrowd: int = 0
    occlusion: Any = None

    @cached_property
    def occluded(self) -> float | None:
        """The share to which it is hidden, from 0 to 1; None where the file does not say.

        As OVIS defines it: 0, 0.25 or 0.75 in a frame, the mean over the worse half of the frames.
        """
        words = self.occlusion if isinstance(self.occlusion, list) else []
        named = [word for word in words if isinstance(word, str)]
        scores = sorted(_OCCLUSION[word] for word in named if word in _OCCLUSION)
        worse = scores[len(scores) // 2 :]
        return sum(worse) / len(worse) if worse else None

    @cached_property
    def rles(self) -> list[Rle | None]:
        """One compressed mask or None for each frame."""
        return [None if s is None else s.compressed() for s in self.segmentations]

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Pixels of the mask in each frame [L]; 0 where it has none."""
        return areas(self.rles)

    @cached_property
    def area(self) -> float:
        """Mean area over the frames with a mask, as the YouTube-VIS API takes it."""
        given = self.pixels.tolist() if self.areas is None else self.areas
        sizes = [a for a in given if a]
        return sum(sizes) / len(sizes) if sizes else 0.0

    def shape(self, frame: int) -> Rle | Polygons | None:
        """The mask of one frame as it is in the file, its polygons, or None."""
        rle = self.segmentations[frame]
        return None if rle is None else rle.compressed()


@dataclass
class VideoInstances:
    """A validated annotation file."""

    videos: Sequence[Video]
    categories: list[Category]
    annotations: Sequence[Annotation]

    @cached_property
    def _by_video(self) -> dict[int, list[Annotation]]:
        found: dict[int, list[Annotation]] = {video.id: [] for video in self.videos}
        for annotation in self.annotations:
            found[annotation.video_id].append(annotation)
        return found

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Height and width of each video [V, 2]."""
        return np.array([(video.height, video.width) for video in self.videos], np.int32)

    def of_video(self, row: int) -> list[Annotation]:
        """The annotations of video `videos[row]`, in the order of the file."""
        return self._by_video[self.videos[row].id]


def written_annotation(
    number: int, video: int, category: int, tube: NDArray[np.bool_]
) -> dict[str, Any]:
    """An instance with masks `tube` [L, H, W] as the format writes it; null where it has none."""
    rles = [rle if mask.any() else None for mask, rle in zip(tube, encode(tube), strict=True)]
    return {
        "id": number,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "segmentations": rles,
        "areas": [size or None for size in areas(rles).tolist()],
        "bboxes": [None if rle is None else coco.toBbox(rle).tolist() for rle in rles],
    }


def schema_faults(model: type[BaseModel], content: Any) -> Iterator[str]:
    """Faults of `content` as a `model`, one line for each field."""
    try:
        model.model_validate(content)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            field = ".".join(str(part) for part in fault["loc"]) or "top level"
            no_object = fault["type"] in ("model_type", "dataclass_type")
            said = "Input should be an object" if no_object else fault["msg"]
            yield f"{field}: {said}, found {shown(fault['input'])}"


def validated(model: type[Model], content: Any, path: Path) -> Model:
    """`content` as `model`; the first fault becomes one clear line."""
    try:
        return model.model_validate(content)
    except ValidationError:
        first, *others = schema_faults(model, content)
        also = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{path}: {first}{also}") from None
