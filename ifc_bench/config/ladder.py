"""The speed ladder: the release's order of operations, then one change after the other.

Every rung keeps the changes of those below it. Its profile also measures how far its logits are
from those of the first rung.
"""

from __future__ import annotations

from typing import Any

from ifc_bench.config.model import AttentionKernel
from ifc_bench.config.work import Profile, RandomWeights

_CHANGES: dict[str, dict[str, Any]] = {
    "release order": {
        "precision": "fp32",
        "channels_last": False,
        "form": "release",
        "compiled": False,
    },
    "channels-last": {"channels_last": True},
    "fused attention": {},
    "shared windows": {"form": "shared"},
    "folded norm": {"form": "folded"},
    "compiled": {"compiled": True},
    "bf16": {"precision": "bf16"},
}
RUNGS = tuple(_CHANGES)
"""The names of all rungs, bottom to top; the last is for GPUs alone."""


def ladder(work: Profile, on_gpu: bool) -> list[Profile]:
    """The profiles of the rungs, bottom to top; the same whichever rung of them `work` is.

    Fused attention is "efficient" on a GPU and "flash", the only one there is, on a CPU.

    Raises:
        ValueError: where `work` has trained weights, whose attention belongs to their training.
    """
    if not isinstance(work.weights, RandomWeights):
        raise ValueError("work: has trained weights; a ladder is of random weights")
    rung = work.model_copy(
        update={
            "weights": _attending(work.weights, "materialised"),
            "protocol": work.protocol.model_copy(update={"logits": True}),
        }
    )
    rungs = []
    for name in RUNGS if on_gpu else RUNGS[:-1]:
        rung = rung.model_copy(update=_CHANGES[name])
        if name == "fused attention":
            kernel: AttentionKernel = "efficient" if on_gpu else "flash"
            rung = rung.model_copy(update={"weights": _attending(work.weights, kernel)})
        rungs.append(rung)
    return rungs


def _attending(weights: RandomWeights, kernel: AttentionKernel) -> RandomWeights:
    model = weights.model.model_copy(update={"attention": kernel})
    return weights.model_copy(update={"model": model})
