"""Checkpoints in the released format without a checkpoint: values follow from key and shape.

The recordings in `tests/golden/` were made by the authors' network filled by the same rule.
"""

from __future__ import annotations

import json
import math
import zlib
from functools import lru_cache

import numpy as np
import torch

from tests.conftest import GOLDEN

_EMBEDDINGS = ("memory_bus", "memory_pos", "query_embed.weight")


def _entry(key: str, shape: list[int]) -> np.ndarray:
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape, np.float32)
    if key.endswith(_EMBEDDINGS):
        return 0.5 * noise
    if key.endswith("running_var"):
        return 1 + 0.1 * abs(noise)
    if key.endswith("running_mean"):
        return 0.1 * noise
    if len(shape) == 1:
        return 0.05 * noise + (0 if key.endswith("bias") else 1)
    return noise * np.float32(_gain(key) * math.sqrt(1 / math.prod(shape[1:])))


def _gain(key: str) -> float:
    if "backbone" in key:
        return {"conv3": 0.5, "shortcut": 1.0}.get(key.split(".")[-2], 1.4)
    if "in_proj" in key:
        return 2.5
    return 1.2 if "mask_head" in key else 1.5


@lru_cache
def shapes(depth: int = 50) -> dict[str, list[int]]:
    """Keys and shapes of a released checkpoint; ResNet-101 has 17 more blocks in res4."""
    known = json.loads((GOLDEN / "released_keys.json").read_text())
    if depth == 101:
        last = {key: shape for key, shape in known.items() if ".res4.5." in key}
        for block in range(6, 23):
            known |= {k.replace(".res4.5.", f".res4.{block}."): s for k, s in last.items()}
    return known


@lru_cache
def released_checkpoint(depth: int = 50) -> dict[str, torch.Tensor]:
    """A state dict of the released model; `criterion.empty_weight` is a constant of the loss."""
    filled = {k: torch.from_numpy(np.asarray(_entry(k, s))) for k, s in shapes(depth).items()}
    filled["criterion.empty_weight"] = torch.ones(41)
    return filled


def noise_clip(seed: int, frames: int, height: int, width: int) -> torch.Tensor:
    """A random uint8 clip [T, 3, H, W]: coarse cells with fine noise on them."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (frames, 3, -(-height // 8), -(-width // 8)))
    coarse = cells.repeat(8, 2).repeat(8, 3)[:, :, :height, :width]
    fine = rng.integers(-20, 21, (frames, 3, height, width))
    return torch.from_numpy(np.clip(coarse + fine, 0, 255).astype(np.uint8))
