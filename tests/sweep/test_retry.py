"""Failed work changes the exit code, and can be retried."""

import errno

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.hardware.device import describe_device
from ifc_bench.models.ifc import IFC
from ifc_bench.records import Device
from ifc_bench.store import Store
from ifc_bench.sweep import worker as module
from ifc_bench.sweep.executor import Ending
from ifc_bench.sweep.plan import make_plan
from ifc_bench.sweep.scheduler import failure
from ifc_bench.sweep.tasks import Settings
from ifc_bench.training.hooks import Curves


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


@pytest.fixture
def plan():
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1})
    return make_plan([TABLES["table3d"](preset)], preset, describe_device("cpu", 1))


def put(store, plan, status):
    """Save a record of each training run with a status other than ok."""
    for training in plan.trainings:
        record = failure(training, Ending("failed", "as it was"), Settings(("cpu",), 1, 1))
        store.save(record.model_copy(update={"status": status}))


def command(store, *arguments):
    places = [f"--results={store.results}", f"--runs={store.runs}"]
    return main(TABLES, PRESETS, [*arguments, "table3d", "--preset=smoke", "--seeds=1", *places])


@pytest.mark.parametrize("status", ["diverged", "out_of_memory"])
def test_a_table_with_holes_has_an_exit_code(status, store, plan, capsys):
    put(store, plan, status)
    assert command(store, "run", "--device=cpu") == 2
    printed = capsys.readouterr()
    last = printed.err.strip().splitlines()[-1]
    words = status.replace("_", " ")
    assert last.startswith(f"error: incomplete: 4 evaluations not run, 2 trainings {words}; ")
    assert "--retry" in last
    assert "Table 3(d)" in printed.out, "the incomplete table is printed all the same"


@pytest.mark.parametrize(
    ("status", "retry", "left"),
    [
        ("diverged", None, 0),
        ("diverged", "oom", 0),
        ("diverged", "diverged", 2),
        ("out_of_memory", "oom", 2),
        ("out_of_memory", "all", 2),
        ("failed", None, 2),
    ],
)
def test_retry_plans_again_what_it_names(status, retry, left, store, plan, capsys):
    put(store, plan, status)
    assert command(store, "plan", *([f"--retry={retry}"] if retry else [])) == 0
    assert f"trainings: 2, {2 - left} exist" in capsys.readouterr().out


def test_retry_of_something_else_is_one_line(store, capsys):
    assert command(store, "plan", "--retry=lost") == 2
    assert 'Choose from: "failed", "oom", "diverged", "timeout", "all"' in capsys.readouterr().err


class Trained:
    """A trainer that succeeds, and notes whether it found a checkpoint."""

    found: bool

    def __init__(self, work, data, path, *_):
        type(self).found = path.exists()
        self.model = IFC.__new__(IFC)
        self.model.parameters = lambda: []

    def run(self):
        return Curves(loss=[1.0])


@pytest.mark.parametrize(("status", "kept"), [("out_of_memory", True), ("diverged", False)])
def test_a_training_that_is_tried_again_has_a_new_record(status, kept, store, plan, monkeypatch):
    """After lack of memory it resumes from its checkpoint; after divergence it starts anew."""
    put(store, plan, status)
    training = plan.trainings[0]
    checkpoint = store.checkpoint_path(training)
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    again = Store(store.results, store.runs, retry={"failed", status})
    monkeypatch.setattr("ifc_bench.sweep.train.Trainer", Trained)
    monkeypatch.setattr(module, "evaluate", lambda *_: [])
    module.Worker(again, "cpu", 1, lambda *_: None).job(plan.jobs(again)[0])
    assert Trained.found == kept
    assert "ok" in {store.load(work).status for work in plan.trainings}


def test_a_complete_run_prints_where_it_cannot_write(store, plan, capsys, monkeypatch):
    """A results directory that is mounted read-only."""
    put(store, plan, "diverged")

    def refuse(path, text):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("ifc_bench.cli.answers.write_text", refuse)
    monkeypatch.setattr(Store, "prepare", lambda self: pytest.fail("there is nothing to do"))
    assert command(store, "run", "--device=cpu") == 2
    printed = capsys.readouterr()
    assert "Table 3(d)" in printed.out
    assert "table3d-smoke.md: read-only file system" in printed.err


def test_a_card_with_more_memory_tries_again_unasked(store, plan, monkeypatch):
    small = Device(kind="cuda", name="GPU", memory_bytes=11 << 30)
    monkeypatch.setattr("ifc_bench.provenance.describe_device", lambda *_: small)
    put(store, plan, "out_of_memory")
    for gib, left in ((None, 0), (11, 0), (11.4, 0), (24, 2)):
        memory = None if gib is None else int(gib * (1 << 30))
        here = Store(store.results, store.runs, memory=memory)
        assert len(plan.jobs(here)) == left
        assert len(plan.jobs(here.retrying("diverged"))) == left
