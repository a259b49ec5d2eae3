"""Peak memory of code that runs on fake tensors: nothing is allocated, everything is counted.

A fake tensor lives exactly as long as the real one would, so the sum of the storages that are
alive, followed through every operation, is what an allocator would hold. What kernels allocate
within themselves does not show; of that the copies of oneDNN's convolutions are added by rule
(`onednn_copies`), for they are as large as the activations.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_CONVOLUTION = "aten::convolution"
_BACKWARD = "aten::convolution_backward"


@dataclass
class Peak:
    """The largest sum of live bytes, and the operation at which it stood."""

    bytes: int = 0
    at: str = ""


class LiveBytes(TorchDispatchMode):
    """Follows storages that are made inside it, or that `hold` names, until they die.

    What was there before and is not held counts from its first use on. `threads` None counts
    tensors alone; a number adds what oneDNN's convolutions copy on a processor with that many
    threads.
    """

    def __init__(self, threads: int | None = None) -> None:
        super().__init__()
        self.threads = threads
        self.live = 0
        self.peak = Peak()
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def hold(self, tensor: Tensor) -> None:
        """Count a tensor's storage, once, for as long as it lives."""
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known[storage] = size
        self.live += size
        weakref.finalize(storage, self._free, size)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func.namespace == "aten":
            with self:  # a composite operation shows what it is made of
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        output = func(*args, **(kwargs or {}))
        for value in tree_leaves(output):
            if isinstance(value, Tensor):
                self.hold(value)
        name = func._schema.name
        within = 0
        if self.threads is not None and name == _CONVOLUTION:
            within = onednn_copies(args, output, self.threads)
        elif self.threads is not None and name == _BACKWARD:
            within = onednn_backward_copies(args, self.threads)
        if self.live + within > self.peak.bytes:
            self.peak = Peak(self.live + within, name)
        return output

    def _free(self, size: int) -> None:
        self.live -= size


def onednn_copies(inputs: tuple[Any, ...], output: Tensor, threads: int) -> int:
    """Bytes that a convolution of float32 holds on a processor while it works, besides its output.

    oneDNN works on channels in blocks. Of tensors in the usual order it rewrites input and weight,
    works, drops them, and rewrites its result: max(input + weight, output). Of channels-last
    tensors it rewrites the weight alone, and torch the input where that is in the usual order. A
    strided 1x1 convolution in the usual order also gathers the pixels it keeps, a frame for each
    thread; a first layer of three channels reads its input as it is. Where torch takes its own
    convolution instead, a 1x1 copies nothing and a larger one unfolds the frame.
    """
    x, weight = inputs[0], inputs[1]
    strided = max(_pair(inputs[3] if len(inputs) > 3 else 1)) > 1
    pointwise = max(weight.shape[2:]) == 1
    if not _by_onednn(x, weight, strided, threads):
        pixels = output.shape[-2] * output.shape[-1]
        return 0 if pointwise else prod(weight.shape[1:]) * pixels * x.element_size()
    last = [suggest_memory_format(t) is torch.channels_last for t in (x, weight)]
    if any(last):
        return _bytes(weight) + (0 if last[0] else _bytes(x))
    rewritten = 0 if x.shape[1] <= 3 else _bytes(x) + _bytes(weight)
    if pointwise and strided:
        gathered = weight.shape[1] * output.shape[-2] * output.shape[-1] * x.element_size()
        rewritten += min(threads, x.shape[0]) * gathered
    return max(rewritten, _bytes(output))


def onednn_backward_copies(inputs: tuple[Any, ...], threads: int) -> int:
    """The same for the gradients of a convolution: gradient and input or weight in blocks."""
    gradient, x, weight = inputs[:3]
    if not _by_onednn(x, weight, max(_pair(inputs[4])) > 1, threads):
        return 0
    if suggest_memory_format(x) is torch.channels_last:
        return 2 * _bytes(weight)
    return _bytes(gradient) + max(_bytes(x), _bytes(weight))


def _by_onednn(x: Tensor, weight: Tensor, strided: bool, threads: int) -> bool:
    """torch's choice between oneDNN and its own convolution (`use_mkldnn` in ConvolutionUtils)."""
    suited = strided or x.shape[0] >= 16 or max(weight.shape[2:]) != 1 or threads > 1
    grouped = weight.shape[1] != x.shape[1]
    large = min(weight.shape[2:]) > 3 or x.shape[0] > 1 or x.numel() > 20480
    return suited and (grouped or large)


def _pair(stride: Any) -> tuple[int, ...]:
    return tuple(stride) if isinstance(stride, (list, tuple)) else (int(stride),)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
