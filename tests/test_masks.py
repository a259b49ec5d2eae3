"""Mask arithmetic on more masks than pycocotools takes the areas of at once."""

import numpy as np
import pytest

from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.masks import areas, decode, encode, tube_ious


def squares(count: int) -> np.ndarray:
    """Masks [count, 8, 8] of 1 to 49 pixels: the n-th holds a square with a side of n % 7 + 1."""
    masks = np.zeros((count, 8, 8), bool)
    for number, mask in enumerate(masks):
        mask[: number % 7 + 1, : number % 7 + 1] = True
    return masks


@pytest.mark.parametrize("count", [0, 1, 255, 256, 300, 511, 2000])
def test_areas_of_any_number_of_masks(count):
    masks = squares(count)
    rles = encode(masks) if count else []
    assert areas(rles).tolist() == masks.sum((1, 2)).tolist()
    with_gaps = [rle if number % 3 else None for number, rle in enumerate(rles)]
    expected = [0 if n % 3 == 0 else int(m.sum()) for n, m in enumerate(masks)]
    assert areas(with_gaps).tolist() == expected


@pytest.mark.parametrize("count", [256, 2000])
def test_masks_of_long_videos_survive_writing(count):
    masks = squares(count)
    written = written_annotation(1, 1, 1, masks)
    assert written["areas"] == masks.sum((1, 2)).tolist()
    assert [box[2:] for box in written["bboxes"]] == [[n % 7 + 1] * 2 for n in range(count)]
    assert all((decode(rle) == mask).all() for rle, mask in zip(encode(masks), masks, strict=True))


def test_ious_of_a_frame_with_many_instances():
    masks = squares(300)
    tubes = [[rle] for rle in encode(masks)]
    flat = masks.reshape(300, -1).astype(float)
    shared = flat @ flat.T
    union = flat.sum(1)[:, None] + flat.sum(1)[None] - shared
    np.testing.assert_allclose(tube_ious(tubes, tubes), shared / union, atol=1e-12)


@pytest.mark.parametrize("length", [256, 2000])
def test_ious_of_long_tubes(length):
    whole = encode(squares(length))
    half = [rle if frame % 2 else None for frame, rle in enumerate(whole)]
    sizes = areas(whole)
    expected = sizes[1::2].sum() / sizes.sum()
    assert tube_ious([whole, half], [whole]).tolist() == [[1.0], [pytest.approx(expected)]]
