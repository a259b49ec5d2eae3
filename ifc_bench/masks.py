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
    return encode_columns(np.ascontiguousarray(masks.transpose(0, 2, 1).astype(np.uint8)))


def encode_columns(columns: NDArray[np.uint8]) -> list[Rle]:
    """Run-length encode masks of zeros and ones that are stored column by column, [F, W, H]."""
    return [
        Rle(size=[int(s) for s in rle["size"]], counts=rle["counts"].decode("ascii"))
        for rle in coco.encode(columns.transpose(2, 1, 0))
    ]


def decode(rle: Rle) -> BoolArray:
    """The mask [H, W] of one RLE."""
    return coco.decode(rle).astype(bool)


def compress(size: Sequence[int], counts: Sequence[int]) -> Rle:
    """An RLE in text form from raw run lengths (YouTube-VIS writes both)."""
    rle = coco.frPyObjects({"size": list(size), "counts": list(counts)}, size[0], size[1])
    return Rle(size=[int(s) for s in size], counts=rle["counts"].decode("ascii"))


_NOTHING = Rle(size=[1, 1], counts="1")  # one pixel of background; what is empty may be of any size
_FRAMES_AT_ONCE = 6  # few, to give up soon, and enough to share the cost of numpy's calls
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
    """Space-time IoU [D, G] of every detection with every ground truth.

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
    least: float = 0.0,
) -> NDArray[np.float64]:
    """`tube_ious` of tubes whose pixels in each frame are known: `detected` [D, L], `true` [G, L].

    A detection that has an IoU of `least` with no truth may get 0 for all: it is given up as soon
    as the frames that are left are too small to bring it there.

    Each frame is one call into pycocotools for all pairs; intersections are recovered from its
    ratios, and being whole numbers of pixels they are exact after rounding.
    """
    both = detected.sum(1)[:, None] + true.sum(1)
    shared = np.zeros(both.shape)
    frames = np.flatnonzero(detected.any(0) & true.any(0))
    starts = range(0, len(frames), _FRAMES_AT_ONCE)
    blocks = [frames[first : first + _FRAMES_AT_ONCE] for first in starts]
    rest = np.zeros(both.shape)  # the most that the frames to come may add to `shared`
    for block in blocks:
        rest += np.minimum(detected[:, None, block], true[:, block]).sum(2)
    near = np.arange(len(detections))
    for block in blocks:
        most = shared[near] + rest[near]
        near = near[(most >= least * (both[near] - most)).any(1)]
        if not near.size:
            break
        tubes = [detections[index] for index in near.tolist()]
        ratio = np.stack([frame_ious(tubes, truths, frame) for frame in block.tolist()], -1)
        sizes = detected[near[:, None], block][:, None], true[:, block]  # [D, 1, F], [G, F]
        shared[near] += np.rint(ratio * (sizes[0] + sizes[1]) / (1 + ratio)).sum(2)
        rest[near] -= np.minimum(*sizes).sum(2)
    given_up = np.setdiff1d(np.arange(len(detections)), near)
    shared[given_up] = 0
    return np.divide(shared, both - shared, out=np.zeros(both.shape), where=both > shared)


def frame_ious(
    detections: Sequence[Sequence[Rle | None]], truths: Sequence[Sequence[Rle | None]], frame: int
) -> NDArray[np.float64]:
    """IoU [D, G] of the masks of one frame; 0 where there is none."""
    found, true = ([tube[frame] or _NOTHING for tube in tubes] for tubes in (detections, truths))
    return coco.iou(found, true, [0] * len(true))
