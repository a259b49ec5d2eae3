"""Peak memory of code that runs on fake tensors: nothing is allocated, every storage counts.

A fake tensor lives exactly as long as the real one would. The sum of the live storages after each
operation is therefore what an allocator would hold. Memory that kernels allocate internally is not
counted.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PARTS = torch._C.DispatchKey.CompositeImplicitAutograd
_has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key


@dataclass
class Peak:
    """The largest sum of live bytes, and the operation that reached it."""

    bytes: int = 0
    at: str = ""


class LiveBytes(TorchDispatchMode):
    """Tracks storages that are created inside it or passed to `hold`, until they are freed.

    A storage that was created earlier and not passed to `hold` counts from its first use on.
    """

    def __init__(self) -> None:
        super().__init__()
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
        if func.namespace == "aten" and _has_kernel(func.name(), _PARTS.name):
            with self:  # count the parts of a composite operation
                # not func.decompose: it prefers Python's decompositions, such as one of resizing
                # with a dozen intermediate tensors, which no kernel allocates
                return func._op_dk(_PARTS, *args, **(kwargs or {}))
        output = func(*args, **(kwargs or {}))
        for value in tree_leaves(output):
            if isinstance(value, Tensor):
                self.hold(value)
        level = self.live + _relaid_bytes(func, args)
        if level > self.peak.bytes:
            self.peak = Peak(level, func._schema.name)
        return output

    def _free(self, size: int) -> None:
        self.live -= size


def _relaid_bytes(func: Any, args: tuple[Any, ...]) -> int:
    """Bytes of the copy in channels-last order that a convolution makes of an image without it."""
    if func is not torch.ops.aten.convolution.default:
        return 0
    image, weight = args[:2]
    if image.dim() != 4 or image.is_contiguous(memory_format=torch.channels_last):
        return 0
    wanted = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    return image.numel() * image.element_size() if wanted else 0
