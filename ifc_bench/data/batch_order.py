"""The order in which a training visits its videos. numpy only.

Every epoch visits all videos in a new order. A batch has videos of one orientation, landscape or
not, as in the released loader: else both are padded to a square. A video waits for others of its
orientation, possibly into the next epoch, so nothing is left out and nothing is repeated. Where one
orientation has fewer videos than a batch has clips, it would wait for long: nothing is grouped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class BatchOrder:
    """Which videos are in which batch.

    Args:
        landscape: bool [V], whether a video is wider than high.
        clips: clips of a batch.
        seed: another seed, other orders.
    """

    def __init__(self, landscape: NDArray[np.bool_], clips: int, seed: int) -> None:
        self.landscape, self.clips, self.seed = landscape, clips, seed
        self.counts = [int(np.count_nonzero(landscape == side)) for side in (False, True)]
        self._epochs: dict[int, _Epoch] = {}

    def video(self, number: int) -> int:
        """The video of clip `number`, counted over all epochs, before they are grouped."""
        epoch, index = divmod(number, len(self.landscape))
        return int(self._epoch(epoch).order[index])

    def batch(self, iteration: int) -> list[int]:
        """The numbers of the clips of one batch, in the order in which they were drawn."""
        if min(self.counts) < self.clips:
            return list(range(iteration * self.clips, (iteration + 1) * self.clips))
        epoch = iteration * self.clips // len(self.landscape)
        while self._full(epoch + 1) <= iteration:  # those that wait delay a batch, never advance it
            epoch += 1
        batches = self._epoch(epoch).batches
        if not batches:
            batches += self._completed(epoch)
        _, side, batch = batches[iteration - self._full(epoch)]
        first = batch * self.clips
        return [self._number(side, member) for member in range(first, first + self.clips)]

    def _full(self, epoch: int) -> int:
        """The number of batches that are complete before an epoch."""
        return sum(epoch * count // self.clips for count in self.counts)

    def _completed(self, epoch: int) -> list[tuple[int, int, int]]:
        """The batches that an epoch completes: last clip, orientation, number among its kind."""
        return sorted(
            (self._number(side, (batch + 1) * self.clips - 1), side, batch)
            for side, count in enumerate(self.counts)
            for batch in range(epoch * count // self.clips, (epoch + 1) * count // self.clips)
        )

    def _number(self, side: int, member: int) -> int:
        """The number of the clip that is the `member`-th of its orientation."""
        epoch, rank = divmod(member, self.counts[side])
        return int(epoch * len(self.landscape) + self._epoch(epoch).positions[side][rank])

    def _epoch(self, epoch: int) -> _Epoch:
        found = self._epochs.get(epoch)
        if found is None:
            order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.landscape))
            sides = self.landscape[order]
            found = _Epoch(order, [np.flatnonzero(sides == side) for side in (False, True)], [])
            near = {number: known for number, known in self._epochs.items() if number >= epoch - 2}
            self._epochs = {**near, epoch: found}
        return found


@dataclass(frozen=True)
class _Epoch:
    """The videos of an epoch in order, the positions of each orientation, completed batches."""

    order: NDArray[np.int64]
    positions: list[NDArray[np.int64]]
    batches: list[tuple[int, int, int]]
