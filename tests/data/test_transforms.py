"""Crop, resize, flip, pad: one draw for a clip, and masks that stay on their pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from ifc_bench.config import Optimisation
from ifc_bench.data.transforms import Sample, augment, collate, resize_frames, resized


def schedule(**changes: object) -> Optimisation:
    return Optimisation(iterations=1).model_copy(update={"flip": False, **changes})


def bright_square(height: int = 60, width: int = 100) -> Sample:
    """Two frames with one bright square, its mask, and a second instance in a corner."""
    frames = torch.zeros(2, 3, height, width, dtype=torch.uint8)
    masks = torch.zeros(2, 2, height, width, dtype=torch.bool)
    masks[0, :, 20:40, 40:70] = True
    masks[1, :, :3, :3] = True
    frames[:, :, masks[0, 0]] = 200
    return Sample(frames, torch.tensor([4, 5]), masks)


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        ((720, 1280), 360, [360, 640]),
        ((1280, 720), 360, [640, 360]),
        ((100, 1000), 360, [133, 1333]),
    ],
)
def test_the_shorter_side_is_asked_for_and_the_longer_limited(size, short, expected):
    assert resized(size, short) == expected


def test_frames_are_resized_as_pillow_does():
    rng = np.random.default_rng(0)
    array = rng.integers(0, 256, (90, 120, 3)).astype(np.uint8)
    ours = resize_frames(torch.from_numpy(array).permute(2, 0, 1)[None], [45, 60])
    theirs = np.asarray(Image.fromarray(array).resize((60, 45), Image.BILINEAR))
    assert np.abs(ours[0].permute(1, 2, 0).numpy().astype(int) - theirs).max() <= 1


def test_masks_follow_their_pixels_through_all_steps():
    rng = np.random.default_rng(3)
    for _ in range(20):
        done = augment(bright_square(), schedule(flip=True, crop=(30, 55), sizes=(40, 80)), rng)
        assert min(done.frames.shape[-2:]) in (40, 80)
        assert done.masks.shape[-2:] == done.frames.shape[-2:]
        if 4 in done.classes.tolist():
            mask = done.masks[done.classes.tolist().index(4)]
            bright = done.frames[:, 0] > 100
            agree = (mask & bright).sum() / (mask | bright).sum()
            assert agree > 0.9
        assert torch.equal(done.frames[0], done.frames[1])


def test_instances_outside_the_crop_are_dropped():
    rng = np.random.default_rng(0)
    kept = [len(augment(bright_square(), schedule(crop=(20, 20)), rng).classes) for _ in range(40)]
    assert set(kept) >= {0, 1}
    assert 2 not in kept


def test_a_frame_smaller_than_the_crop_is_kept_whole():
    done = augment(bright_square(), schedule(crop=(384, 600)), np.random.default_rng(0))
    assert done.frames.shape[-2:] == (60, 100)


def test_flips_are_for_whole_clips_and_about_half():
    rng = np.random.default_rng(0)
    sample, flipped = bright_square(), 0
    for _ in range(100):
        done = augment(sample, schedule(flip=True), rng)
        mirrored = torch.equal(done.frames, sample.frames.flip(-1))
        assert mirrored or torch.equal(done.frames, sample.frames)
        assert torch.equal(done.masks, sample.masks.flip(-1) if mirrored else sample.masks)
        flipped += mirrored
    assert 35 < flipped < 65


def test_a_batch_is_padded_to_its_largest_and_tells_the_sizes():
    batch = collate([bright_square(60, 100), bright_square(80, 90)], 4, boxes=False)
    assert batch.clips.shape == (2, 2, 3, 80, 100)
    assert batch.valid_sizes.tolist() == [[60, 100], [80, 90]]
    assert [t.masks.shape for t in batch.targets] == [(2, 2, 20, 25)] * 2
    assert batch.clips[0, ..., 60:, :].max() == 0
    assert collate([bright_square()] * 2, 4, boxes=False).valid_sizes is None


def test_a_clip_without_instances_is_a_batch_too():
    sample = bright_square()
    empty = Sample(sample.frames, sample.classes[:0], sample.masks[:0])
    done = augment(empty, schedule(sizes=(30,), crop=(20, 50)), np.random.default_rng(0))
    assert collate([done], 4, boxes=True).targets[0].masks.shape[:2] == (0, 2)
