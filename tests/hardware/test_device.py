"""Cores that this process may use, and devices by name."""

import os
from pathlib import Path

import pytest

from ifc_bench.cli import options
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
    assert options.Machine(device="cpu").settings().workers == cores
    assert options.Machine(device="cpu", threads=2).settings().workers == max(1, cores // 2)
    assert device._cpu_name().endswith(f" ({cores} cores)")


@pytest.mark.parametrize("name", ["cuda:²", "cuda:-1", "cuda:1:2", "cuda: 0", "gpu", ""])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(UserError, match="is none of auto, cpu, cuda:N"):
        device.resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:9999", "cuda:" + "9" * 5000])
def test_a_card_that_is_not_there_is_refused(name):
    with pytest.raises(UserError, match="NVML lists no such GPU"):
        device.resolve_device(name)
