"""Transforms of a clip: crop, resize, flip, pad.

All frames of a clip get the same random draw. Frames are resized bilinearly with antialiasing (as
in Pillow), masks to the nearest pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ifc_bench.config import Optimisation
from ifc_bench.data.outlines import Outlines
from ifc_bench.structures import Target


@dataclass(frozen=True)
class Sample:
    """One clip as it is on disk.

    Attributes:
        frames: uint8 RGB [T, 3, H, W].
        classes: int64 [I], contiguous from 0.
        masks: bool [I, T, H, W], or polygons, which `augment` draws at the final size.
    """

    frames: Tensor
    classes: Tensor
    masks: Tensor | Outlines


@dataclass(frozen=True)
class Clip:
    """A sample after the transforms, with `masks` in pixels: bool [I, T, H, W]."""

    frames: Tensor
    classes: Tensor
    masks: Tensor

    def flipped(self) -> Clip:
        """The clip from right to left."""
        return Clip(self.frames.flip(-1), self.classes, self.masks.flip(-1))


@dataclass(frozen=True)
class Batch:
    """Clips of one batch, padded at the right and bottom to the largest.

    Attributes:
        clips: uint8 [B, T, 3, H, W].
        targets: one for each clip, at the supervision stride.
        valid_sizes: int64 [B, 2], height and width before padding; None where nothing was padded.
    """

    clips: Tensor
    targets: list[Target]
    valid_sizes: Tensor | None = None

    def parts(self, clips: int) -> list[Batch]:
        """Split into parts of so many clips; the last one may have fewer.

        All keep the frame size to which the whole batch is padded.
        """
        some = [slice(at, at + clips) for at in range(0, len(self.targets), clips)]
        sizes = self.valid_sizes
        return [
            Batch(self.clips[s], self.targets[s], None if sizes is None else sizes[s]) for s in some
        ]

    def pin_memory(self) -> Batch:
        """Copy to pinned memory; torch's loader calls this, and leaves other types as they are."""
        return Batch(
            self.clips.pin_memory(),
            [target.pin_memory() for target in self.targets],
            None if self.valid_sizes is None else self.valid_sizes.pin_memory(),
        )


def augment(sample: Sample, schedule: Optimisation, rng: np.random.Generator) -> Clip:
    """Crop, resize and flip as in `schedule`; instances of which no pixel is left are dropped."""
    flips = schedule.flip and rng.random() < 0.5
    frames, masks = sample.frames, sample.masks
    if schedule.crop is not None:
        rows, columns = _cropped(frames.shape[-2:], schedule.crop, rng)
        frames = frames[..., rows, columns]
        masks = (
            masks.crop(rows, columns) if isinstance(masks, Outlines) else masks[..., rows, columns]
        )
    if schedule.sizes:
        short = int(rng.choice(schedule.sizes))
        size = resized(frames.shape[-2:], short, schedule.longest_side)
        frames = resize_frames(frames, size)
        masks = masks.resize(size) if isinstance(masks, Outlines) else resize_masks(masks, size)
    if isinstance(masks, Outlines):
        masks = masks.draw()
    kept = masks.flatten(1).any(1)
    clip = Clip(frames, sample.classes[kept], masks[kept])
    return clip.flipped() if flips else clip


def _cropped(
    size: Sequence[int], limits: tuple[int, int], rng: np.random.Generator
) -> tuple[slice, slice]:
    """Draw rows and columns: a random size within `limits`, at most `size`, anywhere."""
    sides = []
    for length in size:
        side = int(rng.integers(min(length, limits[0]), min(length, limits[1]) + 1))
        start = int(rng.integers(length - side + 1))
        sides.append(slice(start, start + side))
    return sides[0], sides[1]


def resized(size: Sequence[int], short: int, longest: int = 1333) -> list[int]:
    """Compute height and width with a short edge of `short`, or a long edge of `longest`."""
    scale = min(short / min(size), longest / max(size))
    return [int(side * scale + 0.5) for side in size]


def resize_frames(frames: Tensor, size: list[int]) -> Tensor:
    """Resize frames, uint8 [T, 3, H, W]."""
    if list(frames.shape[-2:]) == size:
        return frames
    from torchvision.transforms.v2 import functional as tv  # takes a second to import

    return tv.resize(frames, size, antialias=True)


def resize_masks(masks: Tensor, size: list[int]) -> Tensor:
    """Resize masks, bool [I, T, H, W], to the nearest pixel; ties fall as in Pillow."""
    rows, columns = (
        _nearest(source, target) for source, target in zip(masks.shape[-2:], size, strict=True)
    )
    return masks[..., rows, :][..., columns]


def _nearest(source: int, target: int) -> Tensor:
    """The pixel of `source` for each of `target`: Pillow adds up the steps, which decides ties."""
    steps = np.full(target, source / target)
    steps[0] /= 2
    return torch.from_numpy(np.cumsum(steps).astype(np.int64)).clamp(max=source - 1)


def collate(samples: list[Clip], stride: int, boxes: bool) -> Batch:
    """Batch samples of equal T and any sizes, with targets at `stride`."""
    sizes = [tuple(sample.frames.shape[-2:]) for sample in samples]
    height, width = (max(side) for side in zip(*sizes, strict=True))
    clips = [_pad(sample.frames, height, width) for sample in samples]
    targets = []
    for sample in samples:
        masks = _pad(sample.masks, height, width)
        targets.append(
            Target(
                sample.classes,
                shrink_masks(masks, stride),
                _boxes(sample.masks) if boxes else None,
            )
        )
    valid = None if len(set(sizes)) == 1 else torch.tensor(sizes)
    return Batch(torch.stack(clips), targets, valid)


def _pad(x: Tensor, height: int, width: int) -> Tensor:
    return F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))


def shrink_masks(masks: Tensor, stride: int) -> Tensor:
    """Resize masks, bool [I, T, H, W], bilinearly to float32 at `stride` (as in released code)."""
    size = [math.ceil(side / stride) for side in masks.shape[-2:]]
    if not len(masks):
        return torch.zeros(0, masks.shape[1], *size, device=masks.device)
    return F.interpolate(masks.float(), size=size, mode="bilinear", align_corners=False)


def _boxes(masks: Tensor) -> Tensor:
    """Compute boxes [I, T, 4] of masks, bool [I, T, H, W]: centre, width, height as fractions."""
    from torchvision.ops import box_convert, masks_to_boxes  # takes a second to import

    height, width = masks.shape[-2:]
    boxes = torch.zeros(*masks.shape[:2], 4)
    visible = masks.flatten(2).any(2)
    if visible.any():
        corners = masks_to_boxes(masks[visible])
        corners[:, 2:] += 1  # torchvision's far corner is the last pixel, not the edge after it
        boxes[visible] = box_convert(corners, "xyxy", "cxcywh")
    return boxes / torch.tensor([width, height, width, height])
