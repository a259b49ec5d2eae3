"""Controls of the embedded benchmark: each hides what it says, and nothing else gives it away."""

import numpy as np
import pytest

from ifc_bench.config import SyntheticData
from ifc_bench.data.annotations import read_instances
from ifc_bench.data.scenes import LOST_GREY, Scene, render
from ifc_bench.data.situations import CONTROLS, SITUATIONS, names
from ifc_bench.data.synthetic import synthesize


def scenes(control: str, count: int = 40) -> list[Scene]:
    config = SyntheticData(generator=3)
    return [
        render(config, CONTROLS[control], np.random.default_rng([11, index]))
        for index in range(count)
    ]


@pytest.mark.parametrize("control", ["blank_static", "blank_moving"])
def test_a_share_of_the_frames_is_grey_and_tells_nothing(control):
    for frames, masks, _, marked in scenes(control):
        assert len(marked) == round(0.3 * 24)
        assert marked[0] > 0
        assert not any({first, first + 1, first + 2, first + 3} <= set(marked) for first in marked)
        for frame in marked:
            shown, covered = frames[frame].astype(float), masks[:, frame].any(0)
            assert abs(shown.mean() - LOST_GREY) < 1
            if covered.sum() > 50:
                assert abs(shown[covered].mean() - shown[~covered].mean()) < 1.5


@pytest.mark.parametrize("control", ["blank_static", "clear_static"])
def test_instances_stand_still(control):
    for _, masks, *_ in scenes(control):
        assert (masks == masks[:, :1]).all()
        assert masks.any((1, 2, 3)).all()


def test_blobs_differ_from_each_other_and_from_the_named_shapes():
    """The ratio of a mask's area to its circle's differs from blob to blob."""

    def ratios(control: str) -> np.ndarray:
        found = []
        for _, masks, categories, _ in scenes(control):
            for mask, category in zip(masks[:, 0], categories, strict=True):
                rows, columns = mask.nonzero()
                inside = rows.min() > 0 and columns.min() > 0
                if inside and rows.max() < 63 and columns.max() < 95 and category == 0:
                    centre = np.array([rows.mean(), columns.mean()])
                    far = np.hypot(rows - centre[0], columns - centre[1]).max()
                    found.append(len(rows) / (np.pi * far**2))
        return np.array(found)

    assert len(ratios("blank_static")) > 5
    assert ratios("blank_static").std() > 0.08
    assert ratios("blank_static").mean() < 0.85


def test_fog_hides_contrast_by_frame():
    for frames, _, _, marked in scenes("fog"):
        contrast = frames.astype(float).std((1, 2, 3))
        assert len(marked) == 8
        clear = [frame for frame in range(24) if frame not in marked]
        # the noise of 3 grey levels is in all of them
        assert contrast[marked].max() <= contrast[clear].min() + 1.5
    spread = [np.log(frames.astype(float).std((1, 2, 3))).std() for frames, *_ in scenes("fog")]
    assert np.mean(spread) > 0.4


def test_a_direction_is_only_in_the_order_of_frames():
    """Played backwards, a scene of one class is one of the other: places and looks are the same."""
    centres: dict[int, list[float]] = {0: [], 1: []}
    for frames, masks, categories, marked in scenes("direction", 200):
        assert not marked
        assert len(categories) == 1
        columns = [mask.nonzero()[1].mean() for mask in masks[0] if mask.any()]
        assert (columns[-1] > columns[0]) == (categories[0] == 1)
        assert len(columns) == 24, "it never leaves"
        centres[categories[0]] += columns
        shown = frames[12][masks[0, 12]].astype(float).mean(0)
        assert shown.max() - shown.min() < 6, "colourless"
    counts = [len(found) / 24 for found in centres.values()]
    assert min(counts) > 70
    means, stds = zip(*((np.mean(found), np.std(found)) for found in centres.values()), strict=True)
    assert abs(means[0] - means[1]) < 5
    assert abs(stds[0] - stds[1]) < 4


def test_a_half_of_the_videos_are_controls_and_marks_are_written(tmp_path):
    config = SyntheticData(
        generator=3, train_videos=24, validation_videos=1, frames=12, height=32, width=48
    )
    synthesize(config, tmp_path / "data")
    videos = read_instances(tmp_path / "data" / "train" / "instances.json").videos
    tags = [video.situation for video in videos]
    assert sum(tag in CONTROLS for tag in tags) == 12
    assert set(tags) == set(names(3)) == {*SITUATIONS, *CONTROLS}
    assert tags.count("blank_static") == 4
    for video in videos:
        hides = video.situation in ("blank_static", "blank_moving", "fog")
        assert bool(video.marked) >= hides
        assert not video.marked or video.situation in (*CONTROLS, "lost_frames")


def test_version_2_has_no_marks(tmp_path):
    config = SyntheticData(train_videos=12, validation_videos=1, frames=6, height=32, width=48)
    synthesize(config, tmp_path / "data")
    assert '"marked"' not in (tmp_path / "data" / "train" / "instances.json").read_text()


def test_an_image_is_a_scene_with_nothing_hidden(tmp_path):
    config = SyntheticData(
        generator=3, train_videos=12, validation_videos=1, frames=1, height=32, width=48
    )
    synthesize(config, tmp_path / "data")
    videos = read_instances(tmp_path / "data" / "train" / "instances.json").videos
    assert not any(video.marked for video in videos)
