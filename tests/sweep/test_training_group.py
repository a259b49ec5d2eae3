"""A training on two processes, started by the executor: the group that torchrun would make."""

import math
import os

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.hardware import device as devices
from ifc_bench.hardware.device import describe_device
from ifc_bench.records import Device
from ifc_bench.store import Store
from ifc_bench.sweep import local, scheduler, training_group
from ifc_bench.sweep.local import Local
from ifc_bench.sweep.local import _work as usual_work
from ifc_bench.sweep.plan import make_plan
from ifc_bench.sweep.tasks import Settings
from ifc_bench.sweep.worker import Worker
from tests.conftest import one_line_error, run_cli


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


def end_second(rank, count, port, task, store, settings):
    """The body of the second process: it joins, and ends badly after its first iteration."""
    processes, device = training_group._joined(rank, count, port, settings.devices)
    worker = Worker(store, device, 1, lambda *_: os._exit(3), processes=processes)
    worker.job(task)


def test_a_process_that_dies_ends_its_training_and_the_sweep_goes_on(tmp_path, monkeypatch):
    """The first process would wait for it for hours."""
    monkeypatch.setattr(local, "_work", work_with_a_second_that_dies)
    store = Store(tmp_path / "r", tmp_path / "x")
    settings = Settings(("cpu",), threads=1, workers=1, devices_per_training=2)
    outcome = scheduler.run(planned(), store, settings, lambda *_: None)
    assert [record.status for record in outcome.failures] == ["failed", "failed"]
    assert all("exit code 1 before its work was done" in r.error for r in outcome.failures)
    log = store.log_path(planned().trainings[0].id).read_text()
    assert "of this training ended with 3" in log


def work_with_a_second_that_dies(*given):
    """The usual body of a task, with that second process."""
    training_group._train = end_second
    usual_work(*given)


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


def lack_memory(rank, count, port, task, store, settings):
    """The body of the second process, which has no memory for its second iteration."""
    processes, _ = training_group._joined(rank, count, port, settings.devices)
    worker = Worker(store, "cpu", 1, lambda *_: torch.zeros(10**13), processes=processes)
    worker.clips_at_once = settings.clips_at_once
    try:
        worker.job(task)
    except Exception:
        assert worker.failed.status == "out_of_memory"
        os._exit(training_group.OUT_OF_MEMORY)


def test_memory_that_another_process_lacks_is_out_of_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_work", work_with_a_second_without_memory)
    store = Store(tmp_path / "r", tmp_path / "x")
    settings = Settings(("cpu",), threads=1, workers=1, devices_per_training=2)
    outcome = scheduler.run(planned(), store, settings, lambda *_: None)
    assert [record.status for record in outcome.failures] == ["out_of_memory", "out_of_memory"]


def work_with_a_second_without_memory(*given):
    """The usual body of a task, with that second process."""
    training_group._train = lack_memory
    usual_work(*given)


def test_it_is_of_every_executor_but_inline():
    two = ("plan", "table3d", "--preset=smoke", "--device=cpu", "--gpus-per-training=2")
    refused = run_cli(*two, "--executor=inline")
    assert "a debugger has one process; leave it out" in one_line_error(refused)
    script = run_cli(*two, "--sbatch=3", "--slurm=gres=gpu:2").stdout
    assert "--gpus-per-training=2" in script.splitlines()[-1], "the node's runner has it"
    assert run_cli(*two, "--executor=ray").returncode == 0
