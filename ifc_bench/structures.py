"""Data structures passed between packages: targets, predictions and tracks."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ifc_bench.masks import Rle


@dataclass(frozen=True)
class Target:
    """The instances of one clip.

    Attributes:
        classes: int64 [I], contiguous from 0.
        masks: float32 [I, T, h, w] at the supervision stride; 0 where an instance is not visible.
        boxes: float32 [I, T, 4], centre, width and height as fractions of the clip's frame; all 0
            where an instance is not visible. None unless boxes are needed.
    """

    classes: Tensor
    masks: Tensor
    boxes: Tensor | None = None

    def to(self, device: torch.device) -> Target:
        """Copy to `device`; from pinned memory without waiting."""
        classes, masks = (t.to(device, non_blocking=True) for t in (self.classes, self.masks))
        boxes = None if self.boxes is None else self.boxes.to(device, non_blocking=True)
        return Target(classes, masks, boxes)

    def pin_memory(self) -> Target:
        """Copy to memory that a GPU copies from by itself."""
        boxes = None if self.boxes is None else self.boxes.pin_memory()
        return Target(self.classes.pin_memory(), self.masks.pin_memory(), boxes)


@dataclass(frozen=True)
class Prediction:
    """Output of the network for a batch of clips.

    Attributes:
        class_logits: [B, Q, K + 1]; the last class is "no object".
        mask_logits: [B, Q, T, h, w] at the model's mask stride.
        auxiliary: predictions of the earlier decoder layers, first layer first; empty in
            evaluation.
        boxes: [B, Q, T, 4], centre, width and height in 0..1; None without a box head, and in
            evaluation.
    """

    class_logits: Tensor
    mask_logits: Tensor
    auxiliary: list[Prediction] = field(default_factory=list)
    boxes: Tensor | None = None

    def split(self, parts: int) -> list[Prediction]:
        """Split the Q instances into equal `parts`."""
        boxes = [None] * parts if self.boxes is None else self.boxes.chunk(parts, 1)
        pairs = zip(
            self.class_logits.chunk(parts, 1), self.mask_logits.chunk(parts, 1), strict=True
        )
        return [
            Prediction(classes, masks, boxes=located)
            for (classes, masks), located in zip(pairs, boxes, strict=True)
        ]


@dataclass(frozen=True)
class Track:
    """One instance over a video.

    Attributes:
        class_probabilities: [K + 1], the mean over the windows that contain the track.
        segmentations: one RLE for each frame, or None where the track has no mask.
    """

    class_probabilities: Tensor
    segmentations: list[Rle | None]
