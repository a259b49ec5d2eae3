"""`plan --dry-run`: some real iterations, tables of what they took, and nothing left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from ablations import PRESETS, TABLES
from ifc_bench.cli import main
from ifc_bench.measuring import dry_run as module
from ifc_bench.training.rehearsal import Rehearsal
from tests.conftest import ROOT, one_line_error, run_cli

DRY = ("plan", "table2d", "--preset=smoke", "--device=cpu", "--dry-run")


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Options for directories under tmp_path; temporary files go there as well."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return f"--results={tmp_path / 'r'}", f"--runs={tmp_path / 'x'}"


@pytest.fixture
def _here(monkeypatch):
    """Measure in this process, which tests can change."""
    monkeypatch.setattr(module, "in_process", lambda function, *given: function(*given))


def left(tmp_path: Path) -> list[str]:
    """Files and directories, without the data set and the lock of measurements."""
    return sorted(
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if "synthetic" not in str(path) and not path.is_relative_to(lock(tmp_path))
    )


def lock(tmp_path: Path) -> Path:
    return tmp_path / "tmp" / f"ifc-bench-{os.getuid()}"


@pytest.mark.usefixtures("_here")
def test_it_prints_memory_time_and_disk_and_keeps_nothing(places, tmp_path):
    done = run_cli(*DRY, "--dry-run-iterations=2", *places)
    assert done.returncode == 0, done.stderr
    assert "trainings: 2, 0 exist" in done.stdout
    iterations, sweep, disk = done.stdout.split("### ")[1:]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in iterations.splitlines()
        if line.startswith("| ")
    ][1:]
    assert [row[2] for row in rows] == ["2 (the batch)", "1"]
    assert rows[0][:2] == ["ifc M=8", "2"], "two seeds share one"
    assert [row[7] for row in rows] == ["2", "2"], "n"
    assert all(float(row[5]) > 0 for row in rows), "seconds"
    assert "whole sweep (estimate)" in sweep
    assert "| with " in sweep
    assert "| checkpoints | 2 " in disk
    assert "about" not in done.stdout, "the preset's estimate"
    assert left(tmp_path) == ["tmp", "x", "x/data"]


@pytest.mark.usefixtures("_here")
def test_where_memory_runs_out_a_smaller_part_of_the_batch_fits(places, monkeypatch):
    real = Rehearsal.step

    def step(self, batch, at_a_time):
        if min(at_a_time, len(batch.targets)) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        real(self, batch, at_a_time)

    monkeypatch.setattr(Rehearsal, "step", step)
    done = run_cli(*DRY, "--dry-run-iterations=1", *places)
    assert done.returncode == 0, done.stderr
    assert "out of memory at 2 clips" in done.stdout
    assert "does not run: ifc M=8 (out of memory at 2 clips)" in done.stdout
    [fitting] = [line for line in done.stdout.splitlines() if "| with " in line]
    assert fitting.split("|")[3].strip() == "1"
    assert "does not run" not in fitting


def test_a_plan_without_trainings_says_so(places, tmp_path):
    done = run_cli("plan", "table1", "--preset=smoke", "--device=cpu", "--dry-run", *places)
    assert (done.returncode, done.stderr) == (0, "")
    assert "dry run: there is no training among the work" in done.stdout
    assert left(tmp_path) == ["tmp"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plan", "--dry-run-iterations=2"), "--dry-run-iterations: has no effect without"),
        ((*DRY, "--dry-run-iterations=0"), "--dry-run-iterations"),
        (("plan", "--device=cuda:77", "--dry-run"), "--device: 'cuda:77' does not exist"),
        (("plan", "--preset=paper", "--dry-run"), "--data: preset paper needs the directory"),
        ((*DRY, "--data=nowhere"), "--data: nowhere has no folder"),
    ],
)
def test_bad_input_is_one_line_before_any_work(arguments, message, refusal):
    assert message in refusal(*arguments, "--results=r", "--runs=u")


@pytest.mark.usefixtures("_here")
def test_a_gpu_that_torch_cannot_use_is_one_line(places, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("torch can use the GPU of this machine")
    monkeypatch.setattr("ifc_bench.cli.machine.resolve_devices", lambda asked: ("cuda:0",))
    done = run_cli(*DRY, *places)
    assert "--device: cuda:0 exists, but torch" in one_line_error(done)


def test_an_interrupt_leaves_nothing(tmp_path, places):
    """Also none of the temporary files of the process that measures."""
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(
        [sys.executable, "run_ablations.py", *DRY, "--dry-run-iterations=1000", *places],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "tmp").glob("ifc-bench-dry-run-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    time.sleep(3)  # the other process has started
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert left(tmp_path) == ["tmp", "x", "x/data"]


def test_without_it_no_torch_is_imported():
    script = (
        "import sys\n"
        "from ablations import PRESETS, TABLES\n"
        "from ifc_bench.cli import main\n"
        "assert main(TABLES, PRESETS, ['plan', 'table3a', '--preset=smoke', '--device=cpu']) == 0\n"
        "assert main(TABLES, PRESETS, ['plan', '--dry-run-iterations=1']) == 2\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("_here")
def test_a_folder_in_the_youtube_vis_format(data_folder, places, tmp_path, capsys):
    options = [*DRY, "--dry-run-iterations=1", f"--data={data_folder}", "--window=3", *places]
    assert main(TABLES, PRESETS, options) == 0
    printed = capsys.readouterr().out
    assert "32x48" in printed
    assert "| checkpoints | 2 " in printed
    assert not (tmp_path / "r").exists()
