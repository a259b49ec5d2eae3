"""Arithmetic of a network: TF32 for a whole process, mixed precision for a block of code."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from ifc_bench.config import Arithmetic

_HALF: dict[Arithmetic, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def settle_tf32(precision: Arithmetic) -> None:
    """Allow TF32 for "tf32" alone, in matrix products and in cuDNN, for the whole process.

    torch allows it in cuDNN by default, so that convolutions in float32 round their inputs to TF32
    on GPUs of compute capability 8.0 and later (PyTorch, "CUDA semantics").
    """
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def arithmetic(device: torch.device, precision: Arithmetic) -> AbstractContextManager[object]:
    """Enable automatic mixed precision for bf16 and fp16; do nothing for fp32 and tf32."""
    half = _HALF.get(precision)
    return nullcontext() if half is None else torch.autocast(device.type, half)
