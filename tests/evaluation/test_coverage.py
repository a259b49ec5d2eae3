"""How much of the ground truth predictions speak of, told and kept."""

import json
from dataclasses import replace

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.data.annotations import read_instances
from ifc_bench.errors import UserError
from ifc_bench.evaluation import coverage, read_predictions
from ifc_bench.records import EvaluationResult
from ifc_bench.store import Store
from tests.conftest import GOLDEN

TRUTH, FOUND = GOLDEN / "eval_easy_gt.json", GOLDEN / "eval_easy_dt.json"


def part(tmp_path, videos: int):
    """A results.json with the predictions for the first videos alone."""
    wanted = sorted(video["id"] for video in json.loads(TRUTH.read_text())["videos"])[:videos]
    entries = [e for e in json.loads(FOUND.read_text()) if e["video_id"] in wanted]
    path = tmp_path / "part.json"
    path.write_text(json.dumps(entries))
    return path, len(entries)


def test_a_part_of_a_file_says_so_and_the_record_keeps_it(tmp_path, capsys):
    path, tracks = part(tmp_path, 1)
    given = [f"--ground-truth={TRUTH}", f"--predictions={path}", f"--results={tmp_path / 'r'}"]
    assert main(TABLES, PRESETS, ["evaluate", *given, "--method=Part", "--format=json"]) == 0
    printed = capsys.readouterr()
    told = f"{tracks} tracks: predictions for 1 of 10 videos; the other 9 count as missed\n"
    assert printed.err == told
    assert "AP" in json.loads(printed.out)
    [record] = Store(tmp_path / "r", tmp_path / "u").records("external")
    assert isinstance(record.result, EvaluationResult)
    assert (record.result.predicted_videos, record.result.videos) == (1, 10)


def test_all_videos_have_predictions():
    truth = read_instances(TRUTH)
    told = coverage(truth, read_predictions(FOUND, truth)).told()
    assert told == "37 tracks: predictions for 10 of 10 videos"


def test_videos_without_instances_are_not_missed():
    truth = read_instances(TRUTH)
    bare = truth.annotations[0].video_id
    annotations = [a for a in truth.annotations if a.video_id != bare]
    told = coverage(replace(truth, annotations=annotations), []).told()
    assert told.endswith("0 of 10 videos; the other 10 count as missed, except 1 without instances")


@pytest.mark.parametrize("field", ["video_id", "category_id"])
def test_unknown_ids_are_counted_and_the_first_is_named(tmp_path, field):
    entries = json.loads(FOUND.read_text())
    for entry in entries[3:6]:
        entry[field] = 999
    path = tmp_path / "unknown.json"
    path.write_text(json.dumps(entries))
    told = rf"entry 3: {field} 999 is not in the ground truth \(3 of 37 entries have such ids\)"
    with pytest.raises(UserError, match=told):
        read_predictions(path, read_instances(TRUTH))
