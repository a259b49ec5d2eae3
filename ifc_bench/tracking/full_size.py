"""Masks at the size of the frame, from logits at the mask stride."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ifc_bench.masks import Rle, encode_columns
from ifc_bench.tracking.watch import Watch, unwatched

_AT_ONCE = 8  # masks, so that memory does not grow with their number
_COPIED_AT_ONCE = 64  # from a GPU, a byte a pixel


def full_size_masks(
    logits: Tensor, size: tuple[int, int], watch: Watch = unwatched
) -> list[Rle | None]:
    """Draw the masks of `logits` [n, h, w] at `size` and encode them; None if empty.

    `watch` opens the scope "run_lengths" while they are encoded.
    """
    found: list[Rle | None] = []
    for columns in drawn_masks(logits, size):
        with watch("run_lengths"):
            rles = encode_columns(columns)
            found += [rle if one.any() else None for rle, one in zip(rles, columns, strict=True)]
    return found


def drawn_masks(logits: Tensor, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Resize `logits` [n, h, w] bilinearly to `size` and threshold at 0, on the host.

    Yields some masks at a time, of zeros and ones [some, W, H]: column by column, as in run
    lengths. More at a time on a GPU, for the host waits for it each time.
    """
    on_gpu = logits.device.type != "cpu"
    for some in logits.split(_COPIED_AT_ONCE if on_gpu else _AT_ONCE):
        if on_gpu:
            yield drawn_on_gpu(some, size).cpu().numpy()
            continue
        columns = np.zeros((len(some), size[1], size[0]), np.uint8)
        if _exact_in_parts(some.shape[1:], size):
            for place, one in enumerate(some):
                _draw(one, columns[place])
        else:
            columns[:] = (_resized(some, size) > 0).transpose(1, 2).numpy()
        yield columns


def drawn_on_gpu(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize and threshold as `drawn_masks`, on the device of `logits`; uint8 [n, W, H]."""
    parts = [(_resized(part, size) > 0).transpose(1, 2) for part in logits.split(_AT_ONCE)]
    return torch.cat(parts).to(torch.uint8)


def _draw(logits: Tensor, columns: NDArray[np.uint8]) -> None:
    """Draw the mask of `logits` [h, w] into empty `columns` [W, H].

    A pixel of the mask is next to a positive logit, so a part with all of these and a border of one
    cell is enough: beyond it all is negative.
    """
    positive = logits > 0
    rows, across = _span(positive.any(1)), _span(positive.any(0))
    if rows is None or across is None:
        return
    scale = columns.shape[1] // logits.shape[0], columns.shape[0] // logits.shape[1]
    part = logits[rows, across]
    drawn = _resized(part[None], (part.shape[0] * scale[0], part.shape[1] * scale[1]))[0] > 0
    top, left = rows.start * scale[0], across.start * scale[1]
    columns[left : left + drawn.shape[1], top : top + drawn.shape[0]] = drawn.T.numpy()


def _span(present: Tensor) -> slice | None:
    """From one before the first place that is `present` to one after the last; None for none."""
    places = np.flatnonzero(present.numpy())
    return slice(max(int(places[0]) - 1, 0), int(places[-1]) + 2) if len(places) else None


def _exact_in_parts(grid: Sequence[int], size: tuple[int, int]) -> bool:
    """Whether a part of `grid` is resized to the same numbers as in the whole.

    It is for a power of two: then the coordinates of a part differ by exact numbers.
    """
    scales = [whole // cells for whole, cells in zip(size, grid, strict=True)]
    return all(
        scale * cells == whole and scale & (scale - 1) == 0
        for scale, cells, whole in zip(scales, grid, size, strict=True)
    )


def _resized(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
