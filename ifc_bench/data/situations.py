"""Situations of the embedded benchmark, and the order in which videos show them.

The paper's four (its Figures 4-8), plain scenes and lost frames; and controls, scenes in which it
is known whether communication between frames must help (docs/controls.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Situation:
    """Parameters of a situation. Ranges are inclusive.

    `speed` is in pixels per frame; at 0 instances neither turn nor leave the frame. `meet`: all
    paths meet in the middle of the video. `alike`: all instances have the same class, size and
    colour, and differ only in position and motion. `moments` is the number of subframes averaged
    into a frame: 8 for a shutter that is always open; masks are those of the middle moment. `lost`
    is the probability of each frame but the first to be grey.

    `grey` is the exact share of grey frames: never the first one, and at most three in a row.
    `fog` is the least contrast of a frame, which is drawn log-uniform from there to 1. `blobs`:
    outlines are irregular, each another one. `by_direction`: one colourless disc, which goes
    straight to the left (first class) or to the right (second class).
    """

    speed: tuple[float, float]
    instances: tuple[int, int] = (1, 2)
    meet: bool = False
    alike: bool = False
    moments: int = 1
    lost: float = 0.0
    grey: float = 0.0
    fog: float | None = None
    blobs: bool = False
    by_direction: bool = False


SITUATIONS = {
    "plain": Situation(speed=(0.5, 2.0)),
    "fast_motion": Situation(speed=(5.0, 10.0)),
    "overlap": Situation(speed=(1.0, 2.5), instances=(2, 3), meet=True),
    "similar_appearance": Situation(speed=(2.0, 5.0), instances=(2, 2), alike=True),
    "motion_blur": Situation(speed=(3.0, 7.0), moments=8),
    "lost_frames": Situation(speed=(1.0, 4.0), lost=0.2),
}

CONTROLS = {
    "blank_static": Situation(speed=(0.0, 0.0), grey=0.3, blobs=True),
    "fog": Situation(speed=(0.5, 2.0), fog=0.03),
    "blank_moving": Situation(speed=(1.0, 3.0), grey=0.3),
    "clear_static": Situation(speed=(0.0, 0.0)),
    "direction": Situation(speed=(1.5, 2.5), instances=(1, 1), by_direction=True),
}

_BY_GENERATOR = {
    2: tuple(SITUATIONS),
    # A half are controls, so that there is something to learn from other frames; the one in which
    # communication must show most has two places, for its power.
    3: (
        "plain", "blank_static", "fast_motion", "fog", "overlap", "blank_moving",
        "similar_appearance", "clear_static", "motion_blur", "direction",
        "lost_frames", "blank_static",
    ),
}  # fmt: skip


def situation_of(generator: int, video: int) -> str:
    """Name the situation of the video with that index, which are in turn."""
    order = _BY_GENERATOR[generator]
    return order[video % len(order)]


def parameters(name: str) -> Situation:
    """Return the parameters of a situation or control."""
    return {**SITUATIONS, **CONTROLS}[name]


def names(generator: int) -> tuple[str, ...]:
    """Return every situation of a version of the generator, once."""
    return tuple(dict.fromkeys(_BY_GENERATOR[generator]))
