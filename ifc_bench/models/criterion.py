"""Training loss: class, focal and DICE loss on every decoder layer (paper, Section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ifc_bench.config import LossConfig
from ifc_bench.models.boxes import overlap_and_distance
from ifc_bench.models.matcher import (
    Assign,
    Pairs,
    box_similarity,
    hungarian_all,
    mask_similarity,
)
from ifc_bench.structures import Prediction, Target

Average = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Normalisers:
    """Divisors of the losses of a batch.

    Attributes:
        instances: number of instances, at least 1, for masks and boxes.
        class_weight: sum of the class weights over all queries.
    """

    instances: Tensor
    class_weight: Tensor

    def weight(self, of_part: Tensor) -> Tensor:
        """The sum of the class weights, in place of that of a part."""
        return self.class_weight.to(of_part.dtype)


def normalisers(
    targets: list[Target], queries: int, config: LossConfig, average: Average
) -> Normalisers:
    """The normalisers of a whole batch, of which `losses` is called for a part.

    Every instance is matched, as long as there are queries.
    """
    matched = sum(min(queries, len(target.classes)) for target in targets)
    weight = matched + (queries * len(targets) - matched) * config.no_object
    instances = sum(len(target.classes) for target in targets)
    found = average(targets[0].masks.new_tensor([instances, weight], dtype=torch.float64))
    return Normalisers(found[0].clamp(min=1), found[1])


def loss_names(config: LossConfig) -> tuple[str, ...]:
    """Return the names of the loss terms that `losses` returns."""
    boxes = ("box_l1", "box_giou") if config.matching == "boxes" else ()
    return ("classes", "focal", "dice", *boxes)


def losses(
    prediction: Prediction,
    targets: list[Target],
    config: LossConfig,
    average: Average = lambda value: value,
    assign: Assign | None = None,
    whole: Normalisers | None = None,
) -> dict[str, Tensor]:
    """Compute the weighted losses, summed over decoder layers, in float32.

    Masks are compared at the targets' stride, to which predicted logits are upsampled bilinearly.
    Mask and box losses are normalised by the number of instances in the batch (at least 1), the
    class loss by its weights. `average` takes the mean of a tensor over all processes; with it
    both normalisers are those of the whole batch, so that averaged gradients equal those of one
    process. (The released code normalises the class loss in each process alone.)
    `assign` returns pairs of queries and instances from their similarities; None is Hungarian
    matching of all clips together, for which the host waits for a GPU once a layer. `whole`: the
    normalisers, if this batch is a part of another.

    Returns:
        Scalars by `loss_names`; their sum is the loss.
    """
    exact = _exact(prediction.class_logits).dtype
    targets = [replace(target, masks=target.masks.to(exact)) for target in targets]
    weigh = average
    if whole is None:
        instances = sum(len(target.classes) for target in targets)
        # In one expression: what has a name here lives as long as the losses are computed.
        count = average(prediction.class_logits.new_tensor(instances, dtype=torch.float32)).clamp(
            min=1
        )
    else:
        count, weigh = whole.instances.to(exact), whole.weight
    parts = []
    for layer in (*prediction.auxiliary, prediction):  # one by one, for their masks are large
        resized = replace(
            layer,
            class_logits=_exact(layer.class_logits),
            mask_logits=_at_size(_exact(layer.mask_logits), targets[0].masks.shape[-2:]),
        )
        pairs = _pairs(resized, targets, config, assign)
        parts.append(_layer_losses(resized, targets, config, count, weigh, pairs))
        del resized
    return {name: torch.stack([part[name] for part in parts]).sum() for name in parts[0]}


def _layer_losses(
    prediction: Prediction,
    targets: list[Target],
    config: LossConfig,
    count: Tensor,
    average: Average,
    pairs: list[Pairs],
) -> dict[str, Tensor]:
    logits, masks = prediction.class_logits, prediction.mask_logits
    wanted = torch.full(logits.shape[:2], logits.shape[-1] - 1, device=logits.device)
    for index, (queries, instances) in enumerate(pairs):
        wanted[index, queries] = targets[index].classes[instances]
    clips = torch.cat([torch.full_like(q, index) for index, (q, _) in enumerate(pairs)])
    drawn = masks[clips, torch.cat([q for q, _ in pairs])].flatten(1)
    true = torch.cat([t.masks[i].flatten(1) for t, (_, i) in zip(targets, pairs, strict=True)])
    parts = {
        "classes": _class_loss(logits, wanted, config, average),
        "focal": config.focal * _focal(drawn, true, config) / count,
        "dice": config.dice * _dice_loss(drawn, true) / count,
    }
    if config.matching == "boxes":
        overlap, distance = _paired_boxes(prediction, targets, pairs)
        parts["box_l1"] = config.box_l1 * distance.sum() / count
        parts["box_giou"] = config.box_giou * (1 - overlap).sum() / count
    return parts


def _pairs(
    prediction: Prediction, targets: list[Target], config: LossConfig, assign: Assign | None
) -> list[Pairs]:
    """Match queries with instances in every clip."""
    if assign is not None:
        return [assign(one) for one in _similarities(prediction, targets, config)]
    return hungarian_all(_similarities(prediction, targets, config))


@torch.no_grad()
def _similarities(
    prediction: Prediction, targets: list[Target], config: LossConfig
) -> list[Tensor]:
    """Compute the similarity of queries with instances in every clip, [Q, I] each."""
    probabilities = prediction.class_logits.softmax(-1)
    if config.matching == "masks":
        masks = prediction.mask_logits
        return [
            mask_similarity(probabilities[index], masks[index], target, config.match_dice)
            for index, target in enumerate(targets)
        ]
    boxes = prediction.boxes
    assert boxes is not None, "matching on boxes needs model.box_frames"
    return [
        box_similarity(probabilities[index], boxes[index].float(), target, config)
        for index, target in enumerate(targets)
    ]


def _paired_boxes(
    prediction: Prediction, targets: list[Target], pairs: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Compute generalised IoU and L1 distance of all matched pairs."""
    assert prediction.boxes is not None
    found, wanted = [], []
    for index, (target, (queries, instances)) in enumerate(zip(targets, pairs, strict=True)):
        assert target.boxes is not None
        found.append(prediction.boxes[index, queries].float())
        wanted.append(target.boxes[instances])
    return overlap_and_distance(torch.cat(found), torch.cat(wanted))


def _exact(logits: Tensor) -> Tensor:
    """Half precision as float32; others as they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _class_loss(logits: Tensor, wanted: Tensor, config: LossConfig, average: Average) -> Tensor:
    """Compute cross-entropy with a weight for "no object", divided by the sum of weights."""
    weight = torch.ones(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    weight[-1] = config.no_object
    total = F.cross_entropy(logits.transpose(1, 2), wanted, weight, reduction="sum")
    return total / average(weight[wanted].sum())


def _at_size(masks: Tensor, size: torch.Size) -> Tensor:
    """Resize mask logits [B, Q, T, h, w] bilinearly to `size`."""
    if masks.shape[-2:] == size:
        return masks
    resized = F.interpolate(masks.flatten(1, 2), size=size, mode="bilinear", align_corners=False)
    return resized.unflatten(1, masks.shape[1:3])


def _focal(logits: Tensor, targets: Tensor, config: LossConfig) -> Tensor:
    """Compute the sigmoid focal loss, averaged over the pixels of a tube, summed over tubes."""
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    hit = probability * targets + (1 - probability) * (1 - targets)
    balance = config.focal_alpha * targets + (1 - config.focal_alpha) * (1 - targets)
    return (balance * entropy * (1 - hit) ** config.focal_gamma).mean(1).sum()


def _dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute 1 - smoothed DICE of matched tubes, summed."""
    probability = logits.sigmoid()
    overlap = (probability * targets).sum(1)
    return (1 - (2 * overlap + 1) / (probability.sum(1) + targets.sum(1) + 1)).sum()
