"""Records of the first edition are read as they were written, and versions have their steps."""

import json
import shutil

import pytest

from ifc_bench.errors import UserError
from ifc_bench.records.migration import migrated
from ifc_bench.report.speeds import speed_of
from ifc_bench.store import Store
from tests.conftest import GOLDEN

FIRST = GOLDEN / "first_edition"


def test_records_of_the_first_edition_are_read(tmp_path):
    """Written on 23 November 2026: columns in the record itself, one number of speed."""
    store = Store(FIRST, tmp_path)
    evaluation, training, profile = (
        next(iter(store.records(kind))) for kind in ("evaluation", "training", "profile")
    )
    assert evaluation.work.training.id == training.id
    path = FIRST / "evaluations" / f"{evaluation.id}.json"
    plain = json.loads(path.read_text())
    assert evaluation.result.metrics["AP"] == plain["result"]["metrics"]["AP"]
    assert evaluation.result.detections.score == plain["result"]["detections"]["score"]
    assert training.result.processes == 1
    assert training.result.peak_allocated_bytes is None
    assert speed_of(profile).fps > 0


def test_reading_changes_no_file(tmp_path):
    folder = shutil.copytree(FIRST, tmp_path / "first")
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    assert len(list(Store(folder, tmp_path).records())) == 3
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def renamed(content):
    return {"schema_version": 1, "words": content["text"]}


def split(content):
    return {"words": content["words"].split()}


def test_every_step_is_taken_once_and_in_order():
    steps = {1: renamed, 2: split}
    old = {"schema_version": 1, "text": "a b"}
    assert migrated(old, steps, newest=3) == {"schema_version": 3, "words": ["a", "b"]}
    assert migrated({"schema_version": 2, "words": "a"}, steps, newest=3)["words"] == ["a"]
    assert old == {"schema_version": 1, "text": "a b"}


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (2, "schema_version: is 2, this version reads up to 1; update ifc_bench"),
        (0, "schema_version: 0 is not known"),
        (None, "schema_version: is no whole number"),
        (True, "schema_version: is no whole number"),
    ],
)
def test_another_version_is_one_line(version, message, tmp_path):
    folder = shutil.copytree(FIRST, tmp_path / "first")
    path = next((folder / "trainings").glob("*.json"))
    content = json.loads(path.read_text()) | {"schema_version": version}
    del content["sha256"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as refused:
        Store(folder, tmp_path).read(path)
    assert str(refused.value).startswith(f"{path}: ")
