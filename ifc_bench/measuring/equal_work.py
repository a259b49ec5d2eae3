"""Recorded tracks for tracker and output, the same for every network that is measured.

Networks with random weights find other instances, of other sizes, in every window; the time of
tracker and output would then be that of the random content. Profiles of random weights hand these
recorded tracks on instead. The network runs all the same: only its answer is not used.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ifc_bench.masks import Rle, decode

_TRACKS = Path(__file__).with_name("tracks.json")
_LOGIT = 6.0  # of a pixel inside a mask; outside its negative, as trained networks have
_SURE = 0.9  # probability of an instance's class
_LATER = 5  # frames that a further copy of the same track starts later


class RecordedInstances:
    """`count` tracks of trained networks, drawn on any grid, for a video of any length.

    Four tracks of the embedded benchmark are the source. Further instances are these mirrored, then
    begun at a later frame. A longer video plays them forwards and backwards. Masks keep their share
    of the frame.
    """

    def __init__(self, count: int, classes: int, dtype: torch.dtype = torch.float32) -> None:
        self.count, self.dtype = count, dtype
        probabilities = torch.full((count, classes + 1), (1 - _SURE) / classes)
        probabilities[torch.arange(count), torch.arange(count) % classes] = _SURE
        self._class_probabilities = probabilities
        self._drawn: dict[tuple[object, ...], Tensor] = {}

    def window(self, frames: range, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Class probabilities [I, K + 1] and mask logits [I, T, h, w] of `frames`.

        The video has `length` frames. `like` are the network's own mask logits [Q, T, h, w]: they
        give device and grid. Both answers are views of tensors that are made once.
        """
        grid, device = like.shape[-2:], like.device
        key = (length, *grid, device)
        if key not in self._drawn:
            self._drawn[key] = self._draw(length, grid).to(device, self.dtype)
            self._class_probabilities = self._class_probabilities.to(device)
        return self._class_probabilities, self._drawn[key][:, frames.start : frames.stop]

    def bytes_on(self, device: torch.device) -> int:
        """Bytes of the tensors on `device`."""
        held = [*self._drawn.values(), self._class_probabilities]
        return sum(t.numel() * t.element_size() for t in held if t.device == device)

    def _draw(self, length: int, grid: torch.Size) -> Tensor:
        """Mask logits [I, L, h, w]."""
        tracks = [torch.from_numpy(track) for track in _recorded()]
        logits = torch.empty(self.count, length, *grid)
        for number in range(self.count):
            track = tracks[number % len(tracks)]
            mirrored, later = divmod(number // len(tracks), 4)[::-1]
            flips = [axis for bit, axis in ((1, 2), (2, 1)) if mirrored & bit]
            last = len(track) - 1
            at = torch.arange(later * _LATER, later * _LATER + length) % max(2 * last, 1)
            frames = track[torch.where(at > last, 2 * last - at, at)].flip(flips)
            shares = F.interpolate(frames[None], grid, mode="bilinear", antialias=True)[0]
            logits[number] = (2 * shares - 1) * _LOGIT
        return logits


@lru_cache
def _recorded() -> list[NDArray[np.float32]]:
    """Each recorded track as masks [F, H, W]; empty where it has none."""
    content = json.loads(_TRACKS.read_text(encoding="utf-8"))
    size = content["size"]
    return [
        np.stack(
            [
                np.zeros(size, np.float32)
                if counts is None
                else decode(Rle(size=size, counts=counts)).astype(np.float32)
                for counts in track
            ]
        )
        for track in content["counts"]
    ]
