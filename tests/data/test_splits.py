"""Data that a training must not begin on."""

import json
import shutil

import pytest

from ifc_bench.config import FolderData
from ifc_bench.data.splits import Splits
from ifc_bench.data.synthetic import DIGEST
from ifc_bench.errors import UserError
from ifc_bench.store import Store


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
        UserError, match=r"frames or annotations changed after .* delete the directory"
    ):
        Splits(store, tiny_data).check()


def test_changed_labels_of_the_embedded_set_are_refused(store, tiny_data):
    path = Splits(store, tiny_data).folder / "train" / "instances.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 1 + content["annotations"][0]["category_id"] % 3
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="changed after they were written"):
        Splits(store, tiny_data).check()


@pytest.fixture
def folder(store, data_folder):
    """A user's data set, which a test may break; `edit` changes one split's annotations."""
    data = FolderData(name="mine", train="0" * 64, valid="1" * 64)
    shutil.copytree(data_folder, store.data_path(data))
    (store.data_path(data) / "digest.txt").unlink()

    def edit(split, change):
        path = store.data_path(data) / split / "instances.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return Splits(store, data)

    return edit


def swap(content):
    first, second, *_ = content["categories"]
    first["name"], second["name"] = second["name"], first["name"]


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("valid", swap, r'valid.*categories: id 1 is "box", in .*train.* it is "disc"'),
        ("valid", lambda c: c["categories"].append({"id": 9, "name": "star"}), 'id 9 is "star"'),
        ("train", lambda c: c["categories"].append({"id": 9, "name": "star"}), "id 9 is missing"),
        ("valid", lambda c: c.update(videos=[], annotations=[]), "videos: is empty"),
        ("train", lambda c: c.update(videos=[], annotations=[]), "videos: is empty"),
        ("train", lambda c: c.update(categories=[], annotations=[]), "categories: is empty"),
    ],
)
def test_splits_that_do_not_fit_each_other_are_refused(folder, split, change, message):
    with pytest.raises(UserError, match=message):
        folder(split, change).check()


def test_the_order_of_categories_does_not_matter(folder):
    folder("valid", lambda content: content["categories"].reverse()).check()


def test_a_training_does_not_begin_on_them(store, folder, monkeypatch):
    """They used to be found after it, as two failed pieces of work."""
    from ifc_bench.config import Optimisation, Training
    from ifc_bench.sweep.plan import Job
    from ifc_bench.sweep.worker import Worker
    from tests.conftest import tiny_model

    folder("valid", swap)
    data = FolderData(name="mine", train="0" * 64, valid="1" * 64)
    schedule = Optimisation(iterations=1)
    training = Training(model=tiny_model(), optimisation=schedule, data=data, seed=0)
    begun = "a training has begun"
    monkeypatch.setattr("ifc_bench.sweep.train.Trainer", lambda *_: pytest.fail(begun))
    worker = Worker(store, "cpu", 1, lambda *_: None)
    with pytest.raises(UserError, match="categories: id 1"):
        worker.job(Job(training, ()))


def test_an_embedded_set_without_its_digest_is_refused(store, tiny_data):
    splits = Splits(store, tiny_data)
    (splits.folder / DIGEST).unlink()
    with pytest.raises(UserError, match="changed after they were written; delete the directory"):
        splits.refuse_changed()
