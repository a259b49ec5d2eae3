"""Parity with recorded outputs of the YouTube-VIS API, and the rules it leaves to us."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from ifc_bench.data.annotations import read_instances
from ifc_bench.errors import UserError
from ifc_bench.evaluation import read_predictions, score_videos
from ifc_bench.evaluation.video_ap import interpolated_precision
from ifc_bench.masks import tube_ious
from tests.conftest import GOLDEN, one_line_error, run_cli

CASES = ["eval_easy", "eval_crowd_areas_nogt"]
SUMMARY = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]


def load(case):
    truth = read_instances(GOLDEN / f"{case}_gt.json")
    found = read_predictions(GOLDEN / f"{case}_dt.json", truth)
    return truth, found, np.load(GOLDEN / f"{case}_result.npz")


@pytest.mark.parametrize("case", CASES)
def test_summary_and_curves_equal_the_reference(case):
    truth, found, expected = load(case)
    scores = score_videos(truth, found)
    summary = scores.summary()
    assert list(summary) == SUMMARY
    np.testing.assert_allclose(list(summary.values()), expected["stats"], atol=1e-9, rtol=0)
    precision, recall = scores.curves()
    np.testing.assert_allclose(precision, expected["precision"], atol=1e-9, rtol=0)
    np.testing.assert_allclose(recall, expected["recall"], atol=1e-9, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_tube_ious_equal_the_reference(case):
    truth, found, expected = load(case)
    checked = 0
    for key in expected.files:
        if not key.startswith("iou_v"):
            continue
        video, category = (int(part[1:]) for part in key.split("_")[1:])
        truths = [a for a in truth.annotations if (a.video_id, a.category_id) == (video, category)]
        tracks = [t for t in found if (t.video_id, t.category_id) == (video, category)]
        tracks.sort(key=lambda t: -t.score)
        ious = tube_ious([t.rles for t in tracks], [a.rles for a in truths])
        if truths:
            np.testing.assert_allclose(ious, expected[key], atol=1e-12, rtol=0)
            checked += 1
    assert checked > 10


def test_perfect_predictions_score_one_and_none_score_zero():
    truth = read_instances(GOLDEN / "eval_easy_gt.json")
    perfect = [
        {
            "video_id": a.video_id,
            "category_id": a.category_id,
            "score": 0.9,
            "segmentations": [None if r is None else asdict(r) for r in a.segmentations],
        }
        for a in truth.annotations
    ]
    path = GOLDEN / "eval_easy_gt.json"
    from ifc_bench.evaluation.predictions import PredictedTrack

    tracks = [PredictedTrack(**p) for p in perfect]
    assert score_videos(read_instances(path), tracks).summary()["AP"] == 1.0
    assert score_videos(truth, []).summary()["AP"] == 0.0


def test_situations_are_scored_on_their_own_videos(data_folder):
    truth = read_instances(data_folder / "valid" / "instances.json")
    scores = score_videos(truth, [])
    assert set(scores.by_situation()) == {v.situation for v in truth.videos}
    assert set(scores.by_class()) == {"disc", "box", "triangle"}


def test_command_prints_one_json_object():
    done = run_cli(
        "evaluate",
        "--ground-truth",
        str(GOLDEN / "eval_easy_gt.json"),
        "--predictions",
        str(GOLDEN / "eval_easy_dt.json"),
        "--format",
        "json",
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    expected = np.load(GOLDEN / "eval_easy_result.npz")["stats"]
    assert sorted(printed) == sorted(SUMMARY)
    np.testing.assert_allclose([printed[k] for k in SUMMARY], expected, atol=1e-9, rtol=0)


BROKEN_PREDICTIONS = [
    (lambda e: e[0].update(video_id=999), "entry 0: video_id 999 is not in the ground truth"),
    (lambda e: e[0].update(category_id=77), "entry 0: category_id 77 is not in"),
    (lambda e: e[0]["segmentations"].pop(), "entry 0: segmentations has"),
    (lambda e: e[0].update(score="high"), "entries.0.score"),
    (lambda e: e[0].update(score=float("nan")), "entries.0.score"),
    (lambda e: e[0].pop("segmentations"), "entries.0.segmentations: Field required"),
    (
        lambda e: next(s for s in e[0]["segmentations"] if s).update(counts="zzzz"),
        "counts:",
    ),
    (lambda e: next(s for s in e[0]["segmentations"] if s).update(size=[1, 2]), "size is [1, 2]"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN_PREDICTIONS)
def test_broken_predictions_get_one_line(change, message, tmp_path):
    truth = read_instances(GOLDEN / "eval_easy_gt.json")
    entries = json.loads((GOLDEN / "eval_easy_dt.json").read_text())
    change(entries)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(entries))
    with pytest.raises(UserError) as caught:
        read_predictions(path, truth)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_is_one_line_and_code_2(tmp_path):
    done = run_cli(
        "evaluate",
        "--ground-truth",
        str(tmp_path / "nowhere.json"),
        "--predictions",
        str(GOLDEN / "eval_easy_dt.json"),
    )
    assert "nowhere.json: no such file" in one_line_error(done)


@pytest.mark.parametrize("case", CASES)
def test_counts_of_one_class_give_its_curves(case):
    """What the report makes of the detections in a record is what the evaluator makes of them."""
    truth, found, _ = load(case)
    scores = score_videos(truth, found)
    precision, matches = scores.curves()[0], scores.matches
    checked = 0
    for index, category in enumerate(sorted(scores.category_names)):
        own = np.flatnonzero(matches.cells[:, 1] == category)
        own = own[np.argsort(-matches.scores[own], kind="stable")]
        hit, known = matches.hit[0][:, own], ~matches.ignored[0][:, own]
        true, false = (np.cumsum(flags, 1).astype(float) for flags in (hit & known, ~hit & known))
        truths = matches.counted[0, matches.true_cells[:, 1] == category].sum()
        if truths:
            curves = interpolated_precision(true, false, true / truths)
            assert np.array_equal(curves, precision[:, :, index, 0, 2])
            checked += 1
    assert checked > 2


def test_by_class_and_by_stratum_are_means_of_curves():
    truth, found, expected = load("eval_easy")
    scores = score_videos(truth, found)
    names = [category.name for category in sorted(truth.categories, key=lambda c: c.id)]
    assert list(scores.by_class()) == names
    for index, value in enumerate(scores.by_class().values()):
        defined = expected["precision"][:, :, index, 0, 2]
        assert value == pytest.approx(defined.mean() if defined.max() > -1 else -1, abs=1e-9)
    assert sum(n for s, n, _ in scores.by_stratum() if s.attribute == "area") == sum(
        not a.iscrowd for a in truth.annotations
    )


def test_situations_take_their_own_videos_alone():
    truth, found, _ = load("eval_easy")
    tagged = [v.model_copy(update={"situation": "odd" if v.id % 2 else None}) for v in truth.videos]
    scores = score_videos(replace(truth, videos=tagged), found)
    odd = [v.id for v in truth.videos if v.id % 2]
    assert scores.by_situation() == {"odd": scores.summary(odd)}
    kept = [a for a in truth.annotations if a.video_id % 2]
    only = score_videos(replace(truth, annotations=kept), [t for t in found if t.video_id % 2])
    assert scores.summary(odd) == only.summary() != scores.summary()
