"""The identity oracle: only identities change, and what it wins is counted."""

import json

import numpy as np
import pytest

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.evaluation.identity import rejoined
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.evaluation.result import as_result
from ifc_bench.evaluation.video_ap import score_videos
from ifc_bench.masks import encode

LENGTH, HEIGHT, WIDTH = 6, 8, 20


def tube(left: list[int | None], wide: int = 6) -> np.ndarray:
    """A bar in each frame that begins at a column; None: no mask."""
    masks = np.zeros((LENGTH, HEIGHT, WIDTH), bool)
    for frame, column in enumerate(left):
        if column is not None:
            masks[frame, :, column : column + wide] = True
    return masks


def track(masks: np.ndarray, score: float, category: int = 1) -> PredictedTrack:
    rles = [rle if mask.any() else None for rle, mask in zip(encode(masks), masks, strict=True)]
    return PredictedTrack(1, category, score, rles)


@pytest.fixture
def truth(tmp_path):
    """Two bars, at the left and at the right, in all frames."""
    video = {
        "id": 1, "width": WIDTH, "height": HEIGHT, "length": LENGTH,
        "file_names": [f"v/{number}.jpg" for number in range(LENGTH)],
    }  # fmt: skip
    content = {
        "videos": [video],
        "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "box"}],
        "annotations": [
            written_annotation(1, 1, 1, tube([0] * LENGTH)),
            written_annotation(2, 1, 1, tube([12] * LENGTH)),
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return read_instances(path)


def ap(truth, tracks) -> float:
    return score_videos(truth, tracks).summary()["AP"]


def test_two_tracks_that_change_places_are_put_right(truth):
    swapped = [
        track(tube([0, 0, 0, 12, 12, 12]), 0.9),
        track(tube([12, 12, 12, 0, 0, 0]), 0.7),
    ]
    assert ap(truth, swapped) == 0, "half a tube has an IoU of a third"
    found = rejoined(truth, swapped)
    assert ap(truth, found.tracks) == 1
    assert found.breaks == {1: 1, 2: 1}
    assert [one.score for one in found.tracks] == pytest.approx([0.8, 0.8]), "by frames, 3 and 3"


def test_right_tracks_stay_as_they_are(truth):
    right = [track(tube([0] * LENGTH), 0.9), track(tube([12] * LENGTH), 0.7, category=2)]
    found = rejoined(truth, right)
    assert found.breaks == {1: 0, 2: 0}
    given = {(t.category_id, t.score, json.dumps(t.rles)) for t in right}
    assert {(t.category_id, t.score, json.dumps(t.rles)) for t in found.tracks} == given


def test_masks_and_classes_are_the_methods_own(truth):
    """A mask that is too wide stays so, a wrong class too, and what is not found is not found."""
    wide = track(tube([0] * LENGTH, wide=9), 0.9, category=2)
    found = rejoined(truth, [wide])
    assert [(t.category_id, t.rles) for t in found.tracks] == [(2, wide.rles)]
    assert found.breaks == {1: 0, 2: 0}


def test_what_covers_nothing_stays_with_its_track(truth):
    """Half on the truth, half beside it: two tracks, with the scores of the one."""
    lost = track(tube([0, 0, 0, 7, 7, 7]), 0.6)
    found = rejoined(truth, [lost])
    assert [t.score for t in found.tracks] == [0.6, 0.6]
    kept, rest = found.tracks
    assert kept.rles == [*lost.rles[:3], None, None, None]
    assert rest.rles == [None, None, None, *lost.rles[3:]]


def test_entries_of_one_tube_are_one_track(truth):
    """A track has an entry for each class; the joined one has the mean score of each."""
    first, second = tube([0, 0, 0, None, None, None]), tube([None, None, None, 0, 0, 0])
    entries = [track(first, 0.8, 1), track(first, 0.2, 2), track(second, 0.4, 1)]
    found = rejoined(truth, entries)
    assert {(t.category_id, round(t.score, 6)) for t in found.tracks} == {(1, 0.6), (2, 0.1)}
    assert found.breaks[1] == 1
    assert ap(truth, found.tracks) == pytest.approx(51 / 101), "one of two instances"


def test_a_gap_is_no_break_and_one_mask_is_of_one_truth(truth):
    gap = track(tube([0, 0, None, None, 0, 0]), 0.9)
    both = track(tube([0] * LENGTH, wide=WIDTH), 0.9)
    assert rejoined(truth, [gap]).breaks == {1: 0, 2: 0}
    assert rejoined(truth, [both]).tracks == [both]


def test_the_record_has_it(truth):
    swapped = [track(tube([0, 0, 0, 12, 12, 12]), 0.9), track(tube([12, 12, 12, 0, 0, 0]), 0.7)]
    result = as_result(score_videos(truth, swapped), truth, 2, 1.0)
    assert result.oracle is not None
    assert (result.metrics["AP"], result.oracle.metrics["AP"]) == (0, 1)
    assert result.oracle.breaks == [1, 1]
    nothing = as_result(score_videos(truth, []), truth, 0, 1.0)
    assert nothing.oracle.breaks == [0, 0]
