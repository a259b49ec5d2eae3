"""torchvision's ResNets as a backbone. A separate file: importing torchvision takes a second."""

from __future__ import annotations

import torch.nn.functional as F
import torchvision
from torch import Tensor
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

    def forward(self, frames: Tensor) -> list[Tensor]:
        body = self.body
        x = body.maxpool(body.relu(body.bn1(body.conv1(frames))))
        x = body.layer1(x)
        maps = []
        for stage in (body.layer2, body.layer3, body.layer4):
            x = stage(x)
            maps.append(x)
        return maps
