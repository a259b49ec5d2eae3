"""Which query answers for which instance: Hungarian matching on similarity (paper, Section 3.2)."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ifc_bench.structures import Target


def dice(masks: Tensor, targets: Tensor) -> Tensor:
    """The smoothed DICE of every mask with every target, over the whole clip at once.

    `masks` [Q, P] are probabilities, `targets` [I, P] lie in 0..1. Returns [Q, I].
    """
    overlap = masks @ targets.T
    return (2 * overlap + 1) / (masks.sum(1)[:, None] + targets.sum(1)[None] + 1)


@torch.no_grad()
def match(
    class_probabilities: Tensor, mask_logits: Tensor, target: Target, dice_weight: float
) -> tuple[Tensor, Tensor]:
    """Maximise p(class) + dice_weight * DICE over one clip.

    Args:
        class_probabilities: [Q, K + 1].
        mask_logits: [Q, T, h, w] at the target's stride.
        target: the clip's I instances.
        dice_weight: lambda0.

    Returns:
        Indices of queries (ascending) and of instances, int64 [min(Q, I)] each.
    """
    similarity = class_probabilities[:, target.classes]
    if len(target.classes):
        similarity = similarity + dice_weight * dice(
            mask_logits.flatten(1).sigmoid(), target.masks.flatten(1)
        )
    # A loss that is not finite is for the trainer to notice, so NaN must pass through here.
    finite = similarity.float().nan_to_num(0.0).cpu().numpy()
    queries, instances = linear_sum_assignment(finite, maximize=True)
    device = mask_logits.device
    return torch.as_tensor(queries, device=device), torch.as_tensor(instances, device=device)
