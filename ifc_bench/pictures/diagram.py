"""Draws a diagram of the network, like the paper's Figure 3, from its actual modules."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from ifc_bench.models.inspection import Part

_BOX = (1.62, 0.62)
_STEP = 2.02
_PAD = 0.06
_HALF = _BOX[1] / 2 + _PAD
_FILLS = {
    "plain": "#f2f2f0", "within": "#cfe5f5", "across": "#fbdcc4", "decoder": "#d5ecdf",
    "head": "#f7efc2",
}  # fmt: skip
Place = tuple[float, float]


def diagram(parts: Sequence[Part], frames: tuple[int, int, int], title: str) -> Figure:
    """Draw `parts` (from `ifc_bench.models.inspection.parts`) with shapes and parameters.

    `frames` are T, height and width of the clip. Layers within frames are on the middle line,
    layers across frames above them. Dashed arrows carry only memory tokens.
    """
    named = {part.name: part for part in parts if part.block is None}
    blocks = sorted({part.block for part in parts if part.block is not None})
    columns = 3 + len(blocks) + 3
    figure = Figure(figsize=(1.42 * columns, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.set(xlim=(-0.95, (columns - 1) * _STEP + 0.95), ylim=(-1.6, 2.05))
    ax.set_axis_off()
    ax.set_title(title, fontsize=10)

    t, height, width = frames
    clip: Place = (0, 0)
    _box(ax, clip, "clip", f"{t} x 3 x {height} x {width}", "plain")
    backbone, projection = (_STEP, 0.0), (2 * _STEP, 0.0)
    _part(ax, backbone, named["backbone"], "plain")
    _part(ax, projection, named["projection"], "plain")
    _across(ax, clip, backbone)
    _across(ax, backbone, projection)
    memory = None  # the origin of memory tokens, if any
    if "memory tokens" in named:
        memory = (projection[0], 1.3)
        _part(ax, memory, named["memory tokens"], "across")
    tokens, memory = _encoder(ax, parts, projection, memory)
    masks = _decoder(ax, named, len(blocks), (backbone, tokens, memory))
    queries = named["mask head"].shape[1]
    grid = " x ".join(map(str, named["spatial decoder"].shape[-2:]))
    _box(ax, masks, "masks (product)", f"{queries} x {t} x {grid}", "plain")
    return figure


def _encoder(
    ax: Axes, parts: Sequence[Part], tokens: Place, memory: Place | None
) -> tuple[Place, Place | None]:
    """Draw the blocks; returns the positions of the last frame tokens and memory tokens."""
    for block in sorted({part.block for part in parts if part.block is not None}):
        within, *across = [part for part in parts if part.block == block]
        place: Place = ((3 + block) * _STEP, 0)
        _part(ax, place, within, "within")
        _across(ax, tokens, place)
        if memory:
            _across(ax, memory, place, dashed=True)
        tokens = place
        for part in across:
            above: Place = (place[0], 1.3)
            only_memory = part.name == "Gather-Communicate"
            _part(ax, above, part, "across")
            _up(ax, place, above, dashed=only_memory)
            if only_memory:
                memory = above
            else:
                tokens = above
    return tokens, memory


def _decoder(
    ax: Axes,
    named: dict[str, Part],
    blocks: int,
    origins: tuple[Place, Place, Place | None],
) -> Place:
    """Draw decoders and heads after `blocks` blocks; returns the position of the masks.

    `origins` are the positions of the backbone, the frame tokens and the memory tokens.
    """
    backbone, tokens, memory = origins
    right = (3 + blocks) * _STEP
    decoder, spatial = (right, 0.0), (right, -1.2)
    heads, masks = (right + _STEP, 0.0), (right + 2 * _STEP, -0.6)
    _part(ax, decoder, named["decoder"], "decoder")
    _part(ax, spatial, named["spatial decoder"], "decoder")
    _across(ax, tokens, decoder)
    if memory:
        _across(ax, memory, decoder, dashed=True)
    _across(ax, tokens, spatial)
    _arrow(ax, (backbone[0], -_HALF), (spatial[0] - _BOX[0] / 2 - _PAD, spatial[1] - 0.1))
    ax.text(2 * _STEP, -0.62, "finer maps", fontsize=6.5, ha="center", va="top")
    _part(ax, heads, named["mask head"], "head")
    _part(ax, (right + _STEP, 1.3), named["class head"], "head")
    _across(ax, decoder, heads)
    _across(ax, decoder, (right + _STEP, 1.3))
    _across(ax, heads, masks)
    _across(ax, spatial, masks)
    return masks


def _part(ax: Axes, place: Place, part: Part, fill: str) -> None:
    shape = " x ".join(map(str, part.shape))
    _box(ax, place, part.name, f"{shape}\n{_readable(part.parameters)}", fill)


def _box(ax: Axes, place: Place, name: str, detail: str, fill: str) -> None:
    width, height = _BOX
    corner = (place[0] - width / 2, place[1] - height / 2)
    ax.add_patch(
        FancyBboxPatch(
            corner, width, height, boxstyle=f"round,pad={_PAD}", facecolor=_FILLS[fill],
            edgecolor="#444444", linewidth=0.8,
        )
    )  # fmt: skip
    ax.text(place[0], place[1] + 0.19, name, ha="center", va="center", fontsize=7.2, weight="bold")
    ax.text(place[0], place[1] - 0.14, detail, ha="center", va="center", fontsize=6.5)


def _readable(parameters: int) -> str:
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if parameters >= scale:
            return f"{parameters / scale:.2f} {unit} parameters"
    return f"{parameters} parameters"


def _across(ax: Axes, left: Place, right: Place, dashed: bool = False) -> None:
    """Draw an arrow from the right edge of one box to the left edge of another."""
    reach = _BOX[0] / 2 + _PAD
    _arrow(ax, (left[0] + reach, left[1]), (right[0] - reach, right[1]), dashed)


def _up(ax: Axes, below: Place, above: Place, dashed: bool) -> None:
    _arrow(ax, (below[0], below[1] + _HALF), (above[0], above[1] - _HALF), dashed)


def _arrow(ax: Axes, begin: Place, end: Place, dashed: bool = False) -> None:
    style = {"arrowstyle": "-|>", "color": "#444444", "linewidth": 0.9, "mutation_scale": 9}
    dashes = {"linestyle": "--"} if dashed else {}
    ax.annotate(
        "", xy=end, xytext=begin, arrowprops={**style, **dashes, "shrinkA": 0, "shrinkB": 0}
    )
