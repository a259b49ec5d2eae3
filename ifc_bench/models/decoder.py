"""Clip decoder: Q learned queries, each for one instance in the whole clip (paper, Section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.dropout import Dropout
from ifc_bench.models.encoder import FeedForward


class DecoderLayer(nn.Module):
    """Post-norm layer: self-attention of queries, cross-attention to the clip, feed-forward.

    Unified: a query attends to the tokens of all frames at once. Decomposed (`per_frame`): it
    attends to each frame's tokens separately, and its T per-frame embeddings are averaged with
    weights from a softmax over time of a learned score. With T = 1 both are the same function.
    """

    def __init__(
        self,
        self_attention: MultiHeadAttention,
        cross_attention: MultiHeadAttention,
        feedforward: FeedForward,
        width: int,
        dropout: float,
        per_frame: bool,
    ) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.cross_attention = cross_attention
        self.feedforward = feedforward
        self.self_norm = nn.LayerNorm(width)
        self.cross_norm = nn.LayerNorm(width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        self.frame_score = nn.Linear(width, 1) if per_frame else None

    def forward(
        self,
        queries: Tensor,
        query_positions: Tensor,
        tokens: Tensor,
        keys: Tensor,
        padding: Tensor | None,
    ) -> Tensor:
        """Update `queries` [B, Q, C] from `tokens` [B, T, S, C] and `keys`, tokens with positions.

        `padding` is [B, T, S].
        """
        placed = queries + query_positions
        mixed = self.self_attention(placed, placed, queries)
        queries = self.self_norm(queries + self.dropout(mixed))
        read = self._per_frame if self.frame_score is not None else self._unified
        mixed = read(queries + query_positions, tokens, keys, padding)
        queries = self.cross_norm(queries + self.dropout(mixed))
        return self.feedforward_norm(queries + self.dropout(self.feedforward(queries)))

    def _unified(
        self, query: Tensor, tokens: Tensor, keys: Tensor, padding: Tensor | None
    ) -> Tensor:
        flat = None if padding is None else padding.flatten(1, 2)
        return self.cross_attention(query, keys.flatten(1, 2), tokens.flatten(1, 2), flat)

    def _per_frame(
        self, query: Tensor, tokens: Tensor, keys: Tensor, padding: Tensor | None
    ) -> Tensor:
        assert self.frame_score is not None
        clips, frames = tokens.shape[:2]
        repeated = query[:, None].expand(-1, frames, -1, -1).flatten(0, 1)
        flat = None if padding is None else padding.flatten(0, 1)
        seen = self.cross_attention(repeated, keys.flatten(0, 1), tokens.flatten(0, 1), flat)
        seen = seen.unflatten(0, (clips, frames))  # [B, T, Q, C]
        return (self.frame_score(seen).softmax(1) * seen).sum(1)


class Decoder(nn.Module):
    """ND layers over frame and memory tokens; returns every layer's output, layer-normalised."""

    def __init__(self, layers: list[DecoderLayer], queries: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(width)
        self.query_positions = nn.Parameter(torch.randn(queries, width))

    def forward(self, tokens: Tensor, positions: Tensor, padding: Tensor | None) -> list[Tensor]:
        """Decode a clip's `tokens` [B, T, N + M, C]; returns ND embeddings [B, Q, C]."""
        query_positions = self.query_positions.expand(tokens.shape[0], -1, -1)
        queries = torch.zeros_like(query_positions)
        outputs, keys = [], tokens + positions
        for layer in self.layers:
            queries = layer(queries, query_positions, tokens, keys, padding)
            outputs.append(self.norm(queries))
        return outputs
