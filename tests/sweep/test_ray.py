"""A real Ray cluster of two nodes: the same records as on this machine, also if one is lost."""

import builtins
import time
from dataclasses import replace

import pytest

from ablations import PRESETS, TABLES
from benchmarks.random_kills import numbers
from ifc_bench.config import Training
from ifc_bench.hardware.device import describe_device
from ifc_bench.store import Store
from ifc_bench.sweep import scheduler
from ifc_bench.sweep.plan import make_plan
from ifc_bench.sweep.tasks import Settings
from tests.conftest import one_line_error, run_cli

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = pytest.mark.ray

LOCAL = Settings(("cpu",), threads=1, workers=2)


@pytest.fixture(scope="module")
def plan():
    preset = PRESETS["smoke"].model_copy(update={"seeds": 2, "windows": (5,)})
    return make_plan([TABLES["table3d"](preset)], preset, describe_device("cpu", 1))


@pytest.fixture(scope="module")
def here(plan, tmp_path_factory):
    """The records of the same plan on this machine, by id."""
    folder = tmp_path_factory.mktemp("local")
    store = Store(folder / "results", folder / "runs")
    outcome = scheduler.run(plan, store, LOCAL, lambda *_: None)
    assert not outcome.errors
    return numbers(store)


@pytest.fixture(autouse=True)
def _print_as_before():
    """Ray puts a function of its own in place of `print`, for the whole process."""
    usual = builtins.print
    yield
    builtins.print = usual


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    ray.shutdown()
    made.shutdown()


def test_two_nodes_of_which_one_is_lost(plan, here, cluster, tmp_path):
    lost = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    store = Store(tmp_path / "results", tmp_path / "runs")
    settings = replace(LOCAL, executor="ray", address=cluster.address)
    started: list[str] = []
    gone: list[float] = []

    def watch(task, event) -> None:
        if event.stage == "starting":
            started.append(task.training.id)
        if event.stage == "train" and len(started) >= 2 and not gone:
            gone.append(time.monotonic())
            cluster.remove_node(lost, allow_graceful=False)

    outcome = scheduler.run(plan, store, settings, watch)
    assert gone, "the node was removed while both trained"
    assert not outcome.errors
    assert numbers(store) == here
    assert {r.id for r in store.records("training")} == {
        work.id for work in plan.trainings if isinstance(work, Training)
    }
    assert list(store.claims().iterdir()) == []
    assert sorted((store.runs / "logs").iterdir()), "tasks have logs"


def test_a_stopped_sweep_goes_on(plan, here, cluster, tmp_path):
    """Closing the scheduler's events stops the tasks; the same call does the rest."""
    store = Store(tmp_path / "results", tmp_path / "runs")
    settings = replace(LOCAL, executor="ray", address=cluster.address)

    def interrupt(task, event) -> None:
        if event.stage == "end":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scheduler.run(plan, store, settings, interrupt)
    assert len(numbers(store)) < len(here)
    assert list(store.claims().iterdir()) == []
    scheduler.run(plan, store, settings, lambda *_: None)
    assert numbers(store) == here


def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    done = run_cli(
        "run", "table3d", "--preset=smoke", "--seeds=1", "--window=5", "--device=cpu",
        f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}", "--executor=ray",
        "--address=127.0.0.1:1",
    )  # fmt: skip
    assert "no Ray cluster answers" in one_line_error(done)


def test_an_address_without_ray_is_one_line():
    done = run_cli("plan", "table3d", "--address=auto")
    assert "--address: has no effect without --executor ray" in one_line_error(done)


def test_nodes_that_share_no_directory(plan, here, cluster, tmp_path):
    """Checkpoints at an address; the node that trains longest is lost, the other goes on."""
    lost = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    store = Store(tmp_path / "results", tmp_path / "runs")
    address = f"file://{tmp_path / 'bucket'}"
    settings = replace(LOCAL, executor="ray", address=cluster.address, checkpoints=address)
    gone: list[str] = []

    def watch(task, event) -> None:
        if event.stage == "train" and event.task == 1 and not gone:
            gone.append(task.training.id)
            cluster.remove_node(lost, allow_graceful=False)

    outcome = scheduler.run(plan, store, settings, watch)
    assert gone
    assert not outcome.errors
    assert numbers(store) == here
    assert all(store.has_weights(work) for work in plan.trainings)
    kept = {path.name for path in (tmp_path / "bucket" / "runs" / "checkpoints").iterdir()}
    assert kept == {f"{work.id}.pt" for work in plan.trainings}
    assert not (store.runs / "logs").exists(), "the nodes wrote to directories of their own"


def test_two_processes_of_a_node_share_each_training(plan, here, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        store = Store(tmp_path / "results", tmp_path / "runs")
        settings = replace(
            LOCAL, executor="ray", address=made.address, devices_per_training=2, workers=1
        )
        outcome = scheduler.run(plan, store, settings, lambda *_: None)
        assert not outcome.errors
        trained = {r.id: r.result for r in store.records("training")}
        assert {result.processes for result in trained.values()} == {2}
        for key, result in trained.items():
            assert result.loss == pytest.approx(here[key], rel=1e-3)
    finally:
        ray.shutdown()
        made.shutdown()
