"""Groups of instances by what they look like: area, span and frames seen.

A stratum works as the API's area ranges do: truths outside it are ignored, and so are unmatched
detections outside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from ifc_bench.masks import Rle, areas

_THIRDS = (1 / 3, 2 / 3)


class Tube(Protocol):
    """An annotated or a predicted instance."""

    @property
    def rles(self) -> list[Rle | None]:
        """One mask or None for each frame."""

    @property
    def area(self) -> float:
        """Mean pixels over the frames with a mask."""


def seen(tube: Tube) -> float:
    """The number of frames with a mask that is not empty."""
    return float((areas(tube.rles) > 0).sum())


def span(tube: Tube) -> float:
    """Frames from the first to the last with a mask: the length of its track, gaps included."""
    frames = np.flatnonzero(areas(tube.rles) > 0)
    return float(frames[-1] - frames[0] + 1) if frames.size else 0.0


ATTRIBUTES: dict[str, Callable[[Tube], float]] = {
    "area": lambda tube: tube.area,
    "span": span,
    "seen": seen,
}


@dataclass(frozen=True)
class Stratum:
    """Instances whose attribute lies within `low` and `high`, both included."""

    attribute: str
    low: float
    high: float


AREA_RANGES = (
    Stratum("area", 0.0, 1e10),
    Stratum("area", 0.0, 128.0**2),
    Stratum("area", 128.0**2, 256.0**2),
    Stratum("area", 256.0**2, 1e10),
)


def thirds(truths: Sequence[Tube]) -> list[Stratum]:
    """Three strata of each attribute that hold about a third of `truths` each.

    Fewer where many truths share a value: an attribute that all share gives none.
    """
    strata = []
    for name, attribute in ATTRIBUTES.items():
        values = np.array([attribute(truth) for truth in truths])
        if not values.size:
            continue
        cuts = sorted(
            {float(np.quantile(values, q, method="inverted_cdf")) for q in _THIRDS} - {values.max()}
        )
        edges = [values.min(), *cuts, values.max()]
        if len(edges) < 3:
            continue
        for index, (low, high) in enumerate(pairwise(edges)):
            lowest = float(low if index == 0 else np.nextafter(low, np.inf))
            strata.append(Stratum(name, lowest, float(high)))
    return strata
