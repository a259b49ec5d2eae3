"""Evaluations of one training share a pass over the videos, and nothing else."""

from pathlib import Path

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench import inference
from ifc_bench.config import Evaluation
from ifc_bench.errors import Stopped, UserError
from ifc_bench.inference import one_pass, predict
from ifc_bench.records import Device
from ifc_bench.store import Store
from ifc_bench.sweep import evaluate
from ifc_bench.sweep import worker as module
from ifc_bench.sweep.plan import Job, make_plan
from ifc_bench.tracking import ClipTracker
from ifc_bench.training.checkpoint import trained_model


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Store, Job]:
    """A training of the smallest preset, and its evaluations at T = 5 and 10, not done yet."""
    folder = tmp_path_factory.mktemp("one_pass")
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1})
    store = Store(folder / "results", folder / "runs")
    plan = make_plan([TABLES["table3a"](preset)], preset, Device(kind="cpu", name="c", threads=1))
    job = plan.jobs(store)[-1]
    module.Worker(store, "cpu", 1, lambda *_: None).job(Job(job.training, ()))
    return store, job


def fresh(trained: tuple[Store, Job], tmp_path: Path) -> tuple[module.Worker, Store, list[str]]:
    """A worker with the trained weights and no evaluation, and what it tells."""
    known, job = trained
    store = Store(tmp_path / "results", known.runs)
    store.save(known.load(job.training))
    told: list[str] = []
    return module.Worker(store, "cpu", 1, lambda stage, *_: told.append(stage)), store, told


def test_one_pass_gives_the_records_of_several(trained, tmp_path):
    _, job = trained
    worker, store, told = fresh(trained, tmp_path)
    _, *records = worker.job(job)
    assert [record.work for record in records] == list(job.evaluations)
    assert set(told) == {"evaluate T=5, 10"}
    model = trained_model(store.checkpoint_path(job.training), job.training, "cpu")
    valid = module.Splits(store, job.training.data).valid
    for record in records:
        alone = predict(model, valid, record.work)
        scores = evaluate.score_videos(valid.instances, alone.tracks)
        again = evaluate.as_result(scores, valid.instances, alone.count, 0.0)
        assert record.result.model_copy(update={"wall_seconds": 0.0, "settings": {}}) == again


def only_five(trained, tmp_path, monkeypatch, error: Exception) -> tuple[module.Worker, Job]:
    """A worker whose windows of ten frames end with an error."""
    _, job = trained
    worker, _, _ = fresh(trained, tmp_path)
    known = evaluate.predict_in_one_pass

    def failing(model, data, works, *rest):
        if any(work.window == 10 for work in works):
            raise error
        return known(model, data, works, *rest)

    monkeypatch.setattr(evaluate, "predict_in_one_pass", failing)
    return worker, job


def test_a_window_that_fails_takes_no_other_along(trained, tmp_path, monkeypatch):
    worker, job = only_five(trained, tmp_path, monkeypatch, ArithmeticError("T = 10"))
    records = worker.job(job)[1:]
    assert [(r.work.window, r.status) for r in records] == [(5, "ok"), (10, "failed")]
    assert [worker.store.done(evaluation) for evaluation in job.evaluations] == [True, False]


def test_a_window_that_is_refused_takes_no_other_along(trained, tmp_path, monkeypatch):
    worker, job = only_five(trained, tmp_path, monkeypatch, UserError("not all finite"))
    with pytest.raises(UserError, match="not all finite"):
        worker.job(job)
    assert [worker.store.done(evaluation) for evaluation in job.evaluations] == [True, False]


def test_ways_that_see_other_frames_have_passes_of_their_own(trained):
    _, job = trained
    first = job.evaluations[0]

    def way(**changes: object) -> Evaluation:
        return first.model_copy(update=changes)

    ways = [way(window=5), way(window=10, size=32), way(window=20), way(isolated=True)]
    assert one_pass(ways) == [[ways[0], ways[2]], [ways[1]], [ways[3]]]


def test_ways_that_run_the_network_in_another_way_have_passes_of_their_own(trained):
    _, job = trained
    halves = [e.model_copy(update={"precision": "bf16"}) for e in job.evaluations]
    fast = halves[0].model_copy(update={"compiled": True})
    ways = [job.evaluations[0], halves[0], fast, *job.evaluations[1:], *halves[1:]]
    assert one_pass(ways) == [list(job.evaluations), halves, [fast]]


def test_a_record_says_what_it_was_tested_in(trained, tmp_path, tf32, monkeypatch):
    _, job = trained
    types, update = [], ClipTracker.update
    monkeypatch.setattr(
        ClipTracker,
        "update",
        lambda self, *given: types.append(given[-1].dtype) or update(self, *given),
    )
    half = job.evaluations[0].model_copy(update={"precision": "bf16"})
    assert half.id != job.evaluations[0].id
    worker, store, _ = fresh(trained, tmp_path)
    _, whole, found = worker.job(Job(job.training, (job.evaluations[0], half)))
    assert (found.status, found.work.precision, whole.work.precision) == ("ok", "bf16", "fp32")
    for record in (whole, store.load(half), store.load(job.training)):
        settings = record.result.settings
        assert (settings["matmul_tf32"], settings["cudnn_tf32"]) == (False, False)
        assert settings["threads"] == 1
    assert store.load(job.training).result.settings["deterministic"] is True
    assert list(dict.fromkeys(types)) == [torch.float32, torch.bfloat16]


def test_a_stopped_evaluation_goes_on_after_its_last_video(trained, tmp_path, monkeypatch):
    """At most one video is done twice; predictions of other weights are not used."""
    _, job = trained
    worker, store, _ = fresh(trained, tmp_path)
    *_, whole = [record.result for record in worker.job(job)]
    again, store, _ = fresh(trained, tmp_path / "again")
    for work in job.evaluations:
        store.predictions_path(work).unlink(missing_ok=True)

    def stop(stage: str, done: int, *_: object) -> None:
        if done == 3:
            raise Stopped("stopped")

    again.progress = stop
    with pytest.raises(Stopped):
        again.job(job)
    tracked: list[int] = []
    known = inference._entries_of
    monkeypatch.setattr(
        inference,
        "_entries_of",
        lambda model, data, video, hows: (
            tracked.append(video.id) or known(model, data, video, hows)
        ),
    )
    last, store, _ = fresh(trained, tmp_path / "again")
    *_, resumed = [record.result for record in last.job(job)]
    assert tracked == [4, 5]
    assert resumed.metrics == whole.metrics
    assert not list(store.predictions_path(job.evaluations[0]).parent.glob(".*.partial"))


def test_damaged_final_weights_are_set_aside_and_trained_again(trained, tmp_path):
    known, job = trained
    store = Store(tmp_path / "results", tmp_path / "runs")
    store.save(known.load(job.training))
    path = store.checkpoint_path(job.training)
    path.parent.mkdir(parents=True)
    path.write_bytes(known.checkpoint_path(job.training).read_bytes()[:5000])
    worker = module.Worker(store, "cpu", 1, lambda *_: None)
    with pytest.raises(UserError, match=r"\.damaged now, so the next run does"):
        worker.job(job)
    assert not path.exists()
    assert path.with_suffix(".damaged").exists()
    assert [record.status for record in worker.job(job)] == ["ok", "ok", "ok"]
    assert store.has_weights(job.training)
