"""Files of a store at an address: what one node wrote, another one goes on from."""

import os
import shutil
from pathlib import Path

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.config import Training, WeightsFile
from ifc_bench.data.catalogue import adopt
from ifc_bench.errors import UserError
from ifc_bench.records import Device, Record
from ifc_bench.store import Store
from ifc_bench.sweep.mirror import Keeper, Mirror, store_of_node
from ifc_bench.sweep.plan import Job, make_plan
from tests.conftest import one_line_error, run_cli
from tests.sweep.test_executors import done


@pytest.fixture
def job() -> Job:
    smoke = PRESETS["smoke"].model_copy(update={"seeds": 1, "windows": (5,)})
    plan = make_plan([TABLES["table3d"](smoke)], smoke, Device(kind="cpu", name="c", threads=1))
    training = plan.trainings[0]
    tests = tuple(one for one in plan.evaluations if one.training == training)
    return Job(training, tests)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(f"file://{tmp_path / 'bucket'}")


def store(tmp_path: Path, name: str) -> Store:
    return Store(tmp_path / name / "results", tmp_path / name / "runs")


def checkpoint(where: Store, work: Training, content: bytes, final: bool) -> Path:
    path = where.checkpoint_path(work)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    mark = path.with_suffix(".unfinished")
    mark.unlink(missing_ok=True) if final else mark.touch()
    return path


def test_another_node_goes_on_from_the_newest_checkpoint(job, mirror, tmp_path):
    runner, first, second = (store(tmp_path, name) for name in ("runner", "first", "second"))
    parcel = mirror.offer(job, runner)
    mirror.take(parcel, job, first)
    assert not first.checkpoint_path(job.training).exists()

    mirror.keep(checkpoint(first, job.training, b"ten iterations", final=False))
    mirror.take(parcel, job, second)
    assert second.checkpoint_path(job.training).read_bytes() == b"ten iterations"
    assert not second.has_weights(job.training)

    mirror.keep(checkpoint(second, job.training, b"all", final=True))
    mirror.take(parcel, job, first)
    assert first.checkpoint_path(job.training).read_bytes() == b"all"
    assert first.has_weights(job.training)
    mirror.fetch(job.training, runner)
    assert runner.has_weights(job.training)
    assert not list((tmp_path / "bucket").rglob("*.part"))


def test_a_checkpoint_and_records_that_the_runner_has_are_brought(job, mirror, tmp_path):
    runner, node = store(tmp_path, "runner"), store(tmp_path, "node")
    checkpoint(runner, job.training, b"of the runner", final=True)
    runner.save(done(job.training))
    runner.save(done(job.evaluations[0]))
    mirror.take(mirror.offer(job, runner), job, node)
    assert node.checkpoint_path(job.training).read_bytes() == b"of the runner"
    assert {record.id for record in node.records()} == {job.training.id, job.evaluations[0].id}
    assert all(isinstance(record, Record) and record.status == "ok" for record in node.records())

    checkpoint(runner, job.training, b"older", final=False)
    mirror.offer(job, runner)
    mirror.fetch(job.training, node)
    assert node.checkpoint_path(job.training).read_bytes() == b"of the runner", "what is there wins"


def test_data_and_weights_of_the_user_are_at_the_same_path(job, mirror, data_folder, tmp_path):
    runner, node = store(tmp_path, "runner"), store(tmp_path, "node")
    theirs = Path(shutil.copytree(data_folder, tmp_path / "theirs"))
    shutil.rmtree(theirs / "valid")  # a part of the training videos is held out
    data = adopt(theirs, "youtube-vis-2021", runner).data
    weights = tmp_path / "r50.pth"
    weights.write_bytes(b"weights")
    start = WeightsFile(content="imagenet", sha256="ab" * 32)
    runner.link_weights(start, weights)
    work = job.training.model_copy(update={"data": data, "start": start})
    other = Job(work, ())
    parcel = mirror.offer(other, runner)
    mirror.take(parcel, other, node)
    for split in ("train", "valid"):
        for name in ("instances.json", "JPEGImages"):
            here, there = (one.data_path(data) / split / name for one in (runner, node))
            inside = there.resolve().is_relative_to(node.runs)
            assert inside == (name == "instances.json"), "the split is copied, frames are not"
            if inside:
                assert there.read_bytes() == here.read_bytes()
            else:
                assert there.resolve() == here.resolve()
    assert node.weights_path(start).resolve() == weights

    weights.unlink()
    with pytest.raises(UserError, match=r"r50\.pth: is not on this node; with --checkpoints every"):
        mirror.take(parcel, other, node)


def test_the_last_checkpoint_is_there_when_the_keeper_is_closed(job, mirror, tmp_path):
    node, other = store(tmp_path, "node"), store(tmp_path, "other")
    keeper = Keeper(mirror)
    for number in range(20):
        keeper(checkpoint(node, job.training, b"%d" % number, final=number == 19))
    keeper.close()
    mirror.fetch(job.training, other)
    assert other.checkpoint_path(job.training).read_bytes() == b"19"
    assert other.has_weights(job.training)


def test_what_cannot_be_written_is_one_line(job, mirror, tmp_path):
    (tmp_path / "file").write_text("")
    for address, told in (
        (f"file://{tmp_path / 'file'}", "file: .*name an address that every node can read"),
        ("nowhere://bucket", "nowhere://bucket: Protocol not known: nowhere"),
    ):
        with pytest.raises(UserError, match=told):
            Mirror(address)
    node = store(tmp_path, "node")
    path = checkpoint(node, job.training, b"x", final=True)
    keeper = Keeper(mirror)
    shutil.rmtree(tmp_path / "bucket")
    (tmp_path / "bucket").write_text("")
    keeper(path)
    with pytest.raises(UserError, match="--checkpoints: file://"):
        keeper.close()


def test_nodes_of_one_machine_have_stores_of_their_own(tmp_path):
    plain = store(tmp_path, "plain")
    a, b, again = (store_of_node(node, "s3://x", plain).runs for node in ("a", "b", "a"))
    assert a != b
    assert a == again
    assert a.parent.stat().st_uid == os.getuid()


def test_it_needs_ray():
    said = run_cli("plan", "table3d", "--checkpoints=s3://bucket")
    assert "--checkpoints: has no effect without --executor ray" in one_line_error(said)
