"""Strips of frames with instances, as in the paper's Figures 4-8, and GIFs.

One row for each source, one colour for each track, the same in every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment

from ifc_bench.errors import UserError
from ifc_bench.file_io import write_bytes
from ifc_bench.masks import BoolArray, Rle, decode, tube_ious
from ifc_bench.pictures.png import write_png

Frames = NDArray[np.uint8]  # [F, H, W, 3]

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")
_TILE_INCHES = 2.0
_VEIL = 0.45
_FONT = 7.0
_SAME = 0.1
_DPI = 100
_EXTREME = 8.0
_LETTERS = 40

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Instance:
    """One mask tube with its class; `score` None for the ground truth.

    `colour` is an index into `COLOURS`; None means the instance's index in its source.
    """

    tube: Sequence[Rle | None]
    category: str
    score: float | None = None
    colour: int | None = None

    @property
    def caption(self) -> str:
        name = _short(self.category)
        return name if self.score is None else f"{name} {_short(f'{self.score:.2f}')}"


@dataclass(frozen=True)
class Source:
    """One row of a strip: the ground truth, a variant, or any system's predictions."""

    label: str
    instances: Sequence[Instance]


def coloured_alike(found: Sequence[Instance], truth: Sequence[Instance]) -> list[Instance]:
    """Colour predictions like the ground-truth instances they match; the rest in other colours.

    One-to-one matching by space-time IoU of at least 0.1 (Hungarian).
    """
    ious = tube_ious([one.tube for one in found], [one.tube for one in truth])
    pairs = zip(*linear_sum_assignment(-ious), strict=True)
    partner = {int(i): int(j) for i, j in pairs if ious[i, j] >= _SAME}
    free = iter(range(len(truth), len(truth) + len(found)))
    return [
        replace(one, colour=partner[index] if index in partner else next(free))
        for index, one in enumerate(found)
    ]


def strip(
    frames: Frames, indices: Sequence[int], sources: Sequence[Source], title: str = ""
) -> Figure:
    """Draw a figure with one row for each source and one column for each of `indices`.

    `frames` are the video's frames at `indices`.
    """
    figure = _figure(frames.shape[1:3], len(sources), len(indices))
    axes = figure.subplots(len(sources), len(indices), squeeze=False)
    for row, source in enumerate(sources):
        for column, index in enumerate(indices):
            _draw(axes[row, column], frames[column], index, source)
            if row == 0:
                axes[row, column].set_title(f"frame {index}", fontsize=8)
        axes[row, 0].set_ylabel(_short(source.label), fontsize=8, parse_math=False)
    if title:
        figure.suptitle(title, fontsize=9, parse_math=False)
    return figure


def attention_strip(
    frames: Frames,
    indices: Sequence[int],
    maps: Sequence[tuple[str, NDArray[np.floating[Any]]]],
    title: str = "",
) -> Figure:
    """Draw the frames on top, then one row of attention maps for each (name, [F, h, w]) of `maps`.

    A row has one scale, from 0 to its largest weight, so that its frames can be compared.
    """  # fmt: skip
    height, width = frames.shape[1:3]
    rows = len(maps) + 1
    figure = _figure((height, width), rows, len(indices))
    axes = figure.subplots(rows, len(indices), squeeze=False)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for column, index in enumerate(indices):
        axes[0, column].imshow(frames[column])
        axes[0, column].set_title(f"frame {index}", fontsize=8)
        for row, (_, weights) in enumerate(maps, 1):
            axes[row, column].imshow(frames[column].mean(-1), cmap="gray", vmin=0, vmax=255)
            axes[row, column].imshow(
                weights[column], cmap="viridis", vmin=0, vmax=float(weights.max()), alpha=0.7,
                extent=extent, interpolation="bilinear",
            )  # fmt: skip
    for row, name in enumerate(["clip", *(name for name, _ in maps)]):
        axes[row, 0].set_ylabel(name, fontsize=8)
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
    if title:
        figure.suptitle(title, fontsize=9, parse_math=False)
    return figure


def _figure(size: tuple[int, ...], rows: int, columns: int) -> Figure:
    """Create an empty figure for rows of frames of `size` (height, width).

    Raises:
        UserError: if it would exceed matplotlib's maximum size.
    """
    inches = (_TILE_INCHES * columns + 0.4, _TILE_INCHES * _tallness(size) * rows + 0.5)
    if max(inches) * _DPI >= 2**16:
        raise UserError(
            f"--columns, --frame: a strip of {rows} rows and {columns} frames is too large to "
            "draw; choose fewer"
        )
    figure = Figure(figsize=inches, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _tallness(size: tuple[int, ...]) -> float:
    """Return height / width of a tile; extremely tall or flat frames are scaled down in it."""
    return min(max(size[0] / size[1], 1 / _EXTREME), _EXTREME)


def _short(text: str) -> str:
    """Shorten a label to `_LETTERS` characters."""
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def save(figure: Figure, path: Path) -> None:
    """Write a picture as a PNG of few colours; its title is stored in the file, for the report.

    Raises:
        OSError: if it cannot be written; it names the file.
    """
    suptitle = figure.get_suptitle() or figure.axes[0].get_title()
    write_png(figure, path, dpi=_DPI, title=suptitle)


def animate(frames: Frames, sources: Sequence[Source], path: Path, fps: float = 6.0) -> None:
    """Write a GIF of the whole video, the sources side by side; `frames` are all its frames.

    Raises:
        OSError: if it cannot be written; it names the file.
    """
    pictures = []
    for index, frame in enumerate(frames):
        tile = 2.4
        inches = (tile * len(sources), tile * _tallness(frame.shape[:2]) + 0.3)
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(sources), squeeze=False)[0]
        for ax, source in zip(axes, sources, strict=True):
            _draw(ax, frame, index, source)
            ax.set_title(_short(source.label), fontsize=8, parse_math=False)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=80)
        picture = Image.open(buffer, formats=("PNG",))
        pictures.append(picture.convert("P", palette=Image.Palette.ADAPTIVE))
    more: dict[str, Any] = {"append_images": pictures[1:], "duration": round(1000 / fps)}
    written = BytesIO()  # Pillow's own errors name neither file nor cause
    pictures[0].save(written, format="GIF", save_all=True, loop=0, **more)
    write_bytes(path, written.getvalue())


def _draw(ax: Axes, frame: NDArray[np.uint8], index: int, source: Source) -> None:
    """Draw one frame with its visible instances."""
    shown = frame.astype(float) / 255
    visible = []
    for number, instance in enumerate(source.instances):
        rle = instance.tube[index]
        mask = None if rle is None else decode(rle)
        if mask is not None and mask.any():
            chosen = number if instance.colour is None else instance.colour
            colour = COLOURS[chosen % len(COLOURS)]
            shown[mask] += _VEIL * (np.array(to_rgb(colour)) - shown[mask])
            visible.append((instance, mask, colour))
    ax.imshow(shown)
    ax.set_xticks([])
    ax.set_yticks([])
    taken: list[Box] = []
    for instance, mask, colour in visible:
        if min(mask.shape) > 1:  # a contour needs two pixels each way
            ax.contour(mask, levels=[0.5], colors=[colour], linewidths=1.0)
        box = free_place(mask, instance.caption, taken)
        taken.append(box)
        ax.text(
            (box[0] + box[2]) / 2,
            (box[1] + box[3]) / 2,
            instance.caption,
            fontsize=_FONT,
            ha="center",
            va="center",
            color="black",
            bbox={"facecolor": colour, "alpha": 0.75, "pad": 0.8, "linewidth": 0},
            clip_on=True,
            parse_math=False,
        )


def free_place(mask: BoolArray, text: str, taken: Sequence[Box]) -> Box:
    """Choose the box of a label, in pixels: near its mask, inside the frame, not on another label.

    Above the mask if there is room, else below, beside, in its middle, or further away; if all of
    these are taken, the box with the least overlap.
    """
    height, width = mask.shape
    inch = width / _TILE_INCHES  # pixels
    across, down = 0.62 * _FONT / 72 * inch * len(text) + 2, 1.6 * _FONT / 72 * inch
    rows, columns = np.nonzero(mask)
    left = float(np.clip(columns.mean() - across / 2, 0, max(width - across, 0)))
    middle = float(np.clip(rows.mean() - down / 2, 0, max(height - down, 0)))
    above, below = rows.min() - down - 1, rows.max() + 1
    corners = [
        (left, above),
        (left, below),
        (columns.max() + 2, middle),
        (columns.min() - across - 2, middle),
        (left, middle),
        *((left, above - i * down) for i in (1, 2)),
        *((left, below + i * down) for i in (1, 2)),
    ]
    boxes = [(float(x), float(y), float(x + across), float(y + down)) for x, y in corners]
    frame = (0.0, 0.0, float(width), float(height))
    inside = [box for box in boxes if _overlap(box, frame) > 0.99 * across * down] or [boxes[4]]
    return min(inside, key=lambda box: sum(_overlap(box, other) for other in taken))


def _overlap(one: Box, other: Box) -> float:
    """Return the area of the intersection of two boxes."""
    sides = (
        min(one[2], other[2]) - max(one[0], other[0]),
        min(one[3], other[3]) - max(one[1], other[1]),
    )
    return max(sides[0], 0) * max(sides[1], 0)
