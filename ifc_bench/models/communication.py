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
    ) -> tuple[Tensor, Tensor]:
        """Exchange information between the frames of each clip.

        Args:
            frames: frame tokens [B, T, N, C].
            memory: memory tokens [B, T, M, C]; M may be 0.
            frame_positions: [B, T, N, C].
            memory_positions: [B, T, M, C].
            padding: [B, T, N], True at padding; None without padding.

        Returns:
            Frame tokens [B, T, N, C] and memory tokens [B, T, M, C].
        """
        positions = torch.cat((frame_positions, memory_positions), 2)
        if padding is not None:
            padding = torch.cat((padding, padding.new_zeros(memory.shape[:3])), 2)
        for block in range(len(self.spatial)):
            frames, memory = self.within(block, frames, memory, positions, padding)
            frames, memory = self.across(block, frames, memory, padding)
        return frames, memory

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
        return mixed[:, :, : frames.shape[2]], mixed[:, :, frames.shape[2] :]

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """A step between frames."""
        raise NotImplementedError


class NoComm(Communication):
    """Each frame on its own; only the decoder reads the clip."""

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

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if block == len(self.temporal):
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

    def across(
        self, block: int, frames: Tensor, memory: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if block >= len(self.gather):
            return frames, memory
        if self.unified:
            mixed = self.gather[block](memory.flatten(1, 2)).view_as(memory)
            return frames, mixed
        groups = memory.transpose(1, 2)  # [B, M, T, C]
        mixed = self.gather[block](groups.flatten(0, 1)).view_as(groups)
        return frames, mixed.transpose(1, 2)
