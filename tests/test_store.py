"""Records are written whole, never change, and are refused after an edit by hand."""

import errno
import gzip
import hashlib
import json
import os

import pytest

from ablations.presets import QUICK
from ifc_bench.config import Count, Evaluation, ModelConfig, SyntheticData, Training
from ifc_bench.errors import UserError, told
from ifc_bench.file_io import write_text
from ifc_bench.hardware.device import describe_device, resolve_device
from ifc_bench.provenance import provenance
from ifc_bench.records import (
    CountResult,
    Detections,
    EvaluationResult,
    FootprintResult,
    MarkedTruths,
    Record,
    plain,
)
from ifc_bench.records.files import seal
from ifc_bench.store import Store
from tests.conftest import ROOT


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


def test_an_existing_record_is_kept(store):
    """A second runner that did the same work does not overwrite the record."""
    store.save(record(macs=7))
    store.save(record(macs=8))
    assert store.load(WORK).result == CountResult(encoder_macs=7)


@pytest.mark.parametrize("status", ["out_of_memory", "diverged"])
def test_a_record_to_be_retried_is_replaced(store, status):
    store.save(record(status=status))
    assert store.done(WORK)
    again = Store(store.results, store.runs, retry=("failed", status))
    assert not again.done(WORK)
    again.save(record())
    assert again.done(WORK)
    assert store.load(WORK).status == "ok"


EVALUATION = Evaluation(
    training=Training(
        model=ModelConfig(), optimisation=QUICK.video.optimisation, data=SyntheticData(), seed=0
    ),
    window=5,
)


def evaluated() -> Record:
    """A record with columns."""
    found = Detections(
        video=[1, 2], category=[1, 3], score=[0.8999999761581421, 1 / 3], hits=[1023, 0],
        ignored=[0, 0], error=["", "missed"], truth=[4, None],
    )  # fmt: skip
    result = EvaluationResult(
        metrics={"AP": 0.5}, by_class={}, by_situation={}, videos=2, frames=9, tracks=2,
        wall_seconds=1.0, detections=found,
        marked=MarkedTruths(id=[4], iou=[None], clear_iou=[0.25], clear_area=[1.5], category=[1]),
    )  # fmt: skip
    return Record.of(EVALUATION, provenance("cpu", 1), result)


def columns_of(path):
    return path.with_name(f"{path.stem}.columns.json.gz")


def test_columns_are_in_a_compressed_file_beside_the_record(store):
    saved = evaluated()
    path = store.save(saved)
    content = json.loads(path.read_text())
    assert "detections" not in content["result"]
    assert content["result"]["truths"] is None, "what is no column is as it was"
    file = columns_of(path).read_bytes()
    assert content["columns_sha256"] == hashlib.sha256(file).hexdigest()
    assert json.loads(gzip.decompress(file))["detections"]["score"] == [0.8999999761581421, 1 / 3]
    again = Store(store.results, store.runs)
    assert again.load(EVALUATION) == saved
    assert list(again.records(strict=True)) == [saved]
    path.unlink()
    again.save(saved)
    assert columns_of(path).read_bytes() == file, "the same columns give the same bytes"


def test_columns_in_the_record_itself_are_read(store):
    """As earlier versions wrote them."""
    saved = evaluated()
    path = store.save(saved)
    content = plain(saved)
    path.write_text(json.dumps({**content, "sha256": seal(content)}))
    columns_of(path).unlink()
    assert Store(store.results, store.runs).load(EVALUATION) == saved


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "is missing; restore it from git, or delete"),
        (lambda file: file.write_bytes(b"other"), "was changed after it was written"),
    ],
)
def test_damaged_columns_are_refused(store, damage, message):
    path = store.save(evaluated())
    damage(columns_of(path))
    with pytest.raises(UserError, match=message) as caught:
        Store(store.results, store.runs).load(EVALUATION)
    assert str(columns_of(path)) in str(caught.value)
    assert path.name in str(caught.value), "what to delete"


@pytest.mark.parametrize(
    "file",
    [b"no gzip", gzip.compress(b"[1]"), gzip.compress(b"{")],  # gzip writes the time into a file
    ids=["no gzip", "no object", "no JSON"],
)
def test_columns_with_a_hash_of_their_own_are_still_checked(store, file):
    path = store.save(evaluated())
    columns_of(path).write_bytes(file)
    content = json.loads(path.read_text()) | {"columns_sha256": hashlib.sha256(file).hexdigest()}
    path.write_text(json.dumps({**content, "sha256": seal(content)}))
    with pytest.raises(UserError, match=r"columns\.json\.gz: ") as caught:
        Store(store.results, store.runs).load(EVALUATION)
    assert "\n" not in str(caught.value)


CHANGES = [
    (lambda r: r.update(schema_version=99), "schema_version"),
    (lambda r: r["work"].update(frames=6), f"id: is {WORK.id}, but the work hashes to"),
    (lambda r: r.update(extra=1), "extra: Extra inputs"),
    (lambda r: r.pop("provenance"), "provenance: Field required"),
    (lambda r: r.update(result=None), "result: is absent; status ok needs one of kind count"),
    (lambda r: r["result"].update(encoder_macs="many"), "encoder_macs: Input should be a valid"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
def test_a_record_that_was_changed_is_refused(store, change, message):
    """The hash detects it. Without a hash, as in earlier versions, the fields are validated."""
    path = store.save(record())
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="was changed after it was written") as caught:
        store.load(WORK)
    assert str(path) in str(caught.value)
    del content["sha256"]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        store.load(WORK)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_changed_number_is_noticed(store):
    path = store.save(record(macs=7))
    path.write_text(path.read_text().replace('"encoder_macs":7', '"encoder_macs":8'))
    with pytest.raises(UserError, match="restore it from git, or delete it to do the work again"):
        store.load(WORK)


def test_the_hash_depends_on_the_content_and_not_on_the_layout(store):
    saved = record()
    path = store.save(saved)
    content = json.loads(path.read_text())
    assert list(content)[-1] == "sha256"
    path.write_text(json.dumps(dict(reversed(content.items())), indent=2))
    assert store.load(WORK) == saved


def test_a_record_without_a_hash_is_read(store):
    saved = record()
    path = store.save(saved)
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    assert store.load(WORK) == saved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "0" * 16}, "id: is 0000000000000000, but the work hashes to"),
        ({"result": None}, "result: is absent"),
        ({"result": FootprintResult(weights_bytes=1, peak_bytes=1)}, "has kind footprint"),
        ({"work": WORK.model_copy(update={"frames": 0})}, "work.count.frames: Input should be"),
    ],
)
def test_an_invalid_record_is_not_written(store, changes, message):
    with pytest.raises(UserError, match=message):
        store.save(record().model_copy(update=changes))
    assert not list(store.results.rglob("*.json"))


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"id":' + b"9" * 5000 + b"}", b"[" * 9999]
)
def test_a_file_that_is_no_record_is_one_line(store, content):
    path = store.save(record())
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        store.load(WORK)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 300 + len(str(path))
    assert "\n" not in str(caught.value)


def test_a_listing_skips_stray_files_and_warns_once(store, capsys):
    saved = record()
    path = store.save(saved)
    folder = path.parent
    for name in (f"._{path.name}", f"{WORK.id} (1).json", "notes.json", f"{WORK.id.upper()}x.json"):
        (folder / name).write_text("{}")
    (folder / f"{path.name}.bak").write_text("{}")
    (folder / f"{'a' * 16}.json").write_text("")
    (folder / f"{'b' * 16}.json").write_bytes(path.read_bytes())
    (folder / f"{'c' * 16}.json").mkdir()
    for _ in range(2):
        assert list(store.records()) == [saved]
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"warning: {folder}/") for line in lines)
    assert [line.endswith("json: not a record's name; skipped") for line in lines].count(True) == 4
    assert f"warning: {folder}/{'a' * 16}.json: is empty" in "\n".join(lines)
    assert f"{'b' * 16}.json: holds the record that belongs in counts/{WORK.id}.json" in str(lines)
    assert f"{'c' * 16}.json: cannot be read (Is a directory)" in str(lines)
    assert len(lines) == 7
    with pytest.raises(UserError, match="is empty"):
        list(store.records(strict=True))


@pytest.mark.parametrize("change", [lambda text: text[:-20], lambda text: text.replace("7", "8")])
def test_a_listing_stops_at_a_broken_record(store, change):
    """To skip it would silently remove a number from a table."""
    path = store.save(record())
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=r"not JSON|was changed after it was written"):
        list(store.records())


def test_a_warning_shows_no_control_characters(store, capsys):
    path = store.save(record())
    path.with_name("\x1b[2J.json").touch()
    assert len(list(store.records())) == 1
    assert "\\x1b[2J.json: not a record's name; skipped" in capsys.readouterr().err


def test_a_record_is_found_by_its_id(store):
    saved = record()
    path = store.save(saved)
    assert store.named("count", WORK.id) == saved
    assert store.named("training", WORK.id) is None
    assert store.named("count", f"../counts/{WORK.id}") is None
    path.write_text("")
    with pytest.raises(UserError, match="is empty"):
        store.named("count", WORK.id)


COMMITTED = sorted(
    path
    for kind in ("count", "training", "evaluation", "profile", "footprint", "external")
    for path in (ROOT / "results").rglob(f"{kind}s/*.json")
    if path.relative_to(ROOT / "results").parts[0] in ("baseline", "examples", "machines")
)


def test_every_committed_record_matches_its_hash():
    folders = {path.parent.parent for path in COMMITTED}
    records = [r for folder in folders for r in Store(folder, folder).records(strict=True)]
    assert len(records) == len(COMMITTED) > 600
    for path in COMMITTED:
        content = json.loads(path.read_text())
        assert content.pop("sha256") == seal(content), path
        assert content["id"] == path.stem
    assert {record.id for record in records} == {path.stem for path in COMMITTED}
    assert all(record.id == record.work.id for record in records)


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


def test_provenance_has_device_packages_and_revision():
    here = provenance("cpu", 1)
    assert here.device.kind == "cpu"
    assert here.device.name
    assert "torch" in here.packages
    assert here.git_revision is None or len(here.git_revision) == 40


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:97"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(UserError, match=f"--device: '{name}'"):
        resolve_device(name)


def test_the_cpu_has_a_name():
    device = describe_device("cpu", 2)
    assert device.threads == 2
    assert device.memory_bytes
    assert "cores" in device.name


def test_a_full_disk_is_reported_with_the_file_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    kept = tmp_path / "kept.json"
    write_text(kept, "before")
    monkeypatch.setattr("ifc_bench.file_io.os.replace", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(kept, "after")
    assert told(caught.value) == (
        f"{kept}: no space left on device; fix that, or name another file or directory"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert kept.read_text() == "before"


def test_a_directory_that_cannot_be_written_is_named(store, monkeypatch):
    def refuse(dir):
        raise OSError(errno.EROFS, "Read-only file system", f"{dir}/tmp3ayc1owe")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match="Read-only") as caught:
        store.prepare()
    assert caught.value.filename == str(store.results)


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    """As with `--out /dev/full`, for a user with the permission."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="is not a regular file") as caught:
        write_text(pipe, "text")
    assert caught.value.filename == str(pipe)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_sweep_knows_how_work_ended_without_its_result(store):
    """It asks of every piece, often: results would fill its memory."""
    store.save(evaluated())
    again = Store(store.results, store.runs)
    assert again.done(EVALUATION)
    known = again.outcome(EVALUATION)
    assert (known.status, known.result, known.id) == ("ok", None, EVALUATION.id)
    assert known.work is EVALUATION, "and no copy of the work"
    assert again._read == {}
    assert again.outcome(EVALUATION) is known
    assert again.load(EVALUATION).result is not None
    assert again.outcome(record().work) is None
