"""The network: backbone, communication, decoder and heads (paper, Figure 1 and Section 3.1)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ifc_bench.models.backbone import FeatureExtractor
from ifc_bench.models.communication import Communication
from ifc_bench.models.decoder import Decoder
from ifc_bench.models.mask_head import Heads
from ifc_bench.models.position import sine_positions, time_positions
from ifc_bench.structures import Prediction

_LONGEST = 36  # frames of a clip whose positions in time are trained: the longest of YouTube-VIS


class IFC(nn.Module):
    """Maps clips to instances with a class and a tube of masks; keeps no state.

    `features` works frame by frame and `decode` on a clip of such features, so that overlapping
    windows of one video need each frame's backbone only once. `forward` is the two together.
    `finest` is the index of the backbone map that the masks are drawn on; with `timed` tokens have
    positions in time (ours).
    """

    def __init__(
        self,
        backbone: FeatureExtractor,
        communication: Communication,
        decoder: Decoder,
        heads: Heads,
        memory_tokens: int,
        finest: int,
    ) -> None:
        super().__init__()
        width = decoder.query_positions.shape[1]
        self.backbone = backbone
        self.finest = finest
        self.timed = False
        self.project = nn.Conv2d(backbone.channels[-1], width, 1)
        learned = (
            memory_tokens > 0
        )  # with M = 0 these have no gradient, and DDP must not wait for one
        self.memory = nn.Parameter(_fan_out_normal(memory_tokens, width), learned)
        self.memory_positions = nn.Parameter(_fan_out_normal(memory_tokens, width), learned)
        self.communication = communication
        self.decoder = decoder
        self.heads = heads

    @property
    def classes(self) -> int:
        """K, without "no object"."""
        return self.heads.classes

    def forward(self, frames: Tensor, valid_sizes: Tensor | None = None) -> Prediction:
        """Predict the instances of each clip.

        Args:
            frames: RGB in 0..255, any dtype, [B, T, 3, H, W].
            valid_sizes: int64 [B, 2], height and width of each clip before it was padded to the
                largest of the batch (at the right and bottom); None where nothing was padded.

        Returns:
            A `Prediction` with mask logits at the mask stride of the padded frame.
        """
        maps = self.features(frames.flatten(0, 1), valid_sizes)
        clips = [m.unflatten(0, frames.shape[:2]) for m in maps]
        padding = None
        if valid_sizes is not None:
            padding = padding_mask(valid_sizes, self.backbone.strides[-1], maps[-1].shape[-2:])
        return self.decode(clips, padding)

    def features(self, frames: Tensor, valid_sizes: Tensor | None = None) -> list[Tensor]:
        """Backbone maps of `frames` [F, 3, H, W], fine to coarse: the laterals and the tokens' map.

        Padding is zero after normalisation, as in the released code.
        """
        normalised = self.backbone.normalise(frames)
        if valid_sizes is not None:
            repeats = frames.shape[0] // valid_sizes.shape[0]
            outside = padding_mask(valid_sizes, 1, frames.shape[-2:])
            outside = outside.repeat_interleave(repeats, 0)[:, None]
            normalised = normalised.masked_fill(outside, 0.0)
        return self.backbone(normalised)[self.finest :]

    def decode(self, maps: list[Tensor], padding: Tensor | None = None) -> Prediction:
        """Predict from `maps`, each [B, T, C_i, h_i, w_i]; `padding` [B, h, w] of the coarsest."""
        tokens, positions, hidden = self._tokens(maps[-1], padding)
        positions = self._in_time(positions)
        memory, memory_positions = self._memory(tokens)
        tokens, memory = self.communication(tokens, memory, positions, memory_positions, hidden)
        return self._read(tokens, memory, positions, hidden, maps[:-1], maps[-1].shape[-2:])

    def scope_modules(self) -> dict[str, list[nn.Module]]:
        """The modules of each counted scope (`config.SCOPES`), as they are called."""
        return {
            "backbone": [self.backbone],
            "projection": [self.project],
            "encoder": [self.communication],
            "decoder": [self.decoder],
            "mask_head": [self.heads, self.heads.spatial],
        }

    def _in_time(self, positions: Tensor) -> Tensor:
        """Add time to `positions` [B, T, N, C] if the network is to know the order of frames.

        In training a clip begins at a random frame, so that windows longer than its clips have
        positions that were seen.
        """
        if not self.timed:
            return positions
        clips, frames = positions.shape[:2]
        first = torch.zeros(clips, dtype=torch.int64)
        if self.training:
            first = torch.randint(max(_LONGEST - frames, 0) + 1, (clips,))
        moments = time_positions(first.to(positions.device), frames, positions.shape[-1])
        return positions + moments[:, :, None].to(positions.dtype)

    def _memory(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The learned memory tokens and their positions [B, T, M, C] for `tokens` [B, T, N, C]."""
        memory, positions = (
            x.expand(*tokens.shape[:2], -1, -1) for x in (self.memory, self.memory_positions)
        )
        return memory, positions

    def _read(
        self,
        tokens: Tensor,
        memory: Tensor,
        positions: Tensor,
        hidden: Tensor | None,
        laterals: list[Tensor],
        grid: torch.Size,
    ) -> Prediction:
        """Predict from encoded tokens [B, T, N, C] and memory, N = the cells of `grid`.

        `laterals` are what the spatial decoder takes besides, [B, T, C_i, h_i, w_i], fine to
        coarse; `hidden` [B, T, N] is True at padding.
        """
        _, memory_positions = self._memory(tokens)
        if self.communication.hidden:
            memory, memory_positions = memory[:, :, :0], memory_positions[:, :, :0]
        if hidden is not None:
            hidden = torch.cat((hidden, hidden.new_zeros(memory.shape[:3])), 2)
        embeddings = self.decoder(
            torch.cat((tokens, memory), 2), torch.cat((positions, memory_positions), 2), hidden
        )
        encoded = tokens.transpose(2, 3).unflatten(-1, grid)
        pixels = self.heads.pixels(
            encoded.flatten(0, 1), [m.flatten(0, 1) for m in reversed(laterals)]
        )
        if pixels.requires_grad:
            pixels.register_hook(lambda g: g.contiguous(memory_format=torch.channels_last))
        pixels = pixels.unflatten(0, tokens.shape[:2])
        if not self.training:
            return self.heads(embeddings[-1], pixels)
        joined = self.heads(torch.cat(embeddings, 1), pixels)
        *auxiliary, last = joined.split(len(embeddings))
        return replace(last, auxiliary=auxiliary)

    def _tokens(
        self, coarse: Tensor, padding: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Tokens and positions [B, T, N, C] and padding [B, T, N] of the coarsest map."""
        clips, frames = coarse.shape[:2]
        height, width = coarse.shape[-2:]
        tokens = self.project(coarse.flatten(0, 1)).flatten(2).transpose(1, 2)
        if padding is None:
            valid = torch.ones(1, height, width, dtype=torch.bool, device=coarse.device)
        else:
            valid = ~padding
        positions = sine_positions(valid, tokens.shape[-1]).to(tokens.dtype)
        positions = positions[:, None].expand(clips, frames, -1, -1)
        hidden = None
        if padding is not None:
            hidden = padding.flatten(1)[:, None].expand(-1, frames, -1)
        return tokens.unflatten(0, (clips, frames)), positions, hidden


def _fan_out_normal(tokens: int, width: int) -> Tensor:
    """The released initialisation of memory tokens: normal with variance 2 / M."""
    return torch.randn(tokens, width) * (2 / max(tokens, 1)) ** 0.5


def padding_mask(valid_sizes: Tensor, stride: int, grid: torch.Size) -> Tensor:
    """True beyond each clip's own frame, on a `grid` of cells of `stride` pixels.

    A cell that holds any pixel of the frame counts as inside. Returns bool [B, *grid].
    """
    limits = []
    for axis in (0, 1):
        cells = torch.arange(grid[axis], device=valid_sizes.device)
        limits.append(cells[None] * stride >= valid_sizes[:, axis, None])
    return limits[0][:, :, None] | limits[1][:, None, :]
