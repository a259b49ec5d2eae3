"""torchvision's ResNets as a backbone. A separate file: importing torchvision takes a second."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

from ifc_bench.config import ResNetBackbone
from ifc_bench.models.backbone import FeatureExtractor


class FrozenBatchNorm(FrozenBatchNorm2d):  # type: ignore[misc]  # torchvision has no types
    """torchvision's frozen batch norm, run as one fused operation (as in detectron2)."""

    def forward(self, x: Tensor) -> Tensor:
        statistics = (self.running_mean, self.running_var)
        return F.batch_norm(x, *statistics, self.weight, self.bias, training=False, eps=self.eps)


class ResNet(FeatureExtractor):
    """torchvision's ResNet-18, -50 or -101 with frozen batch norm; strides 8, 16 and 32."""

    def __init__(self, config: ResNetBackbone) -> None:
        msra = config.convention == "msra"
        super().__init__(bgr_without_scale=msra)
        self.depth = config.depth
        make = getattr(torchvision.models, f"resnet{config.depth}")
        self.body = make(weights=None, norm_layer=FrozenBatchNorm)
        del self.body.fc, self.body.avgpool
        self.channels = (128, 256, 512) if config.depth == 18 else (512, 1024, 2048)
        self.strides = config.strides
        body = self.body
        stages = (body.layer1, body.layer2, body.layer3, body.layer4)
        if msra and config.depth != 18:
            for stage in stages:
                stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, (1, 1)
        for stage in (body.conv1, *stages)[: config.frozen_stages]:
            stage.requires_grad_(False)

    def fold(self) -> None:
        """Merge every frozen batch norm into the convolution before it; training needs both."""
        for owner, name, norm_name in list(_normed(self.body)):
            convolution, norm = getattr(owner, name), getattr(owner, norm_name)
            weight, mean, variance, scale, shift = (  # float64: a scale's rounding is a channel's
                x.double()
                for x in (
                    convolution.weight,
                    norm.running_mean,
                    norm.running_var,
                    norm.weight,
                    norm.bias,
                )
            )
            merged = fuse_conv_bn_weights(weight, None, mean, variance, norm.eps, scale, shift)
            convolution.weight, convolution.bias = (
                nn.Parameter(x.to(norm.weight.dtype), requires_grad=False) for x in merged
            )
            setattr(owner, norm_name, nn.Identity())

    def forward(self, frames: Tensor) -> list[Tensor]:
        body = self.body
        x = body.maxpool(body.relu(body.bn1(body.conv1(frames))))
        x = body.layer1(x)
        maps = []
        for stage in (body.layer2, body.layer3, body.layer4):
            x = stage(x)
            maps.append(x)
        return maps


def _normed(body: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Every convolution of a ResNet and its norm: the module that holds them, and their names."""
    for owner in body.modules():
        names = dict(owner.named_children())
        for name in names:
            norm = {"0": "1"}.get(name) or name.replace("conv", "bn")
            if name != norm and isinstance(names.get(norm), FrozenBatchNorm):
                yield owner, name, norm
