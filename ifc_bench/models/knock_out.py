"""Taking communication away from a trained network, with hooks: same weights, less to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from ifc_bench.models.ifc import IFC


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
