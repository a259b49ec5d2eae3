"""Sine positions: of tokens within a frame, as in DETR, and of frames within a clip (ours)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sine_positions(valid: Tensor, width: int, temperature: float = 10_000.0) -> Tensor:
    """Encode row and column of every token.

    `valid` [F, H, W] is False on padding. Coordinates count from 1, are divided by the last one and
    scaled to 2 pi; half of the channels encode the row, half the column, sine and cosine
    interleaved. Returns [F, H*W, width], float32.
    """
    rows, columns = valid.cumsum(1, dtype=torch.float32), valid.cumsum(2, dtype=torch.float32)
    rows = rows / (rows[:, -1:, :] + 1e-6) * (2 * math.pi)
    columns = columns / (columns[:, :, -1:] + 1e-6) * (2 * math.pi)
    half = width // 2
    channel = torch.arange(half, dtype=torch.float32, device=valid.device)
    period = temperature ** (2 * torch.div(channel, 2, rounding_mode="floor") / half)
    encoded = [_waves(coordinate[..., None] / period) for coordinate in (rows, columns)]
    return torch.cat(encoded, -1).flatten(1, 2)


def time_positions(first: Tensor, frames: int, width: int, temperature: float = 100.0) -> Tensor:
    """Encode the number of every frame of clips that begin at frame `first` [B].

    Numbers are not normalised, so that neighbours are as far apart in every window. Wave lengths go
    from 6 frames to 600. Returns [B, frames, width], float32.
    """
    number = first[:, None] + torch.arange(frames, device=first.device)
    channel = torch.arange(width, dtype=torch.float32, device=first.device)
    period = temperature ** (2 * torch.div(channel, 2, rounding_mode="floor") / width)
    return _waves(number[..., None] / period)


def _waves(angle: Tensor) -> Tensor:
    """Compute the sine on even channels and the cosine on odd ones."""
    return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), -1).flatten(-2)
