"""Scenes of the embedded benchmark: moving instances and exact masks, for each situation.

Some instances leave the frame and come back (never identical ones), and some videos have a pole in
front of everything. Masks are the visible pixels, exact under occlusion; in a lost frame, they are
the pixels that would be visible. Everything is numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ifc_bench.config import SyntheticData
from ifc_bench.data.situations import Situation

Floats = NDArray[np.float64]

CLASSES = ("disc", "box", "triangle")
LOST_GREY = 127.0
COLOURLESS = np.full(3, 220.0)
_LONGEST_GREY = 3  # frames in a row, so that every window of 5 has a frame that shows the scene
_HARMONICS = np.arange(2, 6)  # of the outline of a blob


class Scene(NamedTuple):
    """One video: frames [L, H, W, 3], visible masks [I, L, H, W] and the I classes.

    `marked` are the frames in which the scene is hidden: grey ones, or the foggiest third.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    categories: list[int]
    marked: list[int]


@dataclass(frozen=True)
class Sprite:
    """One instance: shape, look and motion, all in pixels and frames.

    `outline` has an amplitude and a phase for each of the harmonics of a blob [2, 4]; without it
    the shape is that of the class.
    """

    category: int
    radius: float
    colour: Floats
    start: Floats
    velocity: Floats
    low: Floats
    high: Floats
    angle: float
    spin: float
    outline: Floats | None = None

    def centre(self, times: Floats) -> Floats:
        """Return positions (x, y) at `times`: straight motion, reflected at `low` and `high`."""
        span = self.high - self.low
        phase = np.mod(self.start + self.velocity * times[:, None] - self.low, 2 * span)
        return self.low + np.where(phase > span, 2 * span - phase, phase)

    def distance(self, times: Floats, height: int, width: int) -> Floats:
        """Return signed distances to the outline, negative inside, [len(times), height, width]."""
        centre = self.centre(times)
        dx = np.arange(width)[None, None, :] - centre[:, 0, None, None]
        dy = np.arange(height)[None, :, None] - centre[:, 1, None, None]
        turn = (self.angle + self.spin * times)[:, None, None]
        x = dx * np.cos(turn) + dy * np.sin(turn)
        y = dy * np.cos(turn) - dx * np.sin(turn)
        if self.outline is not None:
            return np.hypot(x, y) - self._blob_radius(np.arctan2(y, x))
        match CLASSES[self.category]:
            case "disc":
                return np.hypot(x, y) - self.radius
            case "box":
                return np.maximum(np.abs(x), np.abs(y)) - 0.85 * self.radius
            case _:  # triangle
                return np.maximum(np.abs(x) * 3**0.5 / 2 + y / 2, -y) - 0.75 * self.radius

    def _blob_radius(self, angle: Floats) -> Floats:
        assert self.outline is not None
        amplitudes, phases = self.outline
        waves = amplitudes * np.cos(_HARMONICS * angle[..., None] + phases)
        return self.radius * np.clip(1 + waves.sum(-1), 0.35, None)


def render(config: SyntheticData, situation: Situation, rng: np.random.Generator) -> Scene:
    """Render one video; instances that are never visible are omitted."""
    size = (config.height, config.width)
    sprites = _sprites(config, situation, rng)
    background = _background(size, rng)
    pole = _pole(size, rng)
    moments = situation.moments
    shutter = (np.arange(moments) + 0.5) / moments - 0.5
    times = (np.arange(config.frames)[:, None] + shutter).ravel()
    picture = np.broadcast_to(background, (len(times), *size, 3)).copy()
    for sprite in sprites:
        cover = np.clip(0.5 - sprite.distance(times, *size), 0, 1)[..., None]
        picture += cover * (sprite.colour - picture)
    picture[:, pole] = 0.35 * background[pole]
    frames = picture.reshape(config.frames, moments, *size, 3).mean(1)
    lost = rng.random(config.frames) < situation.lost
    lost[0] = False  # a lost first frame has no earlier frame to infer it from
    if situation.grey:
        lost = _grey(config.frames, situation.grey, rng)
    frames[lost] = LOST_GREY
    marked = np.flatnonzero(lost)
    if situation.fog is not None:
        contrast = np.exp(rng.uniform(np.log(situation.fog), 0, config.frames))
        frames = LOST_GREY + contrast[:, None, None, None] * (frames - LOST_GREY)
        marked = np.sort(np.argsort(contrast)[: config.frames // 3])
    noise = rng.normal(0, 3, frames.shape)
    masks = _visible(sprites, pole, np.arange(config.frames, dtype=float), size)
    seen = [index for index, tube in enumerate(masks) if tube.any()]
    categories = [sprites[index].category for index in seen]
    noisy = np.clip(frames + noise, 0, 255).astype(np.uint8)
    return Scene(noisy, masks[seen], categories, marked.tolist())


def _grey(length: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which frames are grey: a fixed share, never the first, never many in a row."""
    while True:
        grey = np.zeros(length, bool)
        grey[1 + rng.permutation(length - 1)[: round(share * length)]] = True
        runs = [len(list(run)) for is_grey, run in groupby(grey) if is_grey]
        if max(runs, default=0) <= _LONGEST_GREY:
            return grey


def _visible(
    sprites: list[Sprite], pole: NDArray[np.bool_], times: Floats, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Compute masks at `times`: the pixels in which an instance is in front of everything else."""
    covered = np.broadcast_to(pole, (len(times), *size)).copy()
    masks = np.zeros((len(sprites), len(times), *size), bool)
    for index in reversed(range(len(sprites))):
        inside = sprites[index].distance(times, *size) < 0
        masks[index] = inside & ~covered
        covered |= inside
    return masks


def _sprites(config: SyntheticData, situation: Situation, rng: np.random.Generator) -> list[Sprite]:
    few, many = situation.instances
    count = int(rng.integers(few, many + 1))
    if situation.by_direction:
        return [_passing(config, situation, rng) for _ in range(count)]
    looks = [_look(rng)] * count if situation.alike else [_look(rng) for _ in range(count)]
    return [_moving(look, config, situation, rng) for look in looks]


def _look(rng: np.random.Generator) -> tuple[int, float, Floats]:
    """Draw class, radius and colour; each class has a hue, to which noise is added."""
    category = int(rng.integers(len(CLASSES)))
    hue = 2 * np.pi * category / len(CLASSES) + rng.normal(0, 0.3)
    colour = 140 + 100 * np.cos(hue + np.array([0, 2, 4]) * np.pi / 3)
    return category, float(rng.uniform(9, 15)), colour


def _moving(
    look: tuple[int, float, Floats],
    config: SyntheticData,
    situation: Situation,
    rng: np.random.Generator,
) -> Sprite:
    category, radius, colour = look
    field = np.array([config.width, config.height], float)
    # A sixth of the instances turn round beyond the border: they leave the frame and come back.
    # Identical instances never do, because they could not be re-identified.
    still = situation.speed[1] == 0
    leaves = rng.random() < 1 / 6 and not situation.alike and not still
    margin = -1.5 * radius if leaves else 0.5 * radius
    low, high = np.full(2, margin), field - margin
    heading = rng.uniform(0, 2 * np.pi)
    velocity = rng.uniform(*situation.speed) * np.array([np.cos(heading), np.sin(heading)])
    start = rng.uniform(low, high)
    if situation.meet:
        meeting = field / 2 + rng.uniform(-6, 6, 2)
        start = meeting - velocity * config.frames / 2
    return Sprite(
        category=category,
        radius=radius,
        colour=colour,
        start=start,
        velocity=velocity,
        low=low,
        high=high,
        angle=float(rng.uniform(0, 2 * np.pi)),
        spin=float(rng.uniform(-0.1, 0.1)) * (not still),
        outline=_outline(rng) if situation.blobs else None,
    )


def _outline(rng: np.random.Generator) -> Floats:
    """Draw amplitudes and phases of a blob, as `Sprite.outline`."""
    return np.array([rng.normal(0, 0.5 / _HARMONICS), rng.uniform(0, 2 * np.pi, 4)])


def _passing(config: SyntheticData, situation: Situation, rng: np.random.Generator) -> Sprite:
    """Draw a disc on a straight, level way; its class is the direction.

    Both directions have the same places and the same sets of frames, so the class is in no single
    frame, nor in several without their order.
    """
    field, radius = np.array([config.width, config.height], float), float(rng.uniform(9, 15))
    low, high = np.full(2, 0.5 * radius), field - 0.5 * radius
    steps = max(config.frames - 1, 1)
    speed = min(float(rng.uniform(*situation.speed)), 0.6 * (high[0] - low[0]) / steps)
    start = np.array([rng.uniform(low[0], high[0] - speed * steps), rng.uniform(low[1], high[1])])
    rightwards = bool(rng.random() < 0.5)
    if not rightwards:
        start[0] += speed * steps
    return Sprite(
        category=int(rightwards),
        radius=radius,
        colour=COLOURLESS,
        start=start,
        velocity=np.array([speed if rightwards else -speed, 0.0]),
        low=low,
        high=high,
        angle=0.0,
        spin=0.0,
        outline=np.zeros((2, 4)),  # a disc, whatever the class
    )


def _background(size: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw a static, smooth, greyish pattern [H, W, 3]."""
    rows, columns = np.meshgrid(*(np.linspace(0, 1, s) for s in size), indexing="ij")
    pattern = np.full((*size, 3), rng.uniform(70, 170))
    for _ in range(4):
        frequency, phase = rng.uniform(-8, 8, 2), rng.uniform(0, 2 * np.pi)
        wave = np.sin(frequency[0] * rows + frequency[1] * columns + phase)
        pattern = pattern + wave[..., None] * rng.uniform(-14, 14, 3)
    return pattern


def _pole(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw a pole in a quarter of the videos: a dark vertical bar in front of everything."""
    pole = np.zeros(size, bool)
    if rng.random() < 0.25:
        left = int(rng.integers(10, size[1] - 20))
        pole[:, left : left + int(rng.integers(4, 9))] = True
    return pole
