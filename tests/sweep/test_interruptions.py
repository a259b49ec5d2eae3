"""A sweep that is killed, or whose disk is full, has the records of an unbroken one."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ifc_bench.records import TrainingResult
from ifc_bench.store import Store
from tests.conftest import ROOT

KILLS = 20
CHOSEN = (
    "run", "table3d", "--preset=smoke", "--seeds=2", "--window=5", "--iterations=60",
    "--device=cpu",
)  # fmt: skip


def begin(store: Store, told: bool = False) -> subprocess.Popen[str]:
    places = (f"--results={store.results}", f"--runs={store.runs}")
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_ablations.py"), *CHOSEN, *places],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if told else subprocess.DEVNULL,
        text=True,
    )


def numbers(store: Store) -> dict[str, object]:
    """What must be equal to the bit: losses and accuracies."""
    found: dict[str, object] = {}
    for record in store.records("training", "evaluation"):
        assert record.status == "ok", record.error
        result = record.result
        found[record.id] = result.loss if isinstance(result, TrainingResult) else result.metrics
    return found


def workers(runner: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes below a runner: those that work, and the server they are forked from."""
    try:
        return psutil.Process(runner.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def orphans(store: Store) -> list[int]:
    """Processes that write to the directories of a store, or would."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(store.runs) in " ".join(process.cmdline()) or any(
                file.path.startswith(str(store.runs)) for file in process.open_files()
            ):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("unbroken")
    store = Store(folder / "results", folder / "runs")
    assert begin(store).wait(timeout=300) == 0
    return numbers(store)


@pytest.mark.parametrize("runners", [1, 2])
def test_killed_at_random_moments(unbroken, tmp_path: Path, runners: int):
    """Runner or worker, by SIGKILL; one runner, or two at once that share the work."""
    rng = random.Random(runners)
    store = Store(tmp_path / "results", tmp_path / "runs")
    running = [begin(store) for _ in range(runners)]
    kills = 0
    deadline = time.monotonic() + 400
    while any(one.poll() != 0 for one in running):
        assert time.monotonic() < deadline, "the sweep does not come to its end"
        time.sleep(rng.uniform(0.2, 1.5) if kills < KILLS else 0.5)
        for place, runner in enumerate(running):
            if runner.poll() is not None:
                if runner.returncode != 0:  # killed, or its worker was: the same command again
                    running[place] = begin(store)
                continue
            if kills < KILLS and rng.random() < 0.7:
                below = workers(runner)
                victim = rng.choice(below).pid if below and rng.random() < 0.6 else runner.pid
                try:
                    os.kill(victim, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
    assert kills == KILLS
    assert numbers(store) == unbroken
    time.sleep(2)  # for processes that notice the end of their runner
    assert orphans(store) == []
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
    running = begin(store, told=True)
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
    again = begin(store, told=True)
    assert "Traceback" not in again.communicate(timeout=200)[1]
    assert again.returncode == 0
    assert numbers(store) == unbroken
