"""Hungarian matching of queries with instances, by similarity (paper, Section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ifc_bench.config import LossConfig
from ifc_bench.models.boxes import overlap_and_distance
from ifc_bench.structures import Target

Pairs = tuple[Tensor, Tensor]
Assign = Callable[[Tensor], Pairs]


def dice(masks: Tensor, targets: Tensor) -> Tensor:
    """Compute the smoothed DICE of every mask with every target, over the whole clip at once.

    `masks` [Q, P] are probabilities, `targets` [I, P] are in 0..1. Returns [Q, I].
    """
    overlap = masks @ targets.T
    return (2 * overlap + 1) / (masks.sum(1)[:, None] + targets.sum(1)[None] + 1)


def hungarian(similarity: Tensor) -> Pairs:
    """Return the assignment with the highest total `similarity` [Q, I]."""
    return hungarian_all([similarity])[0]


def hungarian_all(similarities: Sequence[Tensor]) -> list[Pairs]:
    """Do the same for several, each [Q, I]; the host waits for a GPU once."""
    # The trainer detects a loss that is not finite, so NaN must not raise an error here.
    flat = torch.cat([one.float().flatten() for one in similarities]).nan_to_num(0.0).cpu().numpy()
    ends = np.cumsum([one.numel() for one in similarities])[:-1]
    found = [
        linear_sum_assignment(values.reshape(one.shape), maximize=True)
        for values, one in zip(np.split(flat, ends), similarities, strict=True)
    ]
    places = torch.from_numpy(np.concatenate([part for pair in found for part in pair]))
    parts = places.to(similarities[0].device).split([len(part) for pair in found for part in pair])
    return list(zip(parts[::2], parts[1::2], strict=True))


@torch.no_grad()
def match(
    class_probabilities: Tensor,
    mask_logits: Tensor,
    target: Target,
    dice_weight: float,
    assign: Assign = hungarian,
) -> tuple[Tensor, Tensor]:
    """Maximise the similarity of masks over one clip (`mask_similarity`).

    Args:
        class_probabilities: [Q, K + 1].
        mask_logits: [Q, T, h, w] at the target's stride.
        target: the clip's I instances.
        dice_weight: lambda0.
        assign: returns pairs from similarities [Q, I].

    Returns:
        Indices of queries (ascending) and of instances, int64 [min(Q, I)] each.
    """
    return assign(mask_similarity(class_probabilities, mask_logits, target, dice_weight))


@torch.no_grad()
def mask_similarity(
    class_probabilities: Tensor, mask_logits: Tensor, target: Target, dice_weight: float
) -> Tensor:
    """Compute p(class) + dice_weight * DICE of every query with every instance, [Q, I]."""
    similarity = class_probabilities[:, target.classes]
    if len(target.classes):
        similarity = similarity + dice_weight * dice(
            mask_logits.flatten(1).sigmoid(), target.masks.flatten(1)
        )
    return similarity


@torch.no_grad()
def box_similarity(
    class_probabilities: Tensor, boxes: Tensor, target: Target, config: LossConfig
) -> Tensor:
    """Compute p(class) + box_giou * GIoU - box_l1 * L1, averaged over visible frames, [Q, I].

    This is DETR's and VisTR's matching (paper, Table 2(c), "box-based").

    Args:
        class_probabilities: [Q, K + 1].
        boxes: [Q, T, 4], centre, width and height.
        target: the clip's I instances, with boxes.
        config: the weights.
    """
    assert target.boxes is not None
    queries, instances = len(boxes), len(target.classes)
    pairs = boxes[:, None].expand(-1, instances, -1, -1).flatten(0, 1)
    wanted = target.boxes[None].expand(queries, -1, -1, -1).flatten(0, 1)
    overlap, distance = overlap_and_distance(pairs, wanted)
    located = config.box_giou * overlap - config.box_l1 * distance
    return class_probabilities[:, target.classes] + located.unflatten(0, (queries, instances))
