"""Records of two machines in one directory: once each, unchanged, and no two of one work."""

import pytest

from ifc_bench.errors import UserError
from ifc_bench.merge import merge
from ifc_bench.store import Store
from tests.conftest import one_line_error, run_cli
from tests.test_store import EVALUATION, WORK, evaluated, record


@pytest.fixture
def stores(tmp_path):
    return tuple(Store(tmp_path / name, tmp_path / "runs") for name in ("ours", "theirs"))


def content(store: Store) -> dict[str, bytes]:
    files = (path for path in store.results.rglob("*") if path.is_file())
    return {str(path.relative_to(store.results)): path.read_bytes() for path in files}


def test_their_files_are_copied_as_they_are(stores):
    ours, theirs = stores
    theirs.save(record())
    theirs.save(evaluated())
    weights = theirs.kept_path(EVALUATION.training)
    found = merge(ours, theirs)
    assert content(ours) == content(theirs)
    assert (len(found.copied), found.known, found.failed) == (3, 0, 0), "with the columns"
    assert ours.load(EVALUATION) == theirs.load(EVALUATION)
    assert not weights.exists()
    again = merge(ours, theirs)
    assert (again.copied, again.known) == ((), 2)


def test_what_is_here_already_stays(stores):
    ours, theirs = stores
    ours.save(evaluated())
    theirs.save(record())
    assert len(merge(ours, theirs).copied) == 1
    assert {one.id for one in ours.records()} == {EVALUATION.id, WORK.id}


def test_failed_work_is_not_copied_and_gives_way(stores):
    ours, theirs = stores
    theirs.save(record(status="failed"))
    assert merge(ours, theirs).failed == 1
    assert content(ours) == {}
    ours.save(record(status="failed"))
    theirs.save(record())
    merge(ours, theirs)
    assert ours.load(WORK).status == "ok"


def test_two_records_of_one_work_are_refused_and_nothing_is_copied(stores):
    ours, theirs = stores
    ours.save(record(macs=7))
    theirs.save(record(macs=8))
    theirs.save(evaluated())
    before = content(ours)
    with pytest.raises(UserError, match="are records of the same work with other content") as told:
        merge(ours, theirs)
    for store in stores:
        assert str(store.record_path(WORK)) in str(told.value)
    assert content(ours) == before


def test_kept_weights_come_along(stores):
    ours, theirs = stores
    training = EVALUATION.training
    done = record().model_copy(
        update={"id": training.id, "work": training, "status": "diverged", "result": None}
    )
    theirs.save(done)
    path = theirs.kept_path(training)
    path.parent.mkdir()
    path.write_bytes(b"weights")
    merge(ours, theirs)
    assert ours.kept_path(training).read_bytes() == b"weights"
    ours.kept_path(training).unlink()
    assert merge(ours, theirs).copied == (ours.kept_path(training),), "written after the record"


def test_equal_counts_of_two_machines_are_no_conflict(stores):
    ours, theirs = stores
    ours.save(record())
    made = record()
    elsewhere = made.provenance.model_copy(update={"platform": "another"})
    theirs.save(made.model_copy(update={"provenance": elsewhere}))
    assert merge(ours, theirs).known == 1
    assert ours.load(WORK).provenance.platform != "another"


def test_a_damaged_record_stops_it(stores):
    ours, theirs = stores
    theirs.save(record())
    path = theirs.save(evaluated())
    path.with_name(f"{path.stem}.columns.json.gz").unlink()
    with pytest.raises(UserError, match="is missing; restore it"):
        merge(ours, theirs)
    assert content(ours) == {}


def test_the_command(stores, tmp_path):
    ours, theirs = stores
    theirs.save(evaluated())
    done = run_cli("merge", str(theirs.results), "--results", str(ours.results))
    assert (done.returncode, done.stdout) == (
        0, f"{ours.results}: 2 files copied, 0 records known\n"
    )  # fmt: skip
    for other, message in (
        (tmp_path / "none", "no such directory"),
        (ours.results, "is --results itself"),
        (tmp_path, "has no records"),
    ):
        done = run_cli("merge", str(other), "--results", str(ours.results))
        assert done.returncode == 2
        assert message in one_line_error(done)


@pytest.mark.parametrize("status", ["out_of_memory", "timed_out"])
def test_what_one_machine_could_not_do_gives_way(status, stores):
    ours, theirs = stores
    ours.save(record())
    theirs.save(record(status=status))
    assert merge(ours, theirs).failed == 1
    assert ours.load(WORK).status == "ok"
    merge(theirs, ours)
    assert Store(theirs.results, theirs.runs).load(WORK).status == "ok"
