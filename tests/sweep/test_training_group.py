"""A training on two processes, started by the executor: the group that torchrun would make."""

import math
import os
from functools import partial

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.hardware import device as devices
from ifc_bench.hardware.device import describe_device
from ifc_bench.records import Device
from ifc_bench.store import Store
from ifc_bench.sweep import local, scheduler, training_group
from ifc_bench.sweep.executor import OUT_OF_MEMORY
from ifc_bench.sweep.local import Local
from ifc_bench.sweep.local import _work as usual_work
from ifc_bench.sweep.plan import make_plan
from ifc_bench.sweep.tasks import Settings
from ifc_bench.sweep.training_group import _train as usual_second
from ifc_bench.training.trainer import Trainer
from tests.conftest import ROOT, one_line_error, run_cli


def planned():
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1, "windows": (5,)})
    return make_plan([TABLES["table3d"](preset)], preset, describe_device("cpu", 1))


def losses(store: Store) -> dict[str, list[float]]:
    return {record.id: record.result.loss for record in store.records("training")}


def test_two_processes_share_each_training(tmp_path):
    stores = {n: Store(tmp_path / f"r{n}", tmp_path / f"x{n}") for n in (1, 2)}
    for count, store in stores.items():
        settings = Settings(("cpu",), threads=1, workers=1, devices_per_training=count)
        outcome = scheduler.run(planned(), store, settings, lambda *_: None)
        assert outcome.errors == []
        assert planned().missing(store) == []
        assert {r.result.processes for r in store.records("training")} == {count}
        assert list(store.claims().iterdir()) == []
    alone, shared = losses(stores[1]), losses(stores[2])
    assert alone.keys() == shared.keys()
    for key, values in alone.items():
        assert shared[key] == pytest.approx(values, rel=1e-3)
        assert all(math.isfinite(value) for value in shared[key])


def dies(trainer: Trainer) -> None:
    os._exit(3)


def lacks_memory(trainer: Trainer) -> None:
    torch.zeros(10**13)


def second_with(fault, *given):
    """The usual body of the second process, with a fault after its first iteration."""
    Trainer._tell = fault
    usual_second(*given)


def work_with(fault, *given):
    """The usual body of a task, whose second process has a fault."""
    training_group._train = partial(second_with, fault)
    usual_work(*given)


@pytest.mark.parametrize(
    ("fault", "status", "error", "code"),
    [
        (dies, "failed", "exit code 1 before its work was done", 3),
        (lacks_memory, "out_of_memory", "a process of this training had no memory", OUT_OF_MEMORY),
    ],
)
def test_a_fault_of_another_process_ends_its_training_and_the_sweep_goes_on(
    fault, status, error, code, tmp_path, monkeypatch
):
    """The first process would wait for it for hours."""
    monkeypatch.setattr(local, "_work", partial(work_with, fault))
    store = Store(tmp_path / "r", tmp_path / "x")
    settings = Settings(("cpu",), threads=1, workers=1, devices_per_training=2)
    outcome = scheduler.run(planned(), store, settings, lambda *_: None)
    assert [record.status for record in outcome.failures] == [status, status]
    assert all(error in (record.error or "") for record in outcome.failures)
    log = store.log_path(planned().trainings[0].id).read_text()
    assert f"of this training ended with {code}" in log


def test_gpus_are_given_in_groups(tmp_path, monkeypatch):
    gpus = [Device(kind="cuda", name=f"GPU {n}", memory_bytes=1 << 30) for n in range(5)]
    monkeypatch.setattr(devices, "_nvml", lambda n: gpus[n] if n < 5 else None)
    devices.describe_device.cache_clear()
    settings = Settings(
        tuple(f"cuda:{n}" for n in range(5)), threads=1, workers=2, devices_per_training=2
    )
    slots = Local(Store(tmp_path, tmp_path), settings).slots()
    assert [(slot.device, *slot.others) for slot in slots] == [
        ("cuda:0", "cuda:1"), ("cuda:2", "cuda:3"),
    ]  # fmt: skip
    devices.describe_device.cache_clear()


def test_more_gpus_than_there_are_is_one_line(monkeypatch):
    gpu = Device(kind="cuda", name="GPU 0", memory_bytes=1 << 30)
    monkeypatch.setattr(devices, "_nvml", lambda n: gpu if n == 0 else None)
    refused = run_cli("plan", "table3d", "--device=all", "--gpus-per-training=2")
    assert "2 are asked for, --device all has 1" in one_line_error(refused)


def test_it_is_of_every_executor_but_inline(monkeypatch):
    monkeypatch.setattr("sys.argv", [str(ROOT / "run_ablations.py")])  # what a node will run
    two = ("plan", "table3d", "--preset=smoke", "--device=cpu", "--gpus-per-training=2")
    refused = run_cli(*two, "--executor=inline")
    assert "a debugger has one process; leave it out" in one_line_error(refused)
    script = run_cli(*two, "--sbatch=3", "--slurm=gres=gpu:2").stdout
    assert "--gpus-per-training=2" in script.splitlines()[-1], "the node's runner has it"
    assert run_cli(*two, "--executor=ray").returncode == 0
