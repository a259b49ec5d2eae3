"""Mask arithmetic on COCO run-length masks. numpy and pycocotools only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

BoolArray = NDArray[np.bool_]


class Rle(TypedDict):
    """A compressed run-length mask in COCO's format: `size` [height, width], `counts` text."""

    size: list[int]
    counts: str


def encode(masks: BoolArray) -> list[Rle]:
    """Run-length encode masks [F, H, W]."""
    columns = np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8))
    return [
        Rle(size=[int(s) for s in rle["size"]], counts=rle["counts"].decode("ascii"))
        for rle in coco.encode(columns)
    ]


def decode(rle: Rle) -> BoolArray:
    """The mask [H, W] of one RLE."""
    return coco.decode(rle).astype(bool)


def compress(size: Sequence[int], counts: Sequence[int]) -> Rle:
    """An RLE in text form from raw run lengths (YouTube-VIS writes both)."""
    rle = coco.frPyObjects({"size": list(size), "counts": list(counts)}, size[0], size[1])
    return Rle(size=[int(s) for s in size], counts=rle["counts"].decode("ascii"))


_AT_ONCE = 255  # pycocotools 2.0.11 on NumPy 2 gives the areas of no more masks in one call


def areas(rles: Sequence[Rle | None]) -> NDArray[np.float64]:
    """Pixels of each mask; 0 for None."""
    present = [r for r in rles if r is not None]
    result = np.zeros(len(rles))
    blocks = range(0, len(present), _AT_ONCE)
    found = [coco.area(present[first : first + _AT_ONCE]) for first in blocks]
    if found:
        result[[r is not None for r in rles]] = np.concatenate(found)
    return result


def tube_ious(
    detections: Sequence[Sequence[Rle | None]], truths: Sequence[Sequence[Rle | None]]
) -> NDArray[np.float64]:
    """Space-time IoU of every detection with every truth [D, G].

    Tubes are lists of one RLE or None for each frame, all of one length.
    """
    sizes = [np.array([areas(tube) for tube in tubes]) for tubes in (detections, truths)]
    if not (detections and truths):
        return np.zeros((len(detections), len(truths)))
    return measured_tube_ious(detections, truths, sizes[0], sizes[1])


def measured_tube_ious(
    detections: Sequence[Sequence[Rle | None]],
    truths: Sequence[Sequence[Rle | None]],
    detected: NDArray[np.float64],
    true: NDArray[np.float64],
) -> NDArray[np.float64]:
    """`tube_ious` of tubes whose pixels in each frame are known: `detected` [D, L], `true` [G, L].

    Each frame is one call into pycocotools for all pairs; intersections are recovered from its
    ratios, and being whole numbers of pixels they are exact after rounding.
    """
    shape = (len(detections), len(truths))
    shared = np.zeros(shape)
    for frame in np.flatnonzero(detected.any(0) & true.any(0)).tolist():
        rows, found = _present(detections, frame)
        columns, there = _present(truths, frame)
        ratio = coco.iou(found, there, [0] * len(there))
        both = detected[rows, frame][:, None] + true[columns, frame]
        shared[np.ix_(rows, columns)] += np.rint(ratio * both / (1 + ratio))
    union = detected.sum(1)[:, None] + true.sum(1) - shared
    return np.divide(shared, union, out=np.zeros(shape), where=union > 0)


def _present(tubes: Sequence[Sequence[Rle | None]], frame: int) -> tuple[list[int], list[Rle]]:
    """Indices and masks of the tubes that have a mask in `frame`."""
    pairs = [(i, r) for i, tube in enumerate(tubes) if (r := tube[frame]) is not None]
    return [i for i, _ in pairs], [r for _, r in pairs]
