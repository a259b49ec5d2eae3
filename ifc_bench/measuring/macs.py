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
    if inputs[6]:  # transposed: every input element meets the whole kernel
        return inputs[0].numel() * prod(inputs[1].shape[1:])
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
    _reshape_alias _to_copy _unsafe_view alias arange as_strided cat clone constant_pad_nd copy_
    detach detach_ embedding empty empty_like expand fill_ flip full full_like gather index
    index_select lift_fresh linspace new_empty new_full new_ones new_zeros ones ones_like permute
    repeat roll scalar_tensor select slice split split_with_sizes squeeze stack t transpose tril
    triu unbind unfold unsqueeze view zero_ zeros zeros_like
"""
# Elementwise operations, softmax, reductions, sorting and pooling count 0 in the paper's unit.
_ELEMENTWISE = """
    _adaptive_avg_pool2d _log_softmax _safe_softmax _softmax abs add add_ addcmul amax amin argmax
    avg_pool2d bitwise_and bitwise_not bitwise_or ceil clamp clamp_ clamp_max clamp_min cos cumsum
    div div_ dropout elu eq exp floor ge gelu gt hardsigmoid hardswish hardtanh hardtanh_ le
    leaky_relu log logical_and logical_not logical_or lt masked_fill max_pool2d_with_indices
    maximum mean minimum mul mul_ native_dropout ne neg pow reciprocal relu relu_ round rsqrt
    rsub sigmoid sigmoid_ sign silu silu_ sin softplus sort sqrt square sub sub_ sum tanh topk
    upsample_bicubic2d upsample_bilinear2d upsample_nearest2d where
"""
_FREE = frozenset(f"aten::{name}" for name in (_SHAPE_AND_MEMORY + _ELEMENTWISE).split())


class UnknownOperationError(NotImplementedError):
    """An operation whose MACs are not defined; `operation` is its name."""

    def __init__(self, operation: str) -> None:
        super().__init__(
            f"{operation}: no MACs are defined for this operation; add it to _COUNTED, or to the "
            "operations that count 0, in ifc_bench/measuring/macs.py"
        )
        self.operation = operation


class MacCounter(TorchDispatchMode):
    """Counts the MACs of all operations that run inside it.

    `total` is the sum; `by_operation` splits it by operator. `running` is the operator that runs,
    or that has failed; empty between two.

    Raises:
        UnknownOperationError: from the model's own call, for an operator in neither list.
    """

    def __init__(self) -> None:
        super().__init__()
        self.by_operation: dict[str, int] = {}
        self.running = ""

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
        name = self.running = func._schema.name
        output = func(*args, **(kwargs or {}))
        self.running = ""
        if name in _COUNTED:
            macs = _COUNTED[name](args, output)
            self.by_operation[name] = self.by_operation.get(name, 0) + macs
        elif name not in _FREE:
            raise UnknownOperationError(name)
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
