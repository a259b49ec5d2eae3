"""CUDA's lists of automatic mixed precision, applied to tensors on the CPU.

`torch.autocast` has a list of operations for each kind of device. CUDA's is longer than the CPU's:
softmax, norms, sums and resizing run in float32 there, and in half precision on a CPU. A prediction
for a GPU needs CUDA's list without a GPU, so the operations that only CUDA lists are added to
those of the CPU. Operations on both lists have the same rule on both.

Source: the macros AT_FORALL_* of torch's ATen/autocast_mode.h (the same text is in torch's
documentation, "Automatic Mixed Precision package", under "Autocast Op Reference"). A test
compares the lists below with the installed torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.library import Library
from torch.utils._pytree import tree_leaves, tree_map

# AT_FORALL_LOWER_PRECISION_FP: cast to the half precision of the context.
HALF = (
    "_convolution", "convolution", "addmv", "addr", "einsum", "mv", "chain_matmul",
    "linalg_multi_dot", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell", "lstm_cell", "gru_cell",
    "rnn_tanh_cell", "rnn_relu_cell", "_scaled_dot_product_flash_attention",
)  # fmt: skip

# AT_FORALL_FP32, and the two norms of AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE: cast to float32.
SINGLE = (
    "acos", "asin", "cosh", "erfinv", "exp", "expm1", "log", "log10", "log2", "log1p", "reciprocal",
    "rsqrt", "sinh", "tan", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar", "softplus",
    "layer_norm", "native_layer_norm", "rms_norm", "group_norm", "frobenius_norm.dim",
    "nuclear_norm", "nuclear_norm.dim", "cosine_similarity", "dist", "pdist", "renorm", "logsumexp",
    "upsample_nearest1d", "_upsample_nearest_exact1d", "upsample_nearest2d",
    "_upsample_nearest_exact2d", "upsample_nearest3d", "_upsample_nearest_exact3d",
    "upsample_linear1d", "upsample_bilinear2d", "_upsample_bilinear2d_aa", "upsample_trilinear3d",
    "upsample_bicubic2d", "_upsample_bicubic2d_aa", "norm.Scalar", "norm.ScalarOpt_dim",
)  # fmt: skip

# AT_FORALL_FP32_SET_OPT_DTYPE: a float32 result, by the argument `dtype`, unless that is given.
SINGLE_RESULT = (
    "softmax.int", "log_softmax.int", "cumprod", "cumsum", "linalg_vector_norm",
    "linalg_matrix_norm", "linalg_matrix_norm.str_ord", "sum", "sum.dim_IntList",
)  # fmt: skip

# AT_FORALL_PROMOTE: cast to the widest type among the arguments.
WIDEST = (
    "addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "index_put", "tensordot",
    "scatter_add",
)  # fmt: skip

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]
_FUSED = {"softmax.int": "_softmax", "log_softmax.int": "_log_softmax"}


@contextmanager
def cuda_autocast(dtype: torch.dtype) -> Iterator[None]:
    """Enable autocast to `dtype` for CPU tensors, by CUDA's lists.

    While it is open, every thread that uses the CPU's autocast gets these lists.
    """
    library = Library("aten", "IMPL", "AutocastCPU")
    rules = {
        **dict.fromkeys(HALF, lambda given: _cast(given, dtype)),
        **dict.fromkeys(SINGLE, lambda given: _cast(given, torch.float32)),
        **dict.fromkeys(SINGLE_RESULT, _with_single_result),
        **dict.fromkeys(WIDEST, lambda given: _cast(given, _widest(given))),
    }
    try:
        for name, rule in rules.items():
            operation = _operation(name)
            if operation is not None and not listed(name, "AutocastCPU"):
                library.impl(name, _kernel(name, operation, rule))
        with torch.autocast("cpu", dtype):
            yield
    finally:
        library._destroy()


def listed(name: str, key: str) -> bool:
    """Return whether torch has a rule of autocast for an operation of aten under dispatch `key`."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", key))


def _operation(name: str) -> Callable[..., Any] | None:
    """The operation of that name; None where this torch has none."""
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)


def _kernel(
    name: str, operation: Callable[..., Any], rule: Callable[[_Arguments], _Arguments]
) -> Callable[..., Any]:
    """Apply `rule` to the arguments, then run `operation` without autocast."""

    def run(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = rule((args, kwargs))
        with torch.autocast("cpu", enabled=False):
            if name in _FUSED and args[0].dtype == torch.float16 and _single(args, kwargs):
                # CUDA reads float16 and writes float32 in one kernel; bfloat16 is copied first.
                return getattr(torch.ops.aten, _FUSED[name])(args[0], args[1], True)
            return operation(*args, **kwargs)

    return run


def _single(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return torch.float32 in (*args[2:], kwargs.get("dtype"))


def _cast(given: _Arguments, dtype: torch.dtype) -> _Arguments:
    return tree_map(lambda x: x.to(dtype) if _eligible(x) else x, given)


def _with_single_result(given: _Arguments) -> _Arguments:
    """Add `dtype`, unless it is given or the first argument is not eligible."""
    args, kwargs = given
    asked = any(isinstance(x, torch.dtype) for x in (*args, *kwargs.values()))
    return given if asked or not _eligible(args[0]) else (args, {**kwargs, "dtype": torch.float32})


def _widest(given: _Arguments) -> torch.dtype:
    single = any(x.dtype == torch.float32 for x in tree_leaves(given) if _eligible(x))
    return torch.float32 if single else torch.get_autocast_dtype("cpu")


def _eligible(x: object) -> bool:
    """Autocast leaves float64 and all but floating-point tensors alone."""
    return isinstance(x, Tensor) and x.is_floating_point() and x.dtype != torch.float64
