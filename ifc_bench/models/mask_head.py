"""Class head, spatial decoder and dynamic masks (paper, Section 3.1 and Figure 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifc_bench.structures import Prediction


class Perceptron(nn.Module):
    """MLP of `layers` linear layers of one width with ReLU between them, and `outputs` outputs."""

    def __init__(self, width: int, outputs: int, layers: int) -> None:
        super().__init__()
        sizes = [width] * (layers - 1) + [outputs]
        self.layers = nn.ModuleList(nn.Linear(width, size) for size in sizes)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class SpatialDecoder(nn.Module):
    """Upsamples each frame's tokens to the mask stride, adding one lateral backbone map per level.

    3x3 convolution and group norm at each level, ReLU after the last, then a depthwise separable
    5x5 convolution with a ReLU after each half and no norm. Frames are processed independently.
    """

    def __init__(self, width: int, laterals: list[int], groups: int) -> None:
        super().__init__()
        levels = len(laterals) + 1
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(levels))
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for _ in range(levels))
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in laterals)
        self.depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.pointwise = nn.Conv2d(width, width, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, laterals: list[Tensor]) -> Tensor:
        """Upsample `x` [F, C, h, w] with backbone maps, coarse to fine; returns [F, C, H, W]."""
        x = self.norms[0](self.smooth[0](x))
        levels = zip(self.laterals, laterals, self.smooth[1:], self.norms[1:], strict=True)
        for project, lateral, smooth, norm in levels:
            side = project(lateral)
            x = norm(smooth(side + F.interpolate(x, size=side.shape[-2:], mode="nearest")))
        return F.relu(self.pointwise(F.relu(self.depthwise(F.relu(x)))))


class Heads(nn.Module):
    """Class head (2 layers); masks by dynamic 1x1 convolution with each query's C-vector.

    With `box_frames` > 0, a third head (3 layers, as in DETR) predicts that many boxes per query.
    """

    def __init__(
        self, width: int, classes: int, spatial: SpatialDecoder, box_frames: int = 0
    ) -> None:
        super().__init__()
        self.classes = classes
        self.classify = Perceptron(width, classes + 1, layers=2)
        self.convolve = Perceptron(width, width, layers=3)
        self.spatial: nn.Module = spatial
        self.locate = Perceptron(width, 4 * box_frames, layers=3) if box_frames else None

    def pixels(self, tokens: Tensor, laterals: list[Tensor]) -> Tensor:
        """Compute mask features [B*T, C, H, W] from encoded maps [B*T, C, h, w]."""
        pixels: Tensor = self.spatial(tokens, laterals)
        return pixels

    def forward(self, embeddings: Tensor, pixels: Tensor) -> Prediction:
        """Predict the instances of `embeddings` [B, Q, C] from `pixels` [B, T, C, H, W]."""
        kernels = self.convolve(embeddings)[:, None]  # [B, 1, Q, C]
        masks = torch.matmul(kernels, pixels.flatten(3))  # [B, T, Q, H*W]
        masks = masks.unflatten(-1, pixels.shape[-2:]).transpose(1, 2)
        boxes = None
        if self.locate is not None and self.training:
            boxes = self.locate(embeddings).sigmoid().unflatten(-1, (-1, 4))
        return Prediction(self.classify(embeddings), masks, boxes=boxes)
