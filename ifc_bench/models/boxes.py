"""Boxes of instances over a clip, for box-based matching alone (paper, Table 2(c))."""

from __future__ import annotations

from torch import Tensor


def overlap_and_distance(boxes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Generalised IoU and L1 distance of paired tubes of boxes.

    Both are [P, T, 4], centre, width and height as fractions of the frame. Frames where the wanted
    instance is not visible (a box of no size) do not count. Returns two tensors [P], the means
    over visible frames; 0 where there is none.
    """
    from torchvision.ops import box_convert, generalized_box_iou_loss  # a second to import

    visible = wanted[..., 2:].prod(-1) > 0
    count = visible.sum(1).clamp(min=1)
    distance = (boxes - wanted).abs().sum(-1) * visible
    corners = [box_convert(b.flatten(0, 1), "cxcywh", "xyxy") for b in (boxes, wanted)]
    overlap = (1 - generalized_box_iou_loss(*corners)).view_as(visible) * visible
    return overlap.sum(1) / count, distance.sum(1) / count
