"""Backbones: per-frame features at three strides, fine to coarse. This file has the small one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifc_bench.config import SmallBackbone

_MEAN = (123.675, 116.28, 103.53)  # ImageNet's, RGB in 0..255
_STD = (58.395, 57.12, 57.375)


class FeatureExtractor(nn.Module):
    """Maps normalised frames [F, 3, H, W] to feature maps at `strides`, fine to coarse.

    `channels` are the channels of the feature maps, in the same order.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    mean: Tensor
    std: Tensor

    def __init__(self, bgr_without_scale: bool = False) -> None:
        super().__init__()
        self.bgr = bgr_without_scale
        mean = torch.tensor(_MEAN).view(3, 1, 1)
        std = torch.tensor(_STD).view(3, 1, 1)
        if self.bgr:
            mean, std = mean.flip(0), torch.ones_like(std)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def normalise(self, frames: Tensor) -> Tensor:
        """Normalise RGB frames [..., 3, H, W] in 0..255, any dtype, as the weights expect."""
        if self.bgr:
            frames = frames.flip(-3)
        return (frames.to(self.mean.dtype) - self.mean) / self.std

    def fold(self) -> None:
        """Merge norms with fixed statistics into their convolutions, for inference alone.

        A backbone that has none stays as it is.
        """

    def forward(self, frames: Tensor) -> list[Tensor]:
        raise NotImplementedError


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group norm; a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.first_norm = nn.GroupNorm(8, outputs)
        self.second_norm = nn.GroupNorm(8, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class SmallNet(FeatureExtractor):
    """A stem at stride 2 and two residual blocks at each of strides 4 and 8.

    Every stage also gets the coordinates of its cells (as in CoordConv), so that mask features can
    distinguish identical instances by position. All variants share it.
    """

    def __init__(self, config: SmallBackbone) -> None:
        super().__init__()
        self.strides = config.strides
        stem, middle, top = config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(3 + 2, stem, 3, 2, 1, bias=False), nn.GroupNorm(8, stem), nn.ReLU()
        )
        self.middle = nn.Sequential(
            ResidualBlock(stem + 2, middle, 2), ResidualBlock(middle, middle, 1)
        )
        self.top = nn.Sequential(ResidualBlock(middle + 2, top, 2), ResidualBlock(top, top, 1))
        self.channels = config.widths

    def forward(self, frames: Tensor) -> list[Tensor]:
        maps = []
        x = frames
        for stage in (self.stem, self.middle, self.top):
            x = stage(_with_coordinates(x))
            maps.append(x)
        return maps


def _with_coordinates(x: Tensor) -> Tensor:
    """Append row and column of each cell, in -1..1: [F, C, H, W] -> [F, C + 2, H, W]."""
    axes = [torch.linspace(-1, 1, size, device=x.device, dtype=x.dtype) for size in x.shape[-2:]]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return torch.cat((x, grid.expand(x.shape[0], -1, -1, -1)), 1)
