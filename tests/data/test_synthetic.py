"""The generator: same seed, same bytes; exact masks; all situations."""

import errno
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ifc_bench.config import SyntheticData
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.loading import VideoDataset
from ifc_bench.data.scenes import CLASSES, LOST_GREY, render
from ifc_bench.data.situations import SITUATIONS, Situation
from ifc_bench.data.synthetic import synthesize
from ifc_bench.masks import decode


def test_same_seed_same_bytes(tiny_data, data_folder, tmp_path):
    def digest(folder, split, every_byte=True):
        return VideoDataset(folder / split).digest(every_byte)

    synthesize(tiny_data, tmp_path / "again")
    for split in ("train", "valid"):
        for every_byte in (True, False):
            again = digest(tmp_path / "again", split, every_byte)
            assert again == digest(data_folder, split, every_byte)
    other = tiny_data.model_copy(update={"seed": 1})
    synthesize(other, tmp_path / "other")
    assert digest(tmp_path / "other", "train") != digest(data_folder, "train")


def test_splits_share_no_video(data_folder):
    frames = [
        {p.read_bytes() for p in (data_folder / split).rglob("*.jpg")}
        for split in ("train", "valid")
    ]
    assert all(frames)
    assert not frames[0] & frames[1]


def test_situations_have_equal_shares_and_are_tagged(tmp_path):
    few = SyntheticData(train_videos=12, validation_videos=1, frames=2, height=32, width=48)
    synthesize(few, tmp_path / "data")
    videos = read_instances(tmp_path / "data" / "train" / "instances.json").videos
    assert sorted(v.situation for v in videos) == sorted((*SITUATIONS, *SITUATIONS))


def test_masks_of_a_frame_never_overlap(data_folder):
    data = VideoDataset(data_folder / "train")
    overlaps = 0
    for video in data.videos:
        tubes = [a.rles for a in data.instances.annotations if a.video_id == video.id]
        for rles in zip(*tubes, strict=True):
            cover = sum(decode(r).astype(int) for r in rles if r is not None)
            overlaps += int(np.max(cover, initial=0) > 1)
    assert overlaps == 0


def scenes(situation: str, count: int = 30):
    config = SyntheticData(frames=24)
    return [
        render(config, SITUATIONS[situation], np.random.default_rng([7, i])) for i in range(count)
    ]


def test_identical_instances_share_class_size_and_colour():
    for _, masks, categories, _ in scenes("similar_appearance"):
        assert len(set(categories)) <= 1
        largest = masks.sum((2, 3)).max(1)
        assert largest.max() < 1.6 * largest.min() + 20


def mean_step(masks: np.ndarray) -> list[float]:
    """Mean displacement of the centre between frames in which an instance is whole."""
    steps = []
    for tube in masks:
        sizes = tube.sum((1, 2))
        whole = sizes > 0.9 * sizes.max()
        centres = np.array([np.argwhere(m).mean(0) if m.any() else [0, 0] for m in tube])
        both = whole[1:] & whole[:-1]
        if both.sum() > 2:
            steps.append(float(np.median(np.linalg.norm(np.diff(centres, axis=0), axis=1)[both])))
    return steps


@pytest.mark.parametrize(
    ("situation", "low", "high"),
    [("plain", 0, 2.5), ("fast_motion", 3, 11), ("similar_appearance", 1.5, 5.5)],
)
def test_speeds_are_those_of_the_situation(situation, low, high):
    steps = [s for _, masks, *_ in scenes(situation) for s in mean_step(masks)]
    assert len(steps) > 10
    inside = [low <= s <= high for s in steps]
    assert np.mean(inside) > 0.9


def test_overlap_scenes_occlude():
    def occluded(situation: str) -> float:
        losses = []
        for _, masks, *_ in scenes(situation):
            sizes = masks.sum((2, 3))
            middle = sizes[:, 9:15].min(1) / np.maximum(sizes.max(1), 1)
            losses.append((middle < 0.8).mean())
        return float(np.mean(losses))

    assert occluded("overlap") > occluded("plain") + 0.15


def test_blur_averages_moments_and_leaves_masks_sharp():
    """With a closed shutter the scene is the same, its masks too, and its edges are steeper."""
    config, blur = SyntheticData(frames=24), SITUATIONS["motion_blur"]

    def scene(situation: Situation):
        return render(config, situation, np.random.default_rng([7, 3]))

    blurred, masks, *_ = scene(blur)
    sharp, same_masks, *_ = scene(replace(blur, moments=1))
    np.testing.assert_array_equal(masks, same_masks)

    def steepness(frames: np.ndarray) -> float:
        return float(np.percentile(np.abs(np.diff(frames.astype(float), axis=2)), 99.5))

    assert steepness(blurred) < 0.8 * steepness(sharp)


def test_a_lost_frame_tells_nothing_and_the_rest_is_as_it_was():
    """A fifth of the frames is grey with noise, never the first; masks are those of the scene."""
    config, losing = SyntheticData(frames=24), SITUATIONS["lost_frames"]
    lost_share = []
    for index in range(15):
        frames, masks, *_ = render(config, losing, np.random.default_rng([7, index]))
        whole, same_masks, *_ = render(
            config, replace(losing, lost=0.0), np.random.default_rng([7, index])
        )
        np.testing.assert_array_equal(masks, same_masks)
        lost = (frames != whole).any((1, 2, 3))
        np.testing.assert_array_equal(frames[~lost], whole[~lost])
        assert not lost[0]
        for frame, tubes in zip(frames[lost].astype(float), masks[:, lost].any(0), strict=True):
            assert abs(frame.mean() - LOST_GREY) < 1
            if tubes.sum() > 50:
                inside, outside = frame[tubes].mean(), frame[~tubes].mean()
                assert abs(inside - outside) < 1.5, "the place is not told"
        lost_share.append(lost[1:].mean())
    assert abs(np.mean(lost_share) - 0.2) < 0.06


def test_instances_leave_and_come_back():
    returned = 0
    for _, masks, *_ in scenes("fast_motion", 40):
        for tube in masks:
            seen = tube.any(axis=(1, 2))
            gaps = np.flatnonzero(np.diff(seen.astype(int)) == 1)
            returned += int(seen[0] and gaps.size > 0)
    assert returned > 0


def test_all_classes_occur(data_folder):
    truth = read_instances(data_folder / "train" / "instances.json")
    assert [c.name for c in truth.categories] == list(CLASSES)
    assert len({a.category_id for a in truth.annotations}) >= 3


def test_a_full_disk_is_told_with_the_file_and_leaves_nothing(tiny_data, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))  # as on a disk that is full
    try:
        with pytest.raises(OSError, match="too large") as caught:
            synthesize(tiny_data, tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert str(caught.value.filename).endswith("train/JPEGImages/00000/00000.jpg")
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="the system has no such folder")
def test_a_folder_that_takes_no_file_is_told_at_once(tiny_data):
    with pytest.raises(OSError, match=r"/proc/data\.lock"):
        synthesize(tiny_data, Path("/proc/data"))


def test_an_interrupted_write_leaves_nothing_in_place(tiny_data, tmp_path):
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(tiny_data, tmp_path / "data", stop)
    assert not (tmp_path / "data").exists()
    synthesize(tiny_data, tmp_path / "data")
    assert (tmp_path / "data" / "valid" / "instances.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "its lock has gone"
