"""Data that a training must not begin on."""

import json

import pytest

from ifc_bench.errors import UserError
from ifc_bench.store import Store
from ifc_bench.sweep.splits import Splits


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def test_the_embedded_set_is_what_was_written(store, tiny_data):
    Splits(store, tiny_data).check()
    Splits(store, tiny_data).check()  # found, and not written again


def test_a_changed_frame_of_the_embedded_set_is_refused(store, tiny_data):
    first = Splits(store, tiny_data)
    one, other, *_ = sorted((first.folder / "valid" / "JPEGImages").rglob("*.jpg"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(
        UserError, match=r"frames or annotations changed after .* delete the folder"
    ):
        Splits(store, tiny_data).check()


def test_changed_labels_of_the_embedded_set_are_refused(store, tiny_data):
    path = Splits(store, tiny_data).folder / "train" / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 1 + content["annotations"][0]["category_id"] % 3
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="changed after they were written"):
        Splits(store, tiny_data).check()
