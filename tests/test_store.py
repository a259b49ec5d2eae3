"""Records are whole, immutable and refused when they were changed by hand."""

import json

import pytest

from ifc_bench.config import Count, ModelConfig
from ifc_bench.errors import UserError, told
from ifc_bench.provenance import describe_device, provenance, resolve_device
from ifc_bench.records import CountResult, Record
from ifc_bench.store import Store, write_text


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


WORK = Count(model=ModelConfig(), frames=5, height=360, width=640)


def record(macs: int = 7, status: str = "ok") -> Record:
    return Record(
        id=WORK.id,
        status=status,
        work=WORK,
        attention="materialised",
        split_hash=None,
        provenance=provenance("cpu", 1),
        result=CountResult(encoder_macs=macs),
    )


def test_a_record_comes_back_as_it_was(store):
    saved = record()
    path = store.save(saved)
    assert path.name == f"{WORK.id}.json"
    assert store.load(WORK) == saved
    assert list(store.records()) == [saved]
    assert store.done(WORK)


def test_a_failure_is_not_done(store):
    store.save(record(status="failed"))
    assert not store.done(WORK)
    store.save(record())
    assert store.done(WORK)


def test_a_record_that_is_there_stands(store):
    """Another runner that did the same work meanwhile writes over nothing."""
    store.save(record(macs=7))
    store.save(record(macs=8))
    assert store.load(WORK).result == CountResult(encoder_macs=7)


@pytest.mark.parametrize("status", ["out_of_memory", "diverged"])
def test_what_is_to_be_tried_again_gives_way(store, status):
    store.save(record(status=status))
    assert store.done(WORK)
    again = Store(store.results, store.runs, retry=("failed", status))
    assert not again.done(WORK)
    again.save(record())
    assert again.done(WORK)
    assert store.load(WORK).status == "ok"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema_version=99), "schema_version"),
        (lambda r: r["work"].update(frames=6), "changed by hand"),
        (lambda r: r.update(extra=1), "extra: Extra inputs"),
        (lambda r: r.pop("provenance"), "provenance: Field required"),
    ],
)
def test_a_record_that_was_changed_is_refused(store, change, message):
    path = store.save(record())
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        store.load(WORK)
    assert str(path) in str(caught.value)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_text(path, "old")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_provenance_says_where_it_comes_from():
    told = provenance("cpu", 1)
    assert told.device.kind == "cpu"
    assert told.device.name
    assert "torch" in told.packages
    assert told.git_revision is None or len(told.git_revision) == 40


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:97"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(UserError, match=f"--device: '{name}'"):
        resolve_device(name)


def test_the_processor_has_a_name():
    device = describe_device("cpu", 2)
    assert device.threads == 2
    assert device.memory_bytes
    assert "cores" in device.name


def test_a_full_disk_is_told_by_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    kept = tmp_path / "kept.json"
    write_text(kept, "before")
    monkeypatch.setattr("ifc_bench.store.os.replace", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(kept, "after")
    assert told(caught.value) == (
        f"{kept}: no space left on device; mend that, or name another file or folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert kept.read_text() == "before"
