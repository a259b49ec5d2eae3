"""Dropout whose draws belong to clips.

Within `of_clips` each clip of a batch has draws of its own, in the order of the layers. So a batch
gives the same loss and gradient however it is shared out over processes, or over parts of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Draws:
    """The source of the draws of each clip of the current batch."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.seeds, self.calls = seeds, 0
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]


_current: ContextVar[_Draws | None] = ContextVar("draws", default=None)


@contextmanager
def of_clips(seeds: Sequence[int], device: torch.device) -> Iterator[None]:
    """Draw for each clip by its seed until the end of the block.

    Tensors that are dropped from have the clips outermost: [B * k, ...].
    """
    token = _current.set(_Draws(seeds, device))
    try:
        yield
    finally:
        _current.reset(token)


class Dropout(nn.Dropout):
    """Dropout of [B * k, ...], by clip within `of_clips`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropped(x, self.p, self.training)


def dropped(x: Tensor, share: float, training: bool) -> Tensor:
    """Set a share of `x` [B * k, ...] to zero, and scale the rest up."""
    draws = _current.get()
    if draws is None or not training or share == 0:
        return F.dropout(x, share, training)
    kept = torch.empty_like(x, dtype=torch.bool)
    for part, generator in zip(kept.chunk(len(draws.seeds)), draws.generators, strict=True):
        part.bernoulli_(1 - share, generator=generator)
    return (x * kept).div_(1 - share)


def by_clip(function: Callable[..., Tensor], *tensors: Tensor | None) -> Tensor:
    """Call `function`, which draws by torch's own generator, on the part of each clip.

    Outside of `of_clips` it is called once, on all of them.
    """
    draws = _current.get()
    if draws is None:
        return function(*tensors)
    draws.calls += 1
    count = len(draws.seeds)
    parts = [[None] * count if one is None else one.chunk(count) for one in tensors]
    found = []
    for seed, *given in zip(draws.seeds, *parts, strict=True):
        torch.manual_seed(int(np.random.default_rng([seed, draws.calls]).integers(1 << 62)))
        found.append(function(*given))
    return torch.cat(found)
