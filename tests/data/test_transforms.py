"""Crop, resize, flip, pad: one draw for a clip, and masks that stay on their pixels."""

import numpy as np
import pytest
import torch
from matplotlib.path import Path
from PIL import Image

from ifc_bench.config import Optimisation
from ifc_bench.data.outlines import Outlines
from ifc_bench.data.transforms import (
    Sample,
    augment,
    collate,
    resize_frames,
    resize_masks,
    resized,
)


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


TIES = [(240, 360), (480, 360), (480, 361), (854, 641), (37, 53), (720, 480), (1080, 333), (5, 5)]


@pytest.mark.parametrize(("source", "target"), TIES)
def test_masks_are_resized_to_the_pixel_as_pillow_does(source, target):
    """Also where two pixels are equally near, as for 240 to 360 rows."""
    masks = np.random.default_rng(source).random((source, source + 3)) < 0.5
    size = [target, target + 2]
    ours = resize_masks(torch.from_numpy(masks)[None, None], size)[0, 0]
    image = Image.fromarray(masks.astype(np.uint8))
    theirs = np.asarray(image.resize((size[1], size[0]), Image.NEAREST)).astype(bool)
    assert (ours.numpy() == theirs).all()


def test_instances_without_a_pixel_are_dropped():
    """One was empty in the file, and one is a single pixel that is lost when rows are left out."""
    frames = torch.zeros(1, 3, 240, 240, dtype=torch.uint8)
    masks = torch.zeros(3, 1, 240, 240, dtype=torch.bool)
    masks[1, 0, 0, 0] = True
    masks[2, 0, 50:90, 50:90] = True
    sample = Sample(frames, torch.tensor([4, 5, 6]), masks)
    done = augment(sample, schedule(sizes=(96,)), np.random.default_rng(0))
    assert done.classes.tolist() == [6]
    assert done.masks.shape == (1, 1, 96, 96)
    whole = augment(sample, schedule(), np.random.default_rng(0))
    assert whole.classes.tolist() == [5, 6]


def inside(polygon: list[float], size: tuple[int, int], scale: float, less: tuple[int, int]):
    """Pixels of `size` of which half or more is inside a polygon that is moved, then scaled."""
    corners = (np.reshape(polygon, (-1, 2)) - less) * scale
    fine = 8
    y, x = (np.mgrid[: size[0] * fine, : size[1] * fine] + 0.5) / fine
    found = Path(corners).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(x.shape)
    return found.reshape(size[0], fine, size[1], fine).mean((1, 3)) >= 0.5


def test_polygons_are_drawn_at_the_final_size():
    """Small things get their true outline, instead of the pixels of the file enlarged."""
    rng = np.random.default_rng(2)
    better, worse = [], []
    for _ in range(30):
        angles = np.sort(rng.random(9)) * 2 * np.pi
        radius = rng.uniform(4, 11)
        centre = rng.uniform(30, 70, 2)
        polygon = (np.stack([np.cos(angles), np.sin(angles)], 1) * radius + centre).ravel().tolist()
        outlines = Outlines([[polygon]], (100, 100))
        truth = inside(polygon, (200, 200), 2.5, (10, 20))
        done = outlines.crop(slice(20, 100), slice(10, 90)).resize([200, 200]).draw()[0, 0].numpy()
        enlarged = resize_masks(outlines.draw()[..., 20:100, 10:90], [200, 200])[0, 0].numpy()
        better.append((done & truth).sum() / max(1, (done | truth).sum()))
        worse.append((enlarged & truth).sum() / max(1, (enlarged | truth).sum()))
    assert np.median(better) > 0.95
    assert np.median(better) > np.median(worse) + 0.03
    assert min(better) > 0.85


def test_polygons_that_leave_the_crop_are_cut():
    """In part or entirely; two parts of one instance are one mask."""
    square = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
    far = [60.0, 60.0, 70.0, 60.0, 70.0, 70.0, 60.0, 70.0]
    sample = Sample(
        torch.zeros(1, 3, 100, 100, dtype=torch.uint8),
        torch.tensor([4, 5, 6]),
        Outlines([[square], [far], [square, far]], (100, 100)),
    )
    drawn = sample.masks.crop(slice(20, 60), slice(15, 55)).draw()
    assert drawn.flatten(1).sum(1).tolist() == [15 * 10, 0, 15 * 10]
    rng = np.random.default_rng(1)
    done = augment(sample, schedule(crop=(40, 40), sizes=(80,), flip=True), rng)
    assert done.masks.flatten(1).any(1).all()
    assert done.masks.shape[1:] == (1, 80, 80)
    assert len(done.classes) == len(done.masks)


def test_a_flip_is_that_of_the_frames():
    sample = Sample(
        torch.zeros(1, 3, 10, 20, dtype=torch.uint8),
        torch.tensor([4]),
        Outlines([[[2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]]], (10, 20)),
    )
    found = {
        tuple(done.masks.any(2).flatten().nonzero().flatten().tolist())
        for done in (
            augment(sample, schedule(flip=True), np.random.default_rng(seed)) for seed in range(8)
        )
    }
    assert found == {tuple(range(2, 8)), tuple(range(12, 18))}
