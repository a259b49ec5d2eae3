"""A sweep that is killed, or whose disk is full, has the records of an unbroken one."""

import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.random_kills import KILLS, begin, left_over, numbers, one_round
from ifc_bench.store import Store


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("unbroken")
    store = Store(folder / "results", folder / "runs")
    assert begin(store).wait(timeout=300) == 0
    return numbers(store)


@pytest.mark.parametrize("runners", [1, 2])
def test_killed_at_random_moments(unbroken, tmp_path: Path, runners: int):
    """Runner or worker, by SIGKILL; one runner, or two at once that share the work."""
    store = Store(tmp_path / "results", tmp_path / "runs")
    assert one_round(store, random.Random(runners), runners) == KILLS
    assert numbers(store) == unbroken
    time.sleep(2)  # for processes that notice the end of their runner
    assert left_over(store.runs) == []
    assert not list((store.runs / "checkpoints").glob("*.damaged"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=48m", "none", str(place))
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield place
    finally:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


def test_a_disk_that_is_full_for_a_while(unbroken, small_disk: Path):
    store = Store(small_disk / "results", small_disk / "runs")
    running = begin(store, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 200
    while not list((store.results / "trainings").glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    _, said = running.communicate(timeout=200)
    assert running.returncode == 2
    assert "no space left on device" in said
    assert "Traceback" not in said
    before = len(list(store.records()))
    assert 0 < before < len(unbroken)
    filler.unlink()
    again = begin(store, stderr=subprocess.PIPE)
    assert "Traceback" not in again.communicate(timeout=200)[1]
    assert again.returncode == 0
    assert numbers(store) == unbroken
