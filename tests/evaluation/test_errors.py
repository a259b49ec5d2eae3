"""Errors of detections and groups of instances: meanings on tubes drawn by hand."""

import numpy as np
import pytest

from ifc_bench.data.youtube_vis import Annotation, Category, RawRle, Video, VideoInstances
from ifc_bench.evaluation import PredictedTrack, as_result, score_videos
from ifc_bench.evaluation.strata import seen, span, thirds
from ifc_bench.evaluation.video_ap import interpolated_precision
from ifc_bench.masks import encode
from ifc_bench.report.detections import (
    Table,
    average_precision,
    bootstrap_over_videos,
    by_video,
    detection_table,
    error_costs,
    error_counts,
)

SIZE = (20, 40)


def box(left: int, width: int = 8) -> RawRle:
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 5:13, left : left + width] = True
    return RawRle(**encode(mask)[0])


def truth(number, lefts, category=1, video=1) -> Annotation:
    tube = [None if left is None else box(left) for left in lefts]
    return Annotation(id=number, video_id=video, category_id=category, segmentations=tube)


def found(lefts, category=1, score=0.9, video=1, width=8) -> PredictedTrack:
    tube = [None if left is None else box(left, width).compressed() for left in lefts]
    return PredictedTrack(video_id=video, category_id=category, score=score, segmentations=tube)


def result(truths, tracks, videos=1):
    length = len(truths[0].segmentations)
    data = VideoInstances(
        videos=[
            Video(id=i + 1, height=20, width=40, length=length, file_names=[""] * length)
            for i in range(videos)
        ],
        categories=[Category(id=1, name="a"), Category(id=2, name="b")],
        annotations=truths,
    )
    return as_result(score_videos(data, tracks), data, len(tracks), 1.0)


LEFT, RIGHT = [0, 0, 0, 0], [20, 20, 20, 20]


@pytest.mark.parametrize(
    ("track", "error", "about"),
    [
        (found(LEFT), "", 1),
        (found(LEFT, category=2), "classification", 1),
        (found([5, 5, 5, 5]), "localisation", 1),
        (found([0, 0, 20, 20]), "association", 1),
        (found([5, 5, 5, 5], category=2), "both", 1),
        (found([32, 32, 32, 32]), "background", None),
    ],
)
def test_the_kinds_of_error(track, error, about):
    got = result([truth(1, LEFT), truth(2, RIGHT)], [track])
    assert got.detections.error == [error]
    assert got.detections.truth == [about]


def test_a_second_detection_of_one_truth_is_a_duplicate():
    got = result([truth(1, LEFT)], [found(LEFT), found(LEFT, score=0.5)])
    assert got.detections.error == ["", "duplicate"]
    assert error_counts(detection_table(got))["missed"] == 0


def test_a_truth_that_nothing_is_about_is_missed():
    table = detection_table(result([truth(1, LEFT), truth(2, RIGHT)], [found(LEFT)]))
    assert error_counts(table)["missed"] == 1
    assert error_costs(table)["missed"] == pytest.approx(1 - 51 / 101)


def test_mending_each_kind_gives_back_what_it_cost():
    """One truth, first hidden behind an error, and a false positive of higher score."""
    cases = {
        "classification": [found(LEFT, category=2)],
        "localisation": [found([5, 5, 5, 5])],
        "background": [found([32] * 4, score=0.99), found(LEFT)],
    }
    for kind, tracks in cases.items():
        costs = error_costs(detection_table(result([truth(1, LEFT)], tracks)))
        assert costs[kind] > 0.4, kind
        assert all(cost <= 1e-9 for other, cost in costs.items() if other != kind), (kind, costs)


def test_the_record_holds_what_accuracy_is_made_of():
    rng = np.random.default_rng(0)
    truths, tracks = [], []
    for video in (1, 2, 3):
        for place in (0, 20):
            left = [int(x) for x in place + rng.integers(0, 6, 4)]
            truths.append(truth(len(truths) + 1, left, int(rng.integers(1, 3)), video))
            for score in rng.random(3):
                moved = [int(x) for x in left + rng.integers(-3, 4, 4).clip(-place)]
                moved = [max(0, x) for x in moved]
                tracks.append(found(moved, int(rng.integers(1, 3)), float(score), video))
    got = result(truths, tracks, videos=3)
    table = detection_table(got)
    assert average_precision(table)[0] == pytest.approx(got.metrics["AP"], abs=1e-12)
    assert average_precision(table, at=0)[0] == pytest.approx(got.metrics["AP50"], abs=1e-12)
    draws = bootstrap_over_videos(table, 200)
    assert draws.std() > 0
    assert draws.min() <= got.metrics["AP"] <= draws.max()
    assert np.array_equal(draws, bootstrap_over_videos(table, 200))
    assert set(by_video(table)) == {1, 2, 3}
    only = average_precision(table, np.array([[0.0, 0.0, 5.0]]))[0]
    assert only == pytest.approx(by_video(table)[3], abs=1e-12), "a video five times is that video"


def test_draws_of_videos_where_detections_are_ignored():
    """Against the general formula, on the videos that are drawn."""
    rng = np.random.default_rng(1)
    videos, detections, truths = 6, 80, 12
    video = rng.integers(0, videos, detections)
    hits, ignored = (rng.random((10, detections)) < share for share in (0.4, 0.2))
    drawn = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    table = Table(
        video=video, category=np.ones(detections, np.int64), score=rng.random(detections),
        hits=hits, ignored=ignored, error=np.full(detections, ""), truth=np.full(detections, -1),
        truth_id=np.arange(truths), truth_video=np.arange(truths) % videos,
        truth_category=np.ones(truths, np.int64), truth_found=np.ones(truths, bool),
    )  # fmt: skip
    order = np.argsort(-table.score)
    order = order[drawn[video[order]] > 0]
    true, false = (np.cumsum((part & ~ignored)[:, order], 1) for part in (hits, ~hits))
    recall = true / drawn[table.truth_video].sum()
    expected = interpolated_precision(true, false, recall).mean()
    found_now = average_precision(table, drawn[None], np.arange(videos))
    assert found_now[0] == pytest.approx(expected, abs=1e-12)


def test_span_and_frames_seen():
    tube = truth(1, [None, 0, None, 0, 0, None])
    assert (span(tube), seen(tube)) == (4, 3)
    assert (span(truth(1, [None])), seen(truth(1, [None]))) == (0, 0)


def test_strata_are_thirds_and_work_as_area_ranges():
    lengths = [1, 1, 2, 2, 3, 3]
    truths = [truth(i + 1, [0] * n + [None] * (3 - n), video=i + 1) for i, n in enumerate(lengths)]
    assert [(s.low, s.high) for s in thirds(truths) if s.attribute == "seen"] == [
        (1, 1),
        (np.nextafter(1, 2), 2),
        (np.nextafter(2, 3), 3),
    ]
    assert not [s for s in thirds(truths) if s.attribute == "area"], "all are of one area"
    tracks = [found([0, 0, 0], video=v) for v in (5, 6)]
    got = result(truths, tracks, videos=6)
    by_seen = {round(s.high): s.ap for s in got.by_stratum if s.attribute == "seen"}
    assert by_seen == {1: 0.0, 2: 0.0, 3: 1.0}
    assert [s.truths for s in got.by_stratum if s.attribute == "seen"] == [2, 2, 2]
