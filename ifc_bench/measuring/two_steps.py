"""Two steps of training, for their peak of memory: on real tensors, or on fake ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ifc_bench.config import Footprint, LossConfig
from ifc_bench.models.criterion import losses
from ifc_bench.models.ifc import IFC
from ifc_bench.structures import Target

_LOSS = LossConfig()


def train_twice(
    network: IFC,
    work: Footprint,
    device: torch.device,
    precision: Callable[[], AbstractContextManager[object]],
    update: Callable[[list[nn.Parameter]], Callable[[], None]] | None,
) -> None:
    """Run two steps, because the optimiser's moments exist only from the second one on.

    As in the trainer, the forward pass alone is in mixed precision; the loss is in float32.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    if update is None:
        optimiser = torch.optim.AdamW(parameters, fused=True)  # as the trainer
        step = optimiser.step
    else:
        step = update(parameters)  # type: ignore[assignment]
    shape = (work.clips, work.frames, 3, work.height, work.width)
    stride = _LOSS.supervision_stride
    masks = (work.instances, work.frames, -(-work.height // stride), -(-work.width // stride))
    for _ in range(2):
        clips = torch.zeros(shape, dtype=torch.uint8, device=device)
        targets = [
            Target(
                torch.zeros(work.instances, dtype=torch.int64, device=device),
                torch.zeros(masks, device=device),
            )
            for _ in range(work.clips)
        ]
        with precision():
            prediction = network(clips)
        parts = losses(prediction, targets, _LOSS, assign=_in_order)
        for parameter in parameters:
            parameter.grad = None
        torch.stack(list(parts.values())).sum().backward()
        del prediction, parts
        nn.utils.clip_grad_norm_(parameters, 0.01)
        step()


def moments(parameters: list[nn.Parameter]) -> Callable[[], None]:
    """Allocate AdamW's two moments; AdamW itself would read its step count from a fake tensor."""
    held: list[Tensor] = []

    def step() -> None:
        if not held:
            held.extend(torch.zeros_like(p) for p in parameters for _ in range(2))

    return step


def _in_order(similarity: Tensor) -> tuple[Tensor, Tensor]:
    """Match the first queries to the instances: the choice of queries does not affect memory."""
    pairs = torch.arange(min(similarity.shape), device=similarity.device)
    return pairs, pairs
