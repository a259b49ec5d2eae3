"""The spatial decoder in two halves: one for each frame of a video, one for each window.

Its 3x3 convolutions are linear: smooth(side + up(x)) = smooth(side) + smooth(up(x)), and a side, a
projected lateral map, does not depend on the window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifc_bench.models.mask_head import SpatialDecoder


class Beside(nn.Module):
    """The half that needs no window: lateral maps, projected and smoothed, with the bias."""

    def __init__(self, spatial: SpatialDecoder) -> None:
        super().__init__()
        self.laterals, self.smooth = spatial.laterals, spatial.smooth[1:]

    def forward(self, laterals: list[Tensor]) -> list[Tensor]:
        """Map `laterals` [F, C_i, h_i, w_i], fine to coarse, to [F, C, h_i, w_i] in this order."""
        levels = zip(laterals, reversed(self.laterals), reversed(self.smooth), strict=True)
        return [smooth(project(lateral)) for lateral, project, smooth in levels]


class Upsampling(nn.Module):
    """The other half, which takes the output of `Beside` for its laterals."""

    def __init__(self, spatial: SpatialDecoder) -> None:
        super().__init__()
        self.first = spatial.smooth[0]
        self.ups = nn.ModuleList(SmoothedUp(smooth) for smooth in spatial.smooth[1:])
        self.norms = spatial.norms
        self.depthwise, self.pointwise = spatial.depthwise, spatial.pointwise

    def forward(self, x: Tensor, sides: list[Tensor]) -> Tensor:
        """Upsample `x` [F, C, h, w] with `sides`, coarse to fine; returns [F, C, H, W]."""
        x = self.norms[0](self.first(x))
        for up, side, norm in zip(self.ups, sides, self.norms[1:], strict=True):
            x = norm(up(x, side))
        x = self.depthwise(F.relu(x, inplace=True))
        return F.relu(self.pointwise(F.relu(x, inplace=True)), inplace=True)


class SmoothedUp(nn.Module):
    """A 3x3 convolution, padded by 1, of a map enlarged by nearest 2x, plus another map.

    Two of its three rows see the same row of the small map, so each output row of two is a
    convolution with two rows, and so with columns: four 2x2 kernels on the small map, with 16
    products in place of 36. Where the enlarged map is cut to an odd size, its last row or column
    sees padding instead of the cell's second copy, and is computed from the enlarged map.
    """

    weight: Tensor
    phases: Tensor

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        assert isinstance(convolution, nn.Conv2d)
        weight = convolution.weight.detach()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("phases", _phases(weight), persistent=False)

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        """Enlarge `x` [F, C, h, w] to the size of `side` [F, C', H, W], convolve and add."""
        height, width = side.shape[-2:]
        halved = (-(-height // 2), -(-width // 2)) == x.shape[-2:]
        if not halved or min(x.shape[-2:]) < 2:
            enlarged = F.interpolate(x, size=(height, width), mode="nearest")
            return side + F.conv2d(enlarged, self.weight, padding=1)
        small = F.conv2d(x, self.phases, padding=1)  # [F, 4C', h + 1, w + 1]
        out = torch.empty_like(side)
        for place, phase in enumerate(small.chunk(4, 1)):
            i, j = divmod(place, 2)
            here = (..., slice(i, None, 2), slice(j, None, 2))
            rows, columns = out[here].shape[-2:]
            out[here] = side[here] + phase[..., i : i + rows, j : j + columns]
        if height % 2:
            last = F.interpolate(x[..., -2:, :], scale_factor=2)[..., 1:3, :width]
            row = F.conv2d(last, self.weight[:, :, :2], padding=(0, 1))
            out[..., -1:, :] = side[..., -1:, :] + row
        if width % 2:
            last = F.interpolate(x[..., -2:], scale_factor=2)[..., :height, 1:3]
            column = F.conv2d(last, self.weight[..., :2], padding=(1, 0))
            out[..., -1:] = side[..., -1:] + column
        return out


def _phases(weight: Tensor) -> Tensor:
    """The four 2x2 kernels [4C', C, 2, 2] of a 3x3 kernel [C', C, 3, 3], row by row."""
    first, second, third = weight.unbind(2)
    rows = (torch.stack((first, second + third), 2), torch.stack((first + second, third), 2))
    kernels = []
    for row in rows:
        first, second, third = row.unbind(3)
        kernels += [
            torch.stack((first, second + third), 3),
            torch.stack((first + second, third), 3),
        ]
    return torch.cat(kernels)
