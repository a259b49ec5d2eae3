"""Strips of frames with instances on them, as in the paper's Figures 4-8, and moving pictures.

One row for each source, one colour for each track, the same in every frame. Matplotlib draws;
this file only chooses what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

from ifc_bench.masks import BoolArray, Rle, decode

Frames = NDArray[np.uint8]  # [F, H, W, 3]

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")
_TILE_INCHES = 2.0
_VEIL = 0.45


@dataclass(frozen=True)
class Instance:
    """One tube with its class; `score` None for the ground truth."""

    tube: Sequence[Rle | None]
    category: str
    score: float | None = None

    @property
    def told(self) -> str:
        return self.category if self.score is None else f"{self.category} {self.score:.2f}"


@dataclass(frozen=True)
class Source:
    """One row of a strip: the ground truth, a variant, any system's results."""

    label: str
    instances: Sequence[Instance]


def strip(
    frames: Frames, indices: Sequence[int], sources: Sequence[Source], title: str = ""
) -> Figure:
    """A figure with one row for each source and one column for each of `indices`.

    `frames` are the video's frames at `indices`.
    """
    height, width = frames.shape[1:3]
    size = (_TILE_INCHES * len(indices) + 0.4, _TILE_INCHES * height / width * len(sources) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(sources), len(indices), squeeze=False)
    for row, source in enumerate(sources):
        for column, index in enumerate(indices):
            _draw(axes[row, column], frames[column], index, source)
            if row == 0:
                axes[row, column].set_title(f"frame {index}", fontsize=8)
        axes[row, 0].set_ylabel(source.label, fontsize=8)
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a strip as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def animate(frames: Frames, sources: Sequence[Source], path: Path, fps: float = 6.0) -> None:
    """Write a GIF of the whole video, the sources side by side; `frames` are all its frames."""
    pictures = []
    for index, frame in enumerate(frames):
        height, width = frame.shape[:2]
        tile = 2.4
        figure = Figure(
            figsize=(tile * len(sources), tile * height / width + 0.3), layout="constrained"
        )
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(sources), squeeze=False)[0]
        for ax, source in zip(axes, sources, strict=True):
            _draw(ax, frame, index, source)
            ax.set_title(source.label, fontsize=8)
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=80)
        pictures.append(Image.open(buffer).convert("P", palette=Image.Palette.ADAPTIVE))
    path.parent.mkdir(parents=True, exist_ok=True)
    more: dict[str, Any] = {"append_images": pictures[1:], "duration": round(1000 / fps)}
    pictures[0].save(path, save_all=True, loop=0, **more)


def _draw(ax: Axes, frame: NDArray[np.uint8], index: int, source: Source) -> None:
    """One frame with every instance that is visible in it."""
    shown = frame.astype(float) / 255
    visible = []
    for number, instance in enumerate(source.instances):
        rle = instance.tube[index]
        mask = None if rle is None else decode(rle)
        if mask is not None and mask.any():
            colour = COLOURS[number % len(COLOURS)]
            shown[mask] += _VEIL * (np.array(to_rgb(colour)) - shown[mask])
            visible.append((instance, mask, colour))
    ax.imshow(shown)
    ax.set_xticks([])
    ax.set_yticks([])
    for instance, mask, colour in visible:
        ax.contour(mask, levels=[0.5], colors=[colour], linewidths=1.0)
        _name(ax, instance, mask, colour)


def _name(ax: Axes, instance: Instance, mask: BoolArray, colour: str) -> None:
    """The class and score beside the mask: above it, or below where there is no room."""
    rows, columns = np.nonzero(mask)
    above = rows.min() > 0.12 * mask.shape[0]
    ax.text(
        float(np.clip(columns.mean(), 0.15 * mask.shape[1], 0.85 * mask.shape[1])),
        float(rows.min() - 1 if above else rows.max() + 1),
        instance.told,
        fontsize=6,
        ha="center",
        va="bottom" if above else "top",
        color="black",
        bbox={"facecolor": colour, "alpha": 0.75, "pad": 0.8, "linewidth": 0},
        clip_on=True,
    )
