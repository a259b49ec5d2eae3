"""The training loss: classes, focal and DICE on every decoder layer (paper, Section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ifc_bench.config import LossConfig
from ifc_bench.models.matcher import match
from ifc_bench.structures import Prediction, Target


def losses(prediction: Prediction, targets: list[Target], config: LossConfig) -> dict[str, Tensor]:
    """Weighted losses, summed over decoder layers.

    Masks are compared at the targets' stride, to which predicted logits are upsampled bilinearly;
    mask losses are normalised by the number of instances in the batch (at least 1).

    Returns:
        Scalars "classes", "focal" and "dice"; their sum is the loss.
    """
    layers = [*prediction.auxiliary, prediction]
    parts = [_layer_losses(layer, targets, config) for layer in layers]
    return {name: torch.stack([part[name] for part in parts]).sum() for name in parts[0]}


def _layer_losses(
    prediction: Prediction, targets: list[Target], config: LossConfig
) -> dict[str, Tensor]:
    logits = prediction.class_logits
    masks = _at_size(prediction.mask_logits, targets[0].masks.shape[-2:])
    probabilities = logits.softmax(-1)
    wanted = torch.full(logits.shape[:2], logits.shape[-1] - 1, device=logits.device)
    chosen, truth = [], []
    for index, target in enumerate(targets):
        queries, instances = match(probabilities[index], masks[index], target, config.match_dice)
        wanted[index, queries] = target.classes[instances]
        chosen.append(masks[index, queries].flatten(1))
        truth.append(target.masks[instances].flatten(1))
    weight = torch.ones(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    weight[-1] = config.no_object
    instances_total = max(sum(len(target.classes) for target in targets), 1)
    drawn, true = torch.cat(chosen), torch.cat(truth)
    return {
        "classes": F.cross_entropy(logits.transpose(1, 2), wanted, weight),
        "focal": config.focal * _focal(drawn, true, config) / instances_total,
        "dice": config.dice * _dice_loss(drawn, true) / instances_total,
    }


def _at_size(masks: Tensor, size: torch.Size) -> Tensor:
    """Mask logits [B, Q, T, h, w] resized bilinearly to `size`."""
    if masks.shape[-2:] == size:
        return masks
    resized = F.interpolate(masks.flatten(1, 2), size=size, mode="bilinear", align_corners=False)
    return resized.unflatten(1, masks.shape[1:3])


def _focal(logits: Tensor, targets: Tensor, config: LossConfig) -> Tensor:
    """Sigmoid focal loss, the mean over the pixels of a tube, summed over tubes."""
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    hit = probability * targets + (1 - probability) * (1 - targets)
    balance = config.focal_alpha * targets + (1 - config.focal_alpha) * (1 - targets)
    return (balance * entropy * (1 - hit) ** config.focal_gamma).mean(1).sum()


def _dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - smoothed DICE of matched tubes, summed."""
    probability = logits.sigmoid()
    overlap = (probability * targets).sum(1)
    return (1 - (2 * overlap + 1) / (probability.sum(1) + targets.sum(1) + 1)).sum()
