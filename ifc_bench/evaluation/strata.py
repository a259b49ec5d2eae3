"""Groups of instances by area, span, number of frames with a mask, and occlusion.

A stratum works as the API's area ranges do: annotations outside it are ignored, and so are
unmatched detections outside it. No detection is outside a range of occlusion, as in OVIS's API.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ifc_bench.masks import Rle

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_THIRDS = (1 / 3, 2 / 3)


class Tube(Protocol):
    """An annotated or a predicted instance."""

    @property
    def rles(self) -> list[Rle | None]:
        """One mask or None for each frame."""

    @property
    def pixels(self) -> Array:
        """Pixels of the mask in each frame [L]; 0 where it has none."""

    @property
    def area(self) -> float:
        """Mean pixels over the frames with a mask."""


def seen(tube: Tube) -> float:
    """The number of frames with a mask that is not empty."""
    return float(np.count_nonzero(tube.pixels))


def span(tube: Tube) -> float:
    """Frames from the first to the last with a mask: the length of its track, gaps included."""
    frames = tube.pixels.nonzero()[0]
    return float(frames[-1] - frames[0] + 1) if frames.size else 0.0


def occluded(tube: Tube) -> float:
    """The occlusion of an annotation, from 0 to 1; NaN, which is in every range, if unknown."""
    found = getattr(tube, "occluded", None)
    return float("nan") if found is None else found


ATTRIBUTES = {"area": lambda tube: tube.area, "span": span, "seen": seen}


@dataclass(frozen=True)
class Stratum:
    """Instances with an attribute from `low` to `high`, both included."""

    attribute: str
    low: float
    high: float


AREA_RANGES = (
    Stratum("area", 0.0, 1e10),
    Stratum("area", 0.0, 128.0**2),
    Stratum("area", 128.0**2, 256.0**2),
    Stratum("area", 256.0**2, 1e10),
)

OCCLUSION_RANGES = {
    "light": Stratum("occlusion", 0.0, 0.25),
    "medium": Stratum("occlusion", 0.25, 0.5),
    "heavy": Stratum("occlusion", 0.5, 1.0),
}


def thirds(truths: Sequence[Tube]) -> list[Stratum]:
    """Split `truths` into three strata of each attribute, with about a third of them in each.

    Fewer if many share a value; none if all share it.
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


def outside(tubes: Sequence[Tube], strata: Sequence[Stratum]) -> Flags:
    """Flags [A, len(tubes)] of the tubes outside each stratum."""
    values = {
        name: np.array([attribute(tube) for tube in tubes], float)
        for name, attribute in {**ATTRIBUTES, "occlusion": occluded}.items()
        if any(stratum.attribute == name for stratum in strata)
    }
    rows = [(values[s.attribute] < s.low) | (values[s.attribute] > s.high) for s in strata]
    return np.array(rows).reshape(len(strata), len(tubes))
