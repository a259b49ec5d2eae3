"""The optimiser, its learning rate at each iteration, and the average of the weights."""

from __future__ import annotations

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ifc_bench.config import Optimisation
from ifc_bench.models.ifc import IFC


def averaged(model: IFC, schedule: Optimisation) -> AveragedModel | None:
    """The average of the weights over iterations, to be updated after each; None without one."""
    if schedule.average is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(schedule.average))


def make_optimiser(model: IFC, schedule: Optimisation) -> torch.optim.AdamW:
    """AdamW with a rate of its own for the backbone; each group keeps it as `base_lr`."""
    backbone = [p for p in model.backbone.parameters() if p.requires_grad]
    chosen = {id(parameter) for parameter in model.backbone.parameters()}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    slow = schedule.learning_rate * schedule.backbone_multiplier
    groups = [
        {"params": rest, "base_lr": schedule.learning_rate},
        {"params": backbone, "base_lr": slow},
    ]
    return torch.optim.AdamW(
        groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )


def set_rate(optimiser: torch.optim.AdamW, schedule: Optimisation, iteration: int) -> None:
    """Set the learning rate: linear warm-up, then drops and, if asked for, a linear decay."""
    drops = sum(iteration >= at for at in schedule.drop_at)
    factor = min(1.0, (iteration + 1) / (schedule.warmup + 1)) * 0.1**drops
    if schedule.decay == "linear":
        left = schedule.iterations - iteration
        factor *= min(1.0, left / max(schedule.iterations - schedule.warmup, 1))
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
