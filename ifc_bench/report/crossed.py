"""Differences over seeds and videos together: would new seeds show them again, on new videos?

Seeds and videos are crossed: every training is tested on the same videos. The variance of a
difference has a part of the seeds and a part of the videos; what belongs to a seed and a video
together is in both, and taken off once. The part of the videos comes from draws of the videos with
replacement, the same draws for every training, so it is paired over videos.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ifc_bench.report.statistics import CONFIDENCE

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """One measure of one row.

    Attributes:
        values: of every seed [n].
        drawn: the same on every draw of the videos [n, B].
    """

    values: Floats
    drawn: Floats

    def of(self, seeds: Sequence[int]) -> Scores:
        """Those of some seeds, by their places."""
        return Scores(self.values[list(seeds)], self.drawn[list(seeds)])


@dataclass(frozen=True)
class Crossed:
    """B less A.

    Attributes:
        n: seeds of A and of B.
        videos: their number.
        mean: the difference of the means over seeds.
        seed_std: its std over other seeds, on these videos; None with one seed on a side.
        video_std: its std over other videos, with these seeds; None with one video.
        std: over other seeds on other videos; None where one of these is. With one seed, tested in
            two ways, it is over other videos, for these weights.
        freedom: degrees of freedom of `std` (Satterthwaite).
    """

    n: tuple[int, int]
    videos: int
    mean: float
    seed_std: float | None
    video_std: float | None
    std: float | None
    freedom: float | None

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
        """Student's interval; None without a `std`."""
        if self.std is None or self.freedom is None:
            return None
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.std
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float | None:
        """Two-sided p of no difference; None without a `std`."""
        if self.std is None or self.freedom is None:
            return None
        if self.std == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.std, self.freedom))


def crossed(a: Scores, b: Scores, videos: int) -> Crossed:
    """B less A, over independent seeds of both sides and the same `videos`."""
    mean, drawn = b.values.mean() - a.values.mean(), b.drawn.mean(0) - a.drawn.mean(0)
    return _combined((len(a.values), len(b.values)), [a, b], float(mean), drawn, videos)


def crossed_pairs(a: Scores, b: Scores, videos: int) -> Crossed:
    """The same where each seed is one training, tested in two ways; both have the same seeds.

    One seed will do: its weights are the same on both sides, so only the videos vary.
    """
    apart = Scores(b.values - a.values, b.drawn - a.drawn)
    n, mean = (len(a.values), len(b.values)), float(apart.values.mean())
    return _combined(n, [apart], mean, apart.drawn.mean(0), videos)


def _combined(
    n: tuple[int, int], sides: Sequence[Scores], mean: float, drawn: Floats, videos: int
) -> Crossed:
    """Add up the parts of the variance of `mean`, which is `drawn` [B] on draws of the videos.

    Draws without any instance have no value and are left out.
    """
    valid = np.isfinite(drawn)
    for side in sides:
        valid &= np.isfinite(side.drawn).all(0)
    of_seeds = of_videos = None
    # A draw of V videos has V - 1 free ones, so its variance is that much too small.
    grown = videos / max(videos - 1, 1)
    if videos > 1 and valid.sum() > 1:
        of_videos = grown * float(np.var(drawn[valid], ddof=1))
    if min(n) > 1:
        of_seeds = [float(np.var(side.values, ddof=1)) / len(side.values) for side in sides]
    seed_std = None if of_seeds is None else math.sqrt(sum(of_seeds))
    video_std = None if of_videos is None else math.sqrt(of_videos)
    if of_seeds is None or of_videos is None:
        alone = video_std if len(sides) == 1 and max(n) == 1 else None
        freedom = None if alone is None else float(videos - 1)
        return Crossed(n, videos, mean, seed_std, video_std, alone, freedom)
    shared = grown * sum(_interaction(side.drawn[:, valid]) for side in sides)
    total = max(sum(of_seeds) + of_videos - shared, *of_seeds, of_videos)
    parts = [(part, len(side.values) - 1) for part, side in zip(of_seeds, sides, strict=True)]
    spread = sum(part**2 / freedom for part, freedom in [*parts, (of_videos, videos - 1)])
    freedom = total**2 / spread if spread else float(videos - 1)
    return Crossed(n, videos, mean, seed_std, video_std, math.sqrt(total), freedom)


def _interaction(drawn: Floats) -> float:
    """The part of the variance of the mean over seeds that changes with seed and video together."""
    seeds = len(drawn)
    apart = drawn - drawn.mean(0)  # what a seed has beyond the others, on each draw
    return float(np.var(apart, axis=1, ddof=1).sum()) / (seeds - 1) / seeds
