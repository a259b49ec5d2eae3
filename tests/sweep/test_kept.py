"""Kept weights in a sweep: tests of them and starts from them train nothing first."""

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench import config
from ifc_bench.config import KeptWeights, NoComm, SyntheticData
from ifc_bench.errors import UserError
from ifc_bench.inference import predict
from ifc_bench.models.build import build_model
from ifc_bench.provenance import provenance
from ifc_bench.recipe import Row, Table
from ifc_bench.records import Device, Record
from ifc_bench.store import Store
from ifc_bench.sweep import worker as module
from ifc_bench.sweep.plan import Plan, make_plan
from ifc_bench.sweep.scheduler import run
from ifc_bench.sweep.tasks import Settings, title
from ifc_bench.training import first_weights
from ifc_bench.training.checkpoint import finished_weights, kept_model
from ifc_bench.training.kept_weights import read_kept, write_kept

SMOKE = PRESETS["smoke"].model_copy(update={"seeds": 1, "windows": (5,)})
CPU = Device(kind="cpu", name="c", threads=1)
SCENES = SyntheticData(generator=3, seed=9, train_videos=1, validation_videos=4, frames=8)


def row_of(label: str, isolated: bool) -> Row:
    test = config.Testing(window=5, data=SCENES, weights="kept", isolated=isolated)
    return Row.of(SMOKE, label, tests=(test,))


KNOCK_OUT = Table(
    name="knock_out", title="Knock-out", factor="communication", metrics=("AP",),
    rows=(row_of("whole", False), row_of("isolated", True)),
)  # fmt: skip
TRAINING = KNOCK_OUT.rows[0].training


def planned(*tables: Table) -> Plan:
    return make_plan(tables, SMOKE, CPU)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Store:
    """A finished training, and its kept weights."""
    folder = tmp_path_factory.mktemp("kept")
    store = Store(folder / "results", folder / "runs")
    module.Worker(store, "cpu", 1, lambda *_: None).job(module.Job(TRAINING, ()))
    write_kept(
        store.kept_path(TRAINING),
        TRAINING,
        finished_weights(store.checkpoint_path(TRAINING), TRAINING),
    )
    return store


@pytest.fixture
def clone(trained, tmp_path) -> Store:
    """The kept weights, without a record or a checkpoint."""
    store = Store(tmp_path / "results", tmp_path / "runs")
    path = store.kept_path(TRAINING)
    path.parent.mkdir(parents=True)
    path.write_bytes(trained.kept_path(TRAINING).read_bytes())
    return store


def test_they_are_tested_on_other_data_without_training(clone):
    plan = planned(KNOCK_OUT)
    assert plan.trainings == ()
    [job] = plan.jobs(clone)
    assert (job.start, title(job)) == (None, "ifc M=8 seed 0, kept weights")
    assert not plan.trains(job, clone)
    outcome = run(plan, clone, Settings(("cpu",), 1, 1), lambda *_: None)
    assert outcome.errors == []
    assert [record.work.kind for record in clone.records()] == ["evaluation"] * 2
    assert plan.jobs(clone) == []
    whole, isolated = (clone.load(work) for work in plan.evaluations)
    assert whole.result.situations["blank_static"], "the scenes are those of the test"
    assert whole.result.videos == 4
    valid = module.Splits(clone, SCENES).valid
    model = kept_model(clone.kept_path(TRAINING), TRAINING, "cpu")
    for record, work in zip((whole, isolated), plan.evaluations, strict=True):
        again = predict(model, valid, work)
        assert record.result.tracks == again.count
    assert whole.id != isolated.id


def test_a_training_that_failed_here_does_not_count_for_its_kept_weights(clone):
    clone.save(Record.of(TRAINING, provenance("cpu", 1), status="out_of_memory"))
    [job] = planned(KNOCK_OUT).jobs(clone)
    assert not job.finished(clone)


def test_a_table_that_trains_the_same_network_still_trains_it(clone):
    row = Row.of(SMOKE, "trained", testing={"window": 5})
    table = KNOCK_OUT.model_copy(update={"rows": (*KNOCK_OUT.rows, row)})
    jobs = planned(table).jobs(clone)
    assert [(job.kept, len(job.evaluations)) for job in jobs] == [(False, 1), (True, 2)]


def test_without_them_the_file_is_named(tmp_path):
    store = Store(tmp_path / "results", tmp_path / "runs")
    outcome = run(planned(KNOCK_OUT), store, Settings(("cpu",), 1, 1), lambda *_: None)
    [error] = outcome.errors
    assert error.startswith(f"{store.kept_path(TRAINING)}: no such file; take it from the reposi")
    assert "\n" not in error


def test_data_with_other_classes_is_refused(clone, monkeypatch):
    """Predictions are written with the classes of the data, so there must be as many."""
    model = TRAINING.model.model_copy(update={"classes": 2})
    work = planned(KNOCK_OUT).evaluations[0]
    other = work.model_copy(update={"training": TRAINING.model_copy(update={"model": model})})
    worker = module.Worker(clone, "cpu", 1, lambda *_: None)
    with pytest.raises(UserError, match=r"categories: there are 3, the network of .* has 2 class"):
        worker.job(module.Job(other.training, (other,), True))


def test_a_training_starts_from_them(clone):
    """Every variant takes what it shares with the network that was trained on images."""
    kept = SMOKE.model_copy(
        update={"pretrain": True, "pretrain_kept": True, "pretrain_module": NoComm()}
    )
    table = TABLES["table3a"](kept)
    start = table.rows[0].training.start
    assert isinstance(start, KeptWeights)
    assert {row.training.start for row in table.rows} == {start}
    assert kept.seeded(table.rows[0].training, 3).start == start, "one for all seeds"
    plan = make_plan([table], kept, CPU)
    assert {training.data for training in plan.trainings} == {SMOKE.video.data}
    assert {job.start for job in plan.jobs(clone)} == {None}
    work = TRAINING.model_copy(update={"start": KeptWeights(training=TRAINING), "seed": 1})
    model = build_model(work.model)
    assert first_weights.start_model(model, work, clone) == []
    weights = read_kept(clone.kept_path(TRAINING), TRAINING)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    clone.kept_path(TRAINING).unlink()
    with pytest.raises(UserError, match="no such file; take it from the repository"):
        first_weights.start_model(model, work, clone)
