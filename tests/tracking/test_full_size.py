"""Masks at full size are those of the whole frame, however small a part is computed."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ifc_bench.masks import decode, encode
from ifc_bench.tracking import full_size
from ifc_bench.tracking.full_size import full_size_masks


def whole(logits: torch.Tensor, size: tuple[int, int]) -> list[np.ndarray]:
    large = F.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    return list((large > 0).numpy())


def blobs(count: int, height: int, width: int) -> torch.Tensor:
    """Smooth blobs anywhere, cut by the borders too, and noise about 0 at their edges."""
    rows = torch.arange(height)[:, None] - torch.randint(-2, height + 2, (count, 1, 1))
    across = torch.arange(width) - torch.randint(-2, width + 2, (count, 1, 1))
    radius = torch.randint(1, max(2, min(height, width) // 2), (count, 1, 1))
    distance = (rows**2 + across**2).sqrt()
    return radius - distance + torch.randn(count, height, width)


@pytest.mark.parametrize(
    ("grid", "size"),
    [
        ((16, 24), (64, 96)),
        ((16, 24), (128, 96)),
        ((15, 27), (60, 108)),
        ((16, 24), (16, 24)),
        ((9, 16), (108, 192)),  # 12 times: no power of two
        ((9, 16), (35, 61)),  # not a multiple
        ((9, 16), (36, 63)),
        ((16, 24), (8, 12)),  # smaller
    ],
)
def test_masks_are_those_of_the_whole_frame(grid, size):
    torch.manual_seed(0)
    logits = blobs(40, *grid)
    found = full_size_masks(logits, size)
    for rle, mask in zip(found, whole(logits, size), strict=True):
        assert (rle is None) == (not mask.any())
        if rle is not None:
            assert rle == encode(mask[None])[0]
    assert sum(rle is not None for rle in found) > 20


def test_only_the_part_with_the_mask_is_resized(monkeypatch):
    sizes: list[tuple[int, ...]] = []
    resized = full_size._resized

    def watched(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        sizes.append(tuple(logits.shape))
        return resized(logits, size)

    monkeypatch.setattr(full_size, "_resized", watched)
    logits = torch.full((2, 16, 24), -1.0)
    logits[0, 5:7, 9:12] = 1.0
    found = full_size_masks(logits, (64, 96))
    assert sizes == [(1, 4, 5)], (
        "two rows and three columns, and a border of one; none for the other"
    )
    assert found[1] is None


def test_a_logit_of_zero_is_outside():
    for size in ((8, 8), (6, 6)):
        assert full_size_masks(torch.zeros(1, 4, 4), size) == [None]
    logits = torch.zeros(1, 4, 4)
    logits[0, 1, 2] = 1.0
    [rle] = full_size_masks(logits, (4, 4))
    assert rle is not None
    assert decode(rle).sum() == 1
