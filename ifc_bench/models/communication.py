"""Communication modules: four ways to exchange information between the frames of a clip.

Read side by side, this file is the paper's Table 1. Every module maps frame tokens and memory
tokens to frame tokens and memory tokens; the rest of the model does not depend on the choice.

B clips, T frames, N tokens of a frame, M memory tokens (0 for all but IFC), C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ifc_bench.models.encoder import LayerFactory


class Communication(nn.Module):
    """NE blocks of `within`, each followed by `across`; subclasses define the two."""

    hidden = False  # whether the decoder reads frame tokens only
    joined = (0, 1)  # the axes of [B, T, N, C] that `within` joins: each frame is a sequence

    def __init__(self, layer: LayerFactory, blocks: int) -> None:
        super().__init__()
        self.spatial = nn.ModuleList(layer() for _ in range(blocks))

    def forward(
        self,
        frames: Tensor,
        memory: Tensor,
        frame_positions: Tensor,
        memory_positions: Tensor,
        padding: Tensor | None = None,
        begun: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """Exchange information between the frames of each clip.

        Args:
            frames: frame tokens [B, T, N, C].
            memory: memory tokens [B, T, M, C]; M may be 0.
            frame_positions: [B, T, N, C].
            memory_positions: [B, T, M, C].
            padding: [B, T, N], True at padding; None without padding.
            begun: the number of first layers that `begin` has applied to `frames` and `memory`.

        Returns:
            Frame tokens [B, T, N, C] and memory tokens [B, T, M, C].
        """
        positions, padding = _joined(frame_positions, memory_positions, padding)
        for block in range(len(self.spatial)):
            if block >= begun:
                frames, memory = self.within(block, frames, memory, positions, padding)
            if block >= begun - 1:  # between the layers before it, frames exchange nothing
                frames, memory = self.across(block, frames, memory, padding)
        return frames, memory

    @property
    def leading(self) -> int:
        """The number of first layers that need one frame alone, so that windows can share them.

        0 for a subclass with a `within` or `forward` of its own.
        """
        own = type(self)
        if (own.within, own.forward) != (Communication.within, Communication.forward):
            return 0
        if self.joined != (0, 1):
            return 0
        blocks = range(len(self.spatial))
        if _definer(own, "across") in _definer(own, "talks").__mro__:
            return next((block + 1 for block in blocks if self.talks(block)), len(blocks))
        return 1  # an `across` of its own that `talks` does not know

    def begin(
        self,
        frames: Tensor,
        memory: Tensor,
        frame_positions: Tensor,
        memory_positions: Tensor,
        padding: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Apply the `leading` layers; arguments and result are those of `forward`."""
        positions, padding = _joined(frame_positions, memory_positions, padding)
        for block in range(self.leading):
            frames, memory = self.within(block, frames, memory, positions, padding)
        return frames, memory

    def talks(self, block: int) -> bool:
        """Whether `across` exchanges anything between frames after `block`."""
        return True

    def within(
        self, block: int, frames: Tensor, memory: Tensor, positions: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """A layer over the N + M tokens of each frame, or of all frames, as `joined` says."""
        tokens = torch.cat((frames, memory), 2) if memory.shape[2] else frames
        mixed = self.spatial[block](
            tokens.flatten(*self.joined),
            positions.flatten(*self.joined),
            None if padding is None else padding.flatten(*self.joined),
        ).view_as(tokens)
        if not memory.shape[2]:
            return mixed, memory
        mixed_frames, mixed_memory = mixed.split((frames.shape[2], memory.shape[2]), 2)
        return mixed_frames, mixed_memory

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """A step between frames."""
        raise NotImplementedError


class NoComm(Communication):
    """Each frame on its own; only the decoder reads the clip."""

    def talks(self, block: int) -> bool:
        return False

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        return frames, memory


class FullTHW(NoComm):
    """One attention over all T*(N + M) tokens of the clip (what VisTR does)."""

    joined = (1, 2)  # frames and tokens are one sequence


class DecompTHW(Communication):
    """Between two spatial layers, a temporal one over the T tokens at each location.

    NE spatial and NE - 1 temporal layers: the only count that fits the paper's Table 1.
    """

    def __init__(self, layer: LayerFactory, blocks: int) -> None:
        super().__init__(layer, blocks)
        self.temporal = nn.ModuleList(layer() for _ in range(blocks - 1))

    def talks(self, block: int) -> bool:
        return block < len(self.temporal)

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if not self.talks(block):
            return frames, memory
        tubes = frames.transpose(1, 2)  # [B, N, T, C]
        mixed = self.temporal[block](tubes.flatten(0, 1)).view_as(tubes)
        return mixed.transpose(1, 2), memory


class InterFrame(Communication):
    """IFC: `within` is Encode-Receive, `across` is Gather-Communicate over memory tokens alone.

    Grouping "decomposed" attends over T in each of M groups; "unified" is one group of T*M tokens.
    Gather-Communicate has neither positions nor padding (the released code). It follows the first
    `talking` layers: all of them; or none, without memory tokens (then this is No Comm) or as an
    ablation; or all but the last, if the memory is `hidden` from the decoder, because the output
    of the last one would not be read.
    """

    def __init__(
        self, layer: LayerFactory, blocks: int, talking: int, unified: bool, hidden: bool = False
    ) -> None:
        super().__init__(layer, blocks)
        self.gather = nn.ModuleList(layer() for _ in range(talking))
        self.unified, self.hidden = unified, hidden

    def talks(self, block: int) -> bool:
        return block < len(self.gather)

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if not self.talks(block):
            return frames, memory
        if self.unified:
            mixed = self.gather[block](memory.flatten(1, 2)).view_as(memory)
            return frames, mixed
        groups = memory.transpose(1, 2)  # [B, M, T, C]
        mixed = self.gather[block](groups.flatten(0, 1)).view_as(groups)
        return frames, mixed.transpose(1, 2)


def _joined(
    frame_positions: Tensor, memory_positions: Tensor, padding: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Positions and padding of frame tokens and memory tokens together, [B, T, N + M, ...]."""
    if padding is not None:
        padding = torch.cat((padding, padding.new_zeros(memory_positions.shape[:3])), 2)
    return torch.cat((frame_positions, memory_positions), 2), padding


def _definer(own: type, name: str) -> type:
    """The class in the line of `own` that defines `name`."""
    return next(one for one in own.__mro__ if name in vars(one))
