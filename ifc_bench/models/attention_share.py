"""The share of attention that memory tokens receive, and their share of the keys."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ifc_bench.errors import UserError
from ifc_bench.models.attention import MultiHeadAttention
from ifc_bench.models.decoder import DecoderLayer
from ifc_bench.models.encoder import EncoderLayer
from ifc_bench.models.ifc import IFC
from ifc_bench.models.inspection import attention_weights


@dataclass(frozen=True)
class MemoryShares:
    """Fractions of the attention that go to memory tokens, one for each layer.

    Attributes:
        encoder: of frame tokens in the Encode-Receive layers.
        decoder: of instance queries in the decoder's layers; empty where memory is hidden from it.
        keys: the memory tokens' share of the keys, M / (N + M), the value of uniform attention.
    """

    encoder: tuple[float, ...]
    decoder: tuple[float, ...]
    keys: float


@torch.no_grad()
def memory_shares(model: IFC, clips: Tensor) -> MemoryShares:
    """The shares in `clips` [B, T, 3, H, W], means over heads, queries, frames and clips.

    Raises:
        UserError: where the model has no memory tokens.
    """
    memory = model.memory.shape[0]
    if not memory:
        raise UserError("the model has no memory tokens, so none of the attention goes to them")
    encoder: list[float] = []
    decoder: list[float] = []
    handles = []
    keys = 0  # of one frame

    def of_frames(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal keys
        assert isinstance(module, MultiHeadAttention)
        keys = inputs[1].shape[1]
        weights = attention_weights(module, inputs[0][:, :-memory], inputs[1])
        encoder.append(weights[..., -memory:].sum(-1).mean().item())

    def of_queries(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, MultiHeadAttention)
        weights = attention_weights(module, inputs[0], inputs[1])
        each = weights.unflatten(-1, (-1, keys))  # [..., T, N + M]; one frame if decomposed
        decoder.append(each[..., -memory:].sum((-1, -2)).mean().item())

    for layer in model.communication.spatial:
        assert isinstance(layer, EncoderLayer)
        handles.append(layer.attention.register_forward_pre_hook(of_frames))
    for layer in () if model.communication.hidden else model.decoder.layers:
        assert isinstance(layer, DecoderLayer)
        handles.append(layer.cross_attention.register_forward_pre_hook(of_queries))
    try:
        model(clips)
    finally:
        for handle in handles:
            handle.remove()
    return MemoryShares(tuple(encoder), tuple(decoder), memory / keys)
