"""Transformer layer used in every communication module."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.dropout import Dropout


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)
        for layer in (self.inner, self.outer):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        # In place it spares memory, but its gradient is copied four times (the input is a view).
        active = F.relu(self.inner(x), inplace=not torch.is_grad_enabled())
        return self.outer(self.dropout(active))


class EncoderLayer(nn.Module):
    """A post-norm layer: self-attention, then feed-forward, each with a residual (paper, 3.1)."""

    def __init__(
        self, attention: MultiHeadAttention, width: int, feedforward: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention = attention
        self.feedforward = FeedForward(width, feedforward, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(
        self, tokens: Tensor, positions: Tensor | None = None, padding: Tensor | None = None
    ) -> Tensor:
        """Mix `tokens` [B, L, C]; `positions` [B, L, C] are added to queries and keys only.

        `padding` [B, L] is True at tokens that are masked out. Returns [B, L, C].
        """
        placed = tokens if positions is None else tokens + positions
        mixed = self.attention(placed, placed, tokens, padding)
        tokens = self.attention_norm(tokens + self.dropout(mixed))
        return self.feedforward_norm(tokens + self.dropout(self.feedforward(tokens)))


LayerFactory = Callable[[], EncoderLayer]
