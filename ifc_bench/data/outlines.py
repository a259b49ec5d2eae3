"""Instances given by polygons, which are moved and scaled before they are drawn.

The released code does so: a mask that is drawn at the size of the file and then enlarged has other
pixels, which matters for small things.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ifc_bench.data.coco import drawn
from ifc_bench.data.youtube_vis import Polygons
from ifc_bench.masks import decode


@dataclass(frozen=True)
class Outlines:
    """The polygons of each instance of an image of height and width `size`."""

    polygons: list[Polygons]
    size: tuple[int, int]

    def crop(self, rows: slice, columns: slice) -> Outlines:
        """Move to the part of these rows and columns; what lies outside is cut when drawn."""
        size = (rows.stop - rows.start, columns.stop - columns.start)
        return Outlines(self._changed((1.0, 1.0), (columns.start, rows.start)), size)

    def resize(self, size: list[int]) -> Outlines:
        """Scale to another height and width."""
        scale = (size[1] / self.size[1], size[0] / self.size[0])
        return Outlines(self._changed(scale, (0, 0)), (size[0], size[1]))

    def draw(self) -> Tensor:
        """The masks, bool [I, 1, H, W]."""
        masks = torch.zeros(len(self.polygons), 1, *self.size, dtype=torch.bool)
        for row, polygons in enumerate(self.polygons):
            masks[row, 0] = torch.from_numpy(decode(drawn(polygons, self.size)))
        return masks

    def _changed(self, scale: tuple[float, float], less: tuple[int, int]) -> list[Polygons]:
        """Subtract a point x, y from every corner, then multiply."""

        def changed(polygon: list[float]) -> list[float]:
            corners = (np.reshape(polygon, (-1, 2)) - less) * scale
            return corners.ravel().tolist()

        return [[changed(polygon) for polygon in polygons] for polygons in self.polygons]
