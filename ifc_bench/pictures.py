"""Strips of frames with masks, as in the paper's Figures 4-8: one row a source, one colour a track.

Drawing is torchvision's; this file only chooses what to draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import torch
from torch import Tensor
from torchvision.io import write_png
from torchvision.utils import draw_segmentation_masks, make_grid

from ifc_bench.masks import Rle, decode


@dataclass(frozen=True)
class Tubes:
    """The instances of one video in one source, most certain first."""

    tubes: Sequence[Sequence[Rle | None]]


def strip(frames: Tensor, indices: Sequence[int], rows: Sequence[Tubes]) -> Tensor:
    """A picture uint8 [3, H, W]: one row for each source, one column for each of `indices`.

    `frames` uint8 [len(indices), 3, H, W] are the video's frames at `indices`.
    """
    tiles = []
    for row in rows:
        colours = [_colour(number) for number in range(len(row.tubes))]
        for column, index in enumerate(indices):
            shown = [(tube[index], c) for tube, c in zip(row.tubes, colours, strict=True)]
            visible = [(rle, colour) for rle, colour in shown if rle is not None]
            tiles.append(_draw(frames[column], visible))
    return make_grid(torch.stack(tiles), nrow=len(indices), padding=2, pad_value=255)


def save(picture: Tensor, path: Path) -> None:
    """Write `picture` as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(picture, str(path))


def _draw(frame: Tensor, visible: list[tuple[Rle, tuple[int, int, int]]]) -> Tensor:
    if not visible:
        return frame
    masks = torch.stack([torch.from_numpy(decode(rle)) for rle, _ in visible])
    return draw_segmentation_masks(frame, masks, alpha=0.5, colors=[c for _, c in visible])


def _colour(number: int) -> tuple[int, int, int]:
    """A colour that stays with a track."""
    palette = matplotlib.colormaps["tab10"]
    red, green, blue, _ = palette(number % 10)
    return round(255 * red), round(255 * green), round(255 * blue)
