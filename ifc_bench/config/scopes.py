"""Scopes: the parts of a pass over a video that are counted and timed apart.

- backbone: frames to maps, with their normalisation;
- projection: the 1x1 convolution to the tokens' width, and the positions;
- encoder: the communication module (the paper's Table 1 counts this alone);
- decoder: queries reading the clip;
- mask_head: class head, spatial decoder and the dynamic convolution;
- tracker: the clip tracker;
- output: masks at the video's size, on the host;
- run_lengths: the masks' run lengths, and the text of results.json;
- other: the rest of a pass.
"""

from __future__ import annotations

from typing import NamedTuple


class Scope(NamedTuple):
    """One part of a pass.

    Attributes:
        name: as records and tables spell it.
        counted: part of the network, so its MACs, parameters and bytes are counted.
        timed: timed whole; "projection" is not, for the positions belong to no module.
        every_frame: runs once for each frame of a video; the others run once for each window.
    """

    name: str
    counted: bool
    timed: bool
    every_frame: bool = False


SCOPES = (
    Scope("backbone", counted=True, timed=True, every_frame=True),
    Scope("projection", counted=True, timed=False),
    Scope("encoder", counted=True, timed=True),
    Scope("decoder", counted=True, timed=True),
    Scope("mask_head", counted=True, timed=True),
    Scope("tracker", counted=False, timed=True),
    Scope("output", counted=False, timed=True),
    Scope("run_lengths", counted=False, timed=True),
    Scope("other", counted=False, timed=False),
)
"""All scopes, in the order of a pass."""

COUNTED = tuple(scope.name for scope in SCOPES if scope.counted)
TIMED = tuple(scope.name for scope in SCOPES if scope.timed)
ROOFED = tuple(scope.name for scope in SCOPES if scope.counted and scope.timed)
"""Scopes with counts and times of the same work: those that a roofline bounds."""
EVERY_WINDOW = tuple(scope.name for scope in SCOPES if scope.counted and not scope.every_frame)
