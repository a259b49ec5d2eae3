"""IoU over the frames that hide the scene, by hand."""

import json

import numpy as np
import pytest

from ifc_bench.data.annotations import read_instances
from ifc_bench.data.youtube_vis import written_annotation
from ifc_bench.errors import UserError
from ifc_bench.evaluation.marked import MarkedTruth, marked_truths
from ifc_bench.evaluation.predictions import PredictedTrack
from ifc_bench.evaluation.result import as_result
from ifc_bench.evaluation.video_ap import score_videos
from ifc_bench.masks import encode

LENGTH, HEIGHT, WIDTH = 4, 8, 10
MARKED = [1, 3]


def bars(*widths: int) -> np.ndarray:
    """One mask for each frame: the first columns, over the whole height."""
    tube = np.zeros((LENGTH, HEIGHT, WIDTH), bool)
    for frame, width in enumerate(widths):
        tube[frame, :, :width] = True
    return tube


def track(tube: np.ndarray, score: float, category: int = 1, video: int = 1) -> PredictedTrack:
    return PredictedTrack(video, category, score, encode(tube))


@pytest.fixture
def truth_of(tmp_path):
    def made(*tubes: np.ndarray, marked: list[int] | None = MARKED, crowd: bool = False):
        video = {
            "id": 1, "width": WIDTH, "height": HEIGHT, "length": LENGTH,
            "file_names": [f"v/{number}.jpg" for number in range(LENGTH)],
        }  # fmt: skip
        if marked is not None:
            video["marked"] = marked
        annotations = [
            written_annotation(number + 1, 1, 1, tube) | {"iscrowd": int(crowd)}
            for number, tube in enumerate(tubes)
        ]
        content = {
            "videos": [video],
            "categories": [{"id": 1, "name": "disc"}, {"id": 2, "name": "box"}],
            "annotations": annotations,
        }
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(content))
        return read_instances(path)

    return made


def test_the_best_track_of_the_clear_frames_answers(truth_of):
    """Its marked frames have 2 of 4 and 4 of 4 columns; the other track's are right."""
    truth = truth_of(bars(4, 4, 4, 4))
    near, far = track(bars(4, 2, 4, 4), 0.2, category=2), track(bars(1, 4, 1, 4), 0.9)
    assert marked_truths(truth, [far, near]) == [MarkedTruth(1, 6 / 8, 1.0, 1.0, 2)]


def test_too_much_is_wrong_as_well(truth_of):
    truth = truth_of(bars(4, 4, 4, 4))
    found = marked_truths(truth, [track(bars(4, 8, 4, 4), 0.5)])
    assert found == [MarkedTruth(1, 8 / 12, 1.0, 1.0, 1)]


def test_the_area_is_that_of_the_clear_frames(truth_of):
    found = marked_truths(truth_of(bars(4, 4, 4, 4)), [track(bars(3, 8, 4, 0), 0.5)])
    assert found == [MarkedTruth(1, 4 / 12, 7 / 8, 7 / 8, 1)]


def test_of_the_same_masks_the_highest_score_gives_the_class(truth_of):
    tube = bars(4, 4, 4, 4)
    found = marked_truths(truth_of(tube), [track(tube, 0.3, 1), track(tube, 0.6, 2)])
    assert found == [MarkedTruth(1, 1.0, 1.0, 1.0, 2)]


def test_without_a_track_it_is_zero(truth_of):
    truth = truth_of(bars(4, 4, 4, 4))
    assert marked_truths(truth, []) == [MarkedTruth(1, 0.0, 0.0, None, None)]
    only_marked = track(bars(0, 4, 0, 4), 0.9)
    assert marked_truths(truth, [only_marked]) == [MarkedTruth(1, 0.0, 0.0, None, None)]


def test_what_has_no_mask_there_is_not_asked(truth_of):
    found = marked_truths(truth_of(bars(4, 0, 4, 0)), [track(bars(4, 3, 4, 0), 0.5)])
    assert found == [MarkedTruth(1, None, 1.0, 1.0, 1)]


def test_crowds_and_data_without_marks_are_left_out(truth_of):
    assert marked_truths(truth_of(bars(4, 4, 4, 4), crowd=True), []) == []
    assert marked_truths(truth_of(bars(4, 4, 4, 4), marked=None), []) == []


def test_the_record_has_them(truth_of):
    truth, tracks = truth_of(bars(4, 4, 4, 4), bars(0, 4, 4, 2)), [track(bars(4, 2, 4, 4), 0.7)]
    result = as_result(score_videos(truth, tracks), truth, 1, 1.0)
    assert result.marked is not None
    assert result.marked.id == [1, 2]
    assert result.marked.iou == [6 / 8, (2 + 2) / (4 + 4)]
    assert type(result).model_validate_json(result.model_dump_json()) == result
    plain = truth_of(bars(4, 4, 4, 4), marked=None)
    assert as_result(score_videos(plain, tracks), plain, 1, 1.0).marked is None


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        ([4], "video 1: marked has frame 4, the last of 4 is 3"),
        ([-1], "videos.0.marked.0: Input should be greater than or equal to 0"),
        ([True], "videos.0.marked.0: Input should be a whole number"),
    ],
)
def test_marks_outside_the_video_are_refused(truth_of, marked, message):
    with pytest.raises(UserError, match=message.replace("(", ".")):
        truth_of(bars(4, 4, 4, 4), marked=marked)
