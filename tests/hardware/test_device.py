"""Cores that this process may use, and devices by name."""

import os
from pathlib import Path

import pytest

from ifc_bench.cli import machine
from ifc_bench.errors import UserError
from ifc_bench.hardware import device


def cgroups(root: Path, group: str, **quotas: str) -> Path:
    """A root folder with a process in `group`, and `cpu.max` of the groups named ("" is `top`)."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"1:name=systemd:/other\n0::{group}\n")
    for name, quota in quotas.items():
        folder = root / "sys/fs/cgroup" / ("" if name == "top" else name.replace("_", "/"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(f"{quota}\n")
    return root


@pytest.mark.parametrize(
    ("group", "quotas", "cores"),
    [
        ("/", {"top": "150000 100000"}, 1.5),
        ("/", {"top": "max 100000"}, float("inf")),
        ("/a/b", {"a": "200000 100000", "a_b": "max 100000"}, 2.0),
        ("/a/b", {"a": "400000 100000", "a_b": "100000 50000"}, 2.0),
        ("/a", {"b": "100000 100000"}, float("inf")),
    ],
)
def test_the_least_quota_of_all_groups_counts(tmp_path, group, quotas, cores):
    assert device._cpu_quota(cgroups(tmp_path, group, **quotas)) == cores


def test_no_cgroups_no_quota(tmp_path):
    assert device._cpu_quota(tmp_path) == float("inf")


@pytest.mark.parametrize(
    ("allowed", "quota", "cores"),
    [(8, float("inf"), 8), (8, 1.5, 2), (8, 0.25, 1), (2, 16.0, 2)],
)
def test_workers_follow_affinity_and_quota_and_not_the_machine(monkeypatch, allowed, quota, cores):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(allowed)), raising=False)
    monkeypatch.setattr(device, "_cpu_quota", lambda: quota)
    assert device.usable_cores() == cores
    assert machine.Machine(device="cpu").settings().workers == cores
    assert machine.Machine(device="cpu", threads=2).settings().workers == max(1, cores // 2)
    assert device._cpu_name().endswith(f" ({cores} cores)")


@pytest.mark.parametrize(
    ("driver", "readable", "found"),
    [(True, False, "a GPU"), (False, False, None), (True, True, None)],
    ids=["no NVML", "no driver", "NVML lists no such GPU"],
)
def test_a_gpu_without_nvml_is_described_by_torch(monkeypatch, driver, readable, found):
    """A container may have the driver and no libnvidia-ml; CUDA works all the same."""

    class Blind:
        there = False

        def __init__(self, index):
            self.readable = readable

    asked = device.Device(kind="cuda", name="a GPU", compute_capability="8.0")
    monkeypatch.setattr(device, "Gpu", Blind)
    monkeypatch.setattr(device, "_driver_there", lambda: driver)
    monkeypatch.setattr(device, "_asked_of_torch", lambda index: asked)
    described = device._nvml(0)
    assert (described.name if described else None) == found
    assert device.resolve_device("auto") == ("cuda:0" if found else "cpu")


def test_a_driver_shows_itself_by_its_devices(tmp_path):
    assert not device._driver_there(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "dxg").touch()
    assert device._driver_there(tmp_path)


def test_torch_is_asked_in_another_process_and_may_know_no_gpu(monkeypatch):
    class Done:
        returncode = 0
        stdout = '{"kind": "cuda", "name": "a GPU", "memory_bytes": 5, "compute_capability": "7.5"}'

    device._asked_of_torch.cache_clear()
    monkeypatch.setattr(device.subprocess, "run", lambda *_, **__: Done)
    assert device._asked_of_torch(0).compute_capability == "7.5"
    device._asked_of_torch.cache_clear()
    Done.returncode = 1
    assert device._asked_of_torch(0) is None
    device._asked_of_torch.cache_clear()


@pytest.mark.parametrize("name", ["cuda:²", "cuda:-1", "cuda:1:2", "cuda: 0", "gpu", ""])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(UserError, match="is none of auto, cpu, cuda:N"):
        device.resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:9999", "cuda:" + "9" * 5000])
def test_a_card_that_is_not_there_is_refused(name):
    with pytest.raises(UserError, match="NVML lists no such GPU"):
        device.resolve_device(name)
