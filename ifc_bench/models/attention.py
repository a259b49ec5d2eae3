"""Multi-head attention with a named implementation.

"materialised" is eager attention: it forms the L x S weights of every head, as was usual in 2021.
The other names are torch's scaled-dot-product kernels. A requested kernel that cannot run is an
error, because a silent fallback would measure another kernel.
"""

from __future__ import annotations

from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ifc_bench.config import AttentionKernel
from ifc_bench.errors import UserError
from ifc_bench.models.dropout import by_clip, dropped

_BACKENDS = {
    "math": SDPBackend.MATH,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
}


@lru_cache
def require_kernel(kernel: AttentionKernel, device: torch.device, dtype: torch.dtype) -> None:
    """Raise `UserError` unless `kernel` runs on `device` for `dtype`; tested on a tiny input."""
    if kernel == "materialised":
        return
    probe = torch.zeros(1, 1, 8, 8, device=device, dtype=dtype)
    try:
        with sdpa_kernel([_BACKENDS[kernel]]):
            F.scaled_dot_product_attention(probe, probe, probe)
    except RuntimeError as error:
        raise UserError(
            f"attention: {kernel!r} is not available on {device} for {dtype} with torch "
            f"{torch.__version__}; use 'materialised' or 'math'"
        ) from error


class MultiHeadAttention(nn.Module):
    """Attention with `heads` heads over the second to last dimension.

    The query, key and value projections are one matrix of shape [3C, C], in that order.
    """

    def __init__(self, width: int, heads: int, dropout: float, kernel: AttentionKernel) -> None:
        super().__init__()
        if width % heads:
            raise UserError(f"model.width: {width} is not a multiple of model.heads = {heads}")
        self.heads, self.dropout, self.kernel = heads, dropout, kernel
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_weight)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None = None
    ) -> Tensor:
        """Attend from `query` [B, L, C] to `key` and `value` [B, S, C].

        `padding` [B, S] is True where a key is padding, which is masked out. Returns [B, L, C].
        """
        q, k, v = (self._split(x) for x in self._project(query, key, value))
        mask = None if padding is None else ~padding[:, None, None, :]
        attend = self._materialised if self.kernel == "materialised" else self._fused
        mixed = attend(q, k, v, mask)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project query, key and value; inputs that are the same tensor share one matmul."""
        width = query.shape[-1]
        if query is key and key is value:
            q, k, v = F.linear(query, self.in_weight, self.in_bias).chunk(3, -1)
            return q, k, v
        v = F.linear(value, self.in_weight[2 * width :], self.in_bias[2 * width :])
        if query is key:
            q, k = F.linear(query, self.in_weight[: 2 * width], self.in_bias[: 2 * width]).chunk(
                2, -1
            )
            return q, k, v
        q = F.linear(query, self.in_weight[:width], self.in_bias[:width])
        k = F.linear(key, self.in_weight[width : 2 * width], self.in_bias[width : 2 * width])
        return q, k, v

    def _split(self, x: Tensor) -> Tensor:
        """Reshape [B, L, C] to [B, heads, L, C / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _materialised(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        # bmm, not @: for short sequences @ sums in another order than the released code's bmm.
        heads = q.shape[:2]
        q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        scores = torch.bmm(q * q.shape[-1] ** -0.5, k.transpose(-1, -2)).unflatten(0, heads)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        weights = dropped(scores.softmax(-1), self.dropout, self.training)
        return torch.bmm(weights.flatten(0, 1), v).unflatten(0, heads)

    def _fused(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        require_kernel(self.kernel, q.device, q.dtype)
        dropout = self.dropout if self.training else 0.0
        try:
            with sdpa_kernel([_BACKENDS[self.kernel]]):
                if not dropout:
                    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
                drops = partial(F.scaled_dot_product_attention, dropout_p=dropout)
                return by_clip(drops, q, k, v, mask)
        except RuntimeError as error:
            if "No available kernel" not in str(error):
                raise
            given = "with a padding mask" if mask is not None else f"for {tuple(q.shape)}"
            raise UserError(
                f"attention: {self.kernel!r} cannot run {given} on {q.device}; "
                "use 'materialised' or 'math'"
            ) from error
