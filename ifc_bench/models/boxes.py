"""Boxes of instances over a clip, only for box-based matching (paper, Table 2(c))."""

from __future__ import annotations

from torch import Tensor


def overlap_and_distance(boxes: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Compute generalised IoU and L1 distance of paired tubes of boxes.

    Both are [P, T, 4], centre, width and height as fractions of the frame. Frames in which the
    `wanted` instance is not visible (an empty box) are ignored. Returns two tensors [P], the means
    over visible frames; 0 without visible frames.
    """
    from torchvision.ops import box_convert, generalized_box_iou_loss  # takes a second to import

    visible = wanted[..., 2:].prod(-1) > 0
    count = visible.sum(1).clamp(min=1)
    distance = (boxes - wanted).abs().sum(-1) * visible
    corners = [box_convert(b.flatten(0, 1), "cxcywh", "xyxy") for b in (boxes, wanted)]
    overlap = (1 - generalized_box_iou_loss(*corners)).view_as(visible) * visible
    return overlap.sum(1) / count, distance.sum(1) / count
