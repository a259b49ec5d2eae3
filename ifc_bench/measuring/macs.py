"""MACs of the real modules, counted on the meta device: no memory, no time.

The unit is that of the paper's Table 1, after fvcore: 1 for each multiply-accumulate of a matrix
product or a convolution, 5 for each element of a normalisation (2 with fixed statistics), 0 for
elementwise operations. Attention is counted in every implementation. An operation in neither list
raises an error; it never counts as 0 silently.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ifc_bench.config import ModelConfig
from ifc_bench.models.attention import require_kernel
from ifc_bench.models.build import build_communication

Counter = Callable[[tuple[Any, ...], Any], int]

_NORM_COST = 5
_FROZEN_NORM_COST = 2


def _addmm(inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * int(inputs[1].shape[-1])


def _mm(inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * int(inputs[0].shape[-1])


def _convolution(inputs: tuple[Any, ...], output: Tensor) -> int:
    return output.numel() * prod(inputs[1].shape[1:])


def _norm(inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> int:
    return output[0].numel() * _NORM_COST


def _frozen_norm(inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> int:
    """A batch norm with fixed statistics is one scale and one shift for each element."""
    return output[0].numel() * _FROZEN_NORM_COST


def attention_macs(inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> int:
    """Scores and weighted sum for q [B, heads, L, E], k [B, heads, S, E], v [B, heads, S, F]."""
    query, key, value = inputs[:3]
    scores = query.numel() * key.shape[-2]
    mixing = prod(query.shape[:-1]) * key.shape[-2] * value.shape[-1]
    return int(scores + mixing)


_COUNTED: dict[str, Counter] = {
    "aten::addmm": _addmm,
    "aten::mm": _mm,
    "aten::bmm": _mm,
    "aten::convolution": _convolution,
    "aten::native_layer_norm": _norm,
    "aten::native_group_norm": _norm,
    "aten::native_batch_norm": _frozen_norm,
    "aten::cudnn_batch_norm": _frozen_norm,
    "aten::_scaled_dot_product_flash_attention": attention_macs,
    "aten::_scaled_dot_product_flash_attention_for_cpu": attention_macs,
    "aten::_scaled_dot_product_efficient_attention": attention_macs,
    "aten::_scaled_dot_product_fused_attention_overrideable": attention_macs,
    "aten::_scaled_dot_product_cudnn_attention": attention_macs,
}

_SHAPE_AND_MEMORY = """
    _reshape_alias _to_copy _unsafe_view alias arange as_strided cat clone copy_ detach detach_
    empty empty_like expand full lift_fresh linspace new_empty new_zeros ones permute select slice
    split split_with_sizes squeeze stack t transpose unbind unsqueeze view zeros zeros_like
"""
# Elementwise operations, softmax and pooling count 0 in the paper's unit.
_ELEMENTWISE = """
    _safe_softmax _softmax add add_ bitwise_not bitwise_or cos cumsum div div_ dropout ge
    masked_fill max_pool2d_with_indices mean mul mul_ native_dropout pow relu relu_ rsqrt sigmoid
    sin sub sum upsample_bilinear2d upsample_nearest2d
"""
_FREE = frozenset(f"aten::{name}" for name in (_SHAPE_AND_MEMORY + _ELEMENTWISE).split())


class MacCounter(TorchDispatchMode):
    """Counts the MACs of all operations that run inside it.

    `total` is the sum; `by_operation` splits it by operator.

    Raises:
        NotImplementedError: from the model's own call, for an operator in neither list.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_operation: dict[str, int] = {}

    @property
    def total(self) -> int:
        return sum(self.by_operation.values())

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name in _COUNTED:
            macs = _COUNTED[name](args, output)
            self.by_operation[name] = self.by_operation.get(name, 0) + macs
        elif name not in _FREE:
            raise NotImplementedError(
                f"{name}: no MACs are defined for this operation; add it to _COUNTED, or to the "
                "operations that count 0, in ifc_bench/measuring/macs.py"
            )
        return output


def probed(model: ModelConfig) -> None:
    """Try the attention kernel before counting, so that the MACs of the trial do not count."""
    require_kernel(model.attention, torch.device("meta"), torch.float32)


def encoder_macs(model: ModelConfig, frames: int, height: int, width: int) -> int:
    """Return the MACs of the communication module for one clip (paper, Table 1).

    `height` and `width` are the frame size in pixels. Tokens are at the backbone's last stride,
    rounded up.
    """
    stride = model.backbone.strides[-1]
    tokens = -(-height // stride) * -(-width // stride)
    with torch.device("meta"), torch.no_grad():
        module = build_communication(model).eval()
        clip = torch.empty(1, frames, tokens, model.width)
        memory = torch.empty(1, frames, model.communication.memory_tokens, model.width)
        probed(model)
        with MacCounter() as counter:
            module(clip, memory, torch.empty_like(clip), torch.empty_like(memory))
    return counter.total
