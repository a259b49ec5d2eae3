"""Taking communication away from a trained network, with hooks: same weights, less to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ifc_bench.models.ifc import IFC
from ifc_bench.models.inference_form import SharedIFC


@contextmanager
def isolated(model: IFC) -> Iterator[None]:
    """Let the communication module take each frame for a clip of its own (T = 1).

    The decoder still sees the tokens of all T frames. For No Comm nothing changes.
    """
    sizes: list[tuple[int, ...]] = []

    def part(module: nn.Module, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        assert inputs[0] is not None
        sizes.append(tuple(inputs[0].shape[:2]))
        return tuple(None if x is None else x.flatten(0, 1)[:, None] for x in inputs)

    def join(module: nn.Module, inputs: object, output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        clips = sizes.pop()
        return tuple(x.squeeze(1).unflatten(0, clips) for x in output)

    handles = (
        model.communication.register_forward_pre_hook(part),
        model.communication.register_forward_hook(join),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def memory_swapped(model: IFC) -> Iterator[None]:
    """Give each clip of a batch the memory tokens of the clip before it.

    They change places after every Encode-Receive, so Gather-Communicate, the next block and the
    decoder all read another clip's. One clip alone keeps its own, and without memory tokens nothing
    changes.
    """
    tokens = model.memory.shape[0]
    clips = [0]

    def count(module: nn.Module, inputs: tuple[Tensor | None, ...]) -> None:
        assert inputs[0] is not None
        clips[0] = inputs[0].shape[0]

    def swap(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        frames = output.unflatten(0, (clips[0], -1))  # [B, T, N + M, C], or [B, 1, ...]
        mine, others = frames[:, :, :-tokens], frames[:, :, -tokens:].roll(1, 0)
        return torch.cat((mine, others), 2).flatten(0, 1)

    shared = model if isinstance(model, SharedIFC) else None
    leading = 0
    if shared is not None:  # layers that run before the clip is known could not be given another's
        leading, shared.leading = shared.leading, 0
    handles = [model.communication.register_forward_pre_hook(count)]
    for layer in model.communication.spatial if tokens else ():
        handles.append(layer.register_forward_hook(swap))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        if shared is not None:
            shared.leading = leading
