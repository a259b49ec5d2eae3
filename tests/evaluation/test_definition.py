"""Video AP against its definition, written plainly: one loop for each word of it.

Masks are drawn on a coarse grid whose cells are 16 x 16 pixels, so that areas fall into all of the
API's ranges. Nothing here is shared with the evaluator but the constants of the protocol.
"""

from dataclasses import replace
from functools import cache, cached_property

import numpy as np
import pytest

from ifc_bench.data.youtube_vis import Annotation, Category, RawRle, Video, VideoInstances
from ifc_bench.evaluation import PredictedTrack, matching, score_videos
from ifc_bench.evaluation.strata import AREA_RANGES, Stratum
from ifc_bench.masks import encode

GRID, CELL = 24, 16
THRESHOLDS = np.linspace(0.5, 0.95, 10)
LIMITS = (1, 10, 100)
RANGES = [(0, 1e10), (0, 128**2), (128**2, 256**2), (256**2, 1e10)]


class Tube:
    """An instance or a detection: cells [L, GRID, GRID], and which frames have no mask at all."""

    def __init__(self, video, category, cells, gone, score=0.0, crowd=0):
        self.video, self.category, self.score, self.crowd = video, category, score, crowd
        self.cells = cells & ~gone[:, None, None]
        self.gone = gone

    @property
    def rles(self):
        masks = np.kron(self.cells, np.ones((1, CELL, CELL), bool)).astype(bool)
        return [None if g else r for g, r in zip(self.gone, encode(masks), strict=True)]

    @cached_property
    def area(self):
        sizes = [int(frame.sum()) * CELL**2 for frame in self.cells]
        sizes = [size for size in sizes if size]
        return sum(sizes) / len(sizes) if sizes else 0


def blob(rng, length):
    cells = np.zeros((length, GRID, GRID), bool)
    (top, left), (tall, wide) = rng.integers(0, 6, 2), rng.integers(0, 24, 2)
    for frame in cells:
        frame[top : top + tall, left : left + wide] = True
        top, left = top + rng.integers(0, 2), left + rng.integers(0, 2)
    return cells, rng.random(length) < 0.15


def moved(rng, tube):
    """A detection of `tube`: itself, or with rows of cells gone, or with other cells too."""
    cells = tube.cells.copy()
    for _ in range(rng.integers(0, 4)):
        cells[:, rng.integers(GRID)] = rng.random() < 0.2
    return cells, tube.gone | (rng.random(len(cells)) < 0.05)


def scene(seed, classes=4, videos=4, truths=8, detections=80):
    """Truths have the classes but the last, and detections all of them, with many equal scores."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 8, videos)
    true, found = [], []
    for video, length in enumerate(lengths, 1):
        own = []
        for _ in range(rng.integers(2, truths + 1)):
            label, crowd = int(rng.integers(1, classes)), int(rng.random() < 0.15)
            own.append(Tube(video, label, *blob(rng, length), crowd=crowd))
            if rng.random() < 0.2:  # an equal, so that IoUs are equal as well
                own.append(Tube(video, label, own[-1].cells, own[-1].gone))
        for _ in range(detections):
            label, shape = int(rng.integers(1, classes + 1)), blob(rng, length)
            if own and rng.random() < 0.7:
                near = own[rng.integers(len(own))]
                label, shape = near.category, moved(rng, near)
            found.append(Tube(video, label, *shape, score=round(float(rng.random()), 1)))
        true += own
    order = rng.permutation(len(found))
    return lengths, true, [found[i] for i in order]


def as_data(lengths, true, found, classes):
    side = GRID * CELL
    truth = VideoInstances(
        videos=[
            Video(id=v, height=side, width=side, length=int(n), file_names=["f"] * int(n))
            for v, n in enumerate(lengths, 1)
        ],
        categories=[Category(id=c, name=str(c)) for c in range(1, classes + 1)],
        annotations=[
            Annotation(
                id=n,
                video_id=t.video,
                category_id=t.category,
                iscrowd=t.crowd,
                segmentations=[None if r is None else RawRle(**r) for r in t.rles],
            )
            for n, t in enumerate(true, 1)
        ],
    )
    return truth, [PredictedTrack(t.video, t.category, t.score, t.rles) for t in found]


@cache
def iou(a, b):
    union = int((a.cells | b.cells).sum())
    return int((a.cells & b.cells).sum()) / union if union else 0.0


def match(tracks, truths, threshold, ranges):
    """(hit, ignored) of each detection of one video and class, best first; truths that count."""
    low, high = ranges
    ignored = [bool(t.crowd or t.area < low or t.area > high) for t in truths]
    taken = [False] * len(truths)
    fates = []
    for track in tracks:
        best = None
        for pass_over in (False, True):
            for index, truth in enumerate(truths):
                if ignored[index] != pass_over or (taken[index] and not truth.crowd):
                    continue
                quality = iou(track, truth)
                if quality >= threshold and (best is None or quality >= iou(track, truths[best])):
                    best = index
            if best is not None:
                break
        if best is None:
            fates.append((False, track.area < low or track.area > high))
        else:
            taken[best] = True
            fates.append((True, ignored[best]))
    return fates, ignored.count(False)


def curve(scored, count):
    """Precision at each recall, and the last recall."""
    points, true, false = [], 0, 0
    for _, hit, ignored in sorted(scored, key=lambda item: -item[0]):  # a stable sort
        true, false = true + (hit and not ignored), false + (not hit and not ignored)
        points.append((true / count, true / (true + false + np.spacing(1))))
    reached = points[-1][0] if points else 0.0
    at = [
        max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)
    ]
    return at, reached


def defined(lengths, true, found, classes):
    precision = np.full((10, 101, classes, 4, 3), -1.0)
    recall = np.full((10, classes, 4, 3), -1.0)
    for t, k, a, limit in np.ndindex(recall.shape):
        scored, count = [], 0
        for video in range(1, len(lengths) + 1):
            truths = [x for x in true if (x.video, x.category) == (video, k + 1)]
            tracks = [x for x in found if (x.video, x.category) == (video, k + 1)]
            tracks = sorted(tracks, key=lambda x: -x.score)[: LIMITS[limit]]
            fates, counting = match(tracks, truths, THRESHOLDS[t], RANGES[a])
            scored += [(x.score, *fate) for x, fate in zip(tracks, fates, strict=True)]
            count += counting
        if count:
            precision[t, :, k, a, limit], recall[t, k, a, limit] = curve(scored, count)
    return precision, recall


def mean(values):
    return values[values > -1].mean() if (values > -1).any() else -1.0


@pytest.mark.parametrize("seed", range(8))
def test_whole_arrays_equal_the_definition(seed):
    lengths, true, found = scene(seed)
    precision, recall = score_videos(*as_data(lengths, true, found, 4)).curves()
    expected = defined(lengths, true, found, 4)
    assert np.array_equal(precision, expected[0])
    assert np.array_equal(recall, expected[1])
    assert len(np.unique(precision)) > 10, "the scene is no trivial one"


def test_more_detections_and_masks_than_are_taken_at_once():
    """130 detections of one class, of which 100 count, and 300 masks in a frame."""
    lengths, true, found = scene(11, classes=2, videos=1, truths=3, detections=300)
    for track in found[:130]:
        track.category = 1
    precision, recall = score_videos(*as_data(lengths, true, found, 2)).curves()
    expected = defined(lengths, true, found, 2)
    assert np.array_equal(precision, expected[0])
    assert np.array_equal(recall, expected[1])


@pytest.mark.parametrize(("place", "counts"), [(99, True), (100, False)])
def test_the_hundredth_detection_of_a_cell_counts_and_the_next_does_not(place, counts):
    rng = np.random.default_rng(0)
    true = Tube(1, 1, *blob(rng, 3))
    nothing = np.zeros_like(true.cells)
    found = [Tube(1, 1, nothing, true.gone, score=1 - rank / 200) for rank in range(101)]
    found[place].cells = true.cells
    scores = score_videos(*as_data([3], [true], found, 1))
    assert len(scores.matches.tracks) == 100
    _, recall = scores.curves()
    assert (recall[..., 0, -1] == (1.0 if counts else 0.0)).all()


def test_an_annotation_is_found_by_one_detection_and_not_without_any():
    rng = np.random.default_rng(0)
    true = [Tube(1, label, *blob(rng, 3)) for label in (1, 2)]
    twice = [Tube(1, 1, true[0].cells, true[0].gone, score=score) for score in (0.5, 0.4)]
    matches = score_videos(*as_data([3], true, twice, 2)).matches
    assert matches.hit[0].all(0).tolist() == matches.hit[0].any(0).tolist() == [True, False]
    assert matches.found.all(0).tolist() == matches.found.any(0).tolist() == [True, False]


def test_an_annotation_that_is_missed_is_not_found():
    rng = np.random.default_rng(0)
    true = Tube(1, 1, *blob(rng, 3))
    missed = Tube(1, 1, np.zeros_like(true.cells), true.gone, score=0.5)
    assert not score_videos(*as_data([3], [true], [missed], 1)).matches.found.any()


def test_found_is_over_all_areas():
    """Among small instances alone the detection would take the small one, with IoU 50 of 72."""

    def filled(cells: int) -> Tube:
        frame = (np.arange(GRID * GRID) < cells).reshape(1, GRID, GRID)
        return Tube(1, 1, frame, np.zeros(1, bool), score=0.5)

    true, found = [filled(72), filled(50)], [filled(72)]
    assert 50 * CELL**2 < 128**2 < 72 * CELL**2
    matches = score_videos(*as_data([1], true, found, 1)).matches
    assert matches.found.any(0).tolist() == [True, False]


def test_the_scenes_have_what_the_rules_are_about():
    scenes = [scene(seed) for seed in range(8)]
    true = [t for _, tubes, _ in scenes for t in tubes]
    found = [t for *_, tubes in scenes for t in tubes]
    for low, high in RANGES:
        assert sum(low <= t.area <= high for t in true) > 10
    assert sum(t.crowd for t in true) > 10
    assert any(not t.area for t in found), "masks that are empty"
    assert len({t.score for t in found}) == 11, "many share a score"
    assert {t.category for t in found} > {t.category for t in true}


@pytest.mark.parametrize(("true", "found"), [(0, 0), (0, 9), (5, 0)])
def test_without_truths_or_detections(true, found):
    lengths, *_ = tubes = scene(3, truths=5, detections=20)
    tubes = (lengths, tubes[1][:true], tubes[2][:found])
    precision, recall = score_videos(*as_data(*tubes, 4)).curves()
    expected = defined(*tubes, 4)
    assert np.array_equal(precision, expected[0])
    assert np.array_equal(recall, expected[1])


def test_some_videos_are_scored_as_if_they_were_all():
    lengths, true, found = scene(5)
    scores = score_videos(*as_data(lengths, true, found, 4))
    some = [[t for t in tubes if t.video != 2] for tubes in (true, found)]
    expected = defined(lengths, *some, 4)
    for ours, plain in zip(scores.curves([1, 3, 4]), expected, strict=True):
        assert np.array_equal(ours, plain)


def test_a_stratum_that_holds_all_scores_as_all():
    truth, tracks = as_data(*scene(2), 4)
    scores = score_videos(truth, tracks)
    everything = [*AREA_RANGES, *(Stratum(name, 0.0, 1e10) for name in ("area", "span", "seen"))]
    matches = matching.match(truth.annotations, tracks, everything)
    wide = replace(scores, strata=everything, matches=matches)
    count = sum(not a.iscrowd for a in truth.annotations)
    expected = scores.summary()["AP"]
    best_ten = scores.curves()[0][:, :, :, 0, 1]
    assert abs(best_ten[best_ten > -1].mean() - expected) > 1e-3, "more than ten count"
    for stratum, truths, value in wide.by_stratum():
        assert (truths, value) == (count, pytest.approx(expected, abs=1e-12)), stratum


@pytest.mark.parametrize("seed", [0, 4])
def test_the_twelve_numbers_and_those_of_classes_are_means_of_the_curves(seed):
    tubes = scene(seed)
    scores, (precision, recall) = score_videos(*as_data(*tubes, 4)), defined(*tubes, 4)
    expected = {
        "AP": precision[:, :, :, 0, 2],
        "AP50": precision[0, :, :, 0, 2],
        "AP75": precision[5, :, :, 0, 2],
        "APs": precision[:, :, :, 1, 2],
        "APm": precision[:, :, :, 2, 2],
        "APl": precision[:, :, :, 3, 2],
        "AR1": recall[:, :, 0, 0],
        "AR10": recall[:, :, 0, 1],
        "AR100": recall[:, :, 0, 2],
        "ARs": recall[:, :, 1, 2],
        "ARm": recall[:, :, 2, 2],
        "ARl": recall[:, :, 3, 2],
    }
    means = {name: mean(values) for name, values in expected.items()}
    assert scores.summary() == means
    assert len(set(means.values())) > 10, "hardly a number is another one"
    assert scores.by_class() == {str(k + 1): mean(precision[:, :, k, 0, 2]) for k in range(4)}
