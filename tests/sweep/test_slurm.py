"""SLURM's executor through submitit's local cluster: real jobs, in processes of this machine."""

import os
import shlex
import signal
import sys
import threading
import time

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device
from ifc_bench.records import TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep import slurm
from ifc_bench.sweep.plan import make_plan
from ifc_bench.sweep.tasks import Settings
from tests.conftest import ROOT, one_line_error, run_cli

submitit = pytest.importorskip("submitit")
CHOSEN = ("table3d", "--preset=smoke", "--seeds=2", "--window=5", "--device=cpu")


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setattr(slurm, "script", lambda: ROOT / "run_ablations.py")
    monkeypatch.setattr(slurm, "_LOOK_SECONDS", 0.5)


@pytest.fixture
def _no_controller(monkeypatch):
    """Jobs that are made up; one that is installed but not running answers after seconds."""
    monkeypatch.setattr(slurm, "_controlled", lambda job: None)


@pytest.fixture
def places(tmp_path):
    return (f"--results={tmp_path / 'results'}", f"--runs={tmp_path / 'runs'}")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def planned(seeds: int = 2):
    preset = PRESETS["smoke"].model_copy(update={"seeds": seeds, "windows": (5,)})
    return make_plan([TABLES["table3d"](preset)], preset, describe_device("cpu", 1))


def test_two_jobs_share_a_sweep_and_the_table_is_printed(places, store):
    done = run_cli(
        "run", *CHOSEN, *places, "--executor=slurm", "--slurm=cluster=local", "--workers=2"
    )
    assert done.returncode == 0, done.stderr
    assert "submitted: " in done.stderr
    assert "4 of 4 trainings, 4 of 4 evaluations" in done.stderr
    assert "Table 3(d)" in done.stdout
    assert {record.status for record in store.records()} == {"ok"}
    assert all(isinstance(r.result, TrainingResult) for r in store.records("training"))
    logs = [path.read_text() for path in (store.runs / "slurm").glob("*.err")]
    assert len(logs) == 2
    assert list(store.claims().iterdir()) == []


def test_a_controller_is_not_asked_of_processes_of_this_machine(places, store, monkeypatch):
    """With cluster=local; one that does not run would hold up every look at the jobs."""
    monkeypatch.setattr(slurm, "_controlled", lambda job: pytest.fail("asked"))
    jobs = slurm._submitted(store, Settings(("cpu",), 1, 1, slurm=("cluster=local",)), ["true"])
    assert slurm.state_of(jobs[0]) in ("RUNNING", "FINISHED")
    jobs[0].cancel()


def test_an_interrupt_cancels_the_jobs_and_the_same_call_goes_on(places, store, monkeypatch):
    monkeypatch.setattr(slurm, "_LOOK_SECONDS", 0.1)  # the trainings take seconds
    plan = planned()
    settings = Settings(("cpu",), threads=1, workers=1, executor="slurm", slurm=("cluster=local",))
    said: list[str] = []

    def interrupt(text: str) -> None:
        said.append(text)
        if any(f"{count} of 4 trainings" in text for count in (0, 1, 2, 3)):
            raise KeyboardInterrupt

    given = ("run", *CHOSEN, *places)
    with pytest.raises(KeyboardInterrupt):
        slurm.run_on_slurm(plan, store, settings, given, interrupt)
    assert "cancelled the jobs" in said[-1]
    assert len(plan.jobs(store)) > 0
    outcome = slurm.run_on_slurm(plan, store, settings, given, said.append)
    assert outcome.errors == []
    assert plan.jobs(store) == []


class Job:
    """A job of SLURM's, in one state."""

    def __init__(self, state: str) -> None:
        self.state, self.job_id = state, "7_0"
        self.paths = type("Paths", (), {"stderr": "7_0.err"})

    def result(self) -> None:
        raise AssertionError("a job's result is never trusted")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("PREEMPTED", "another job took its node"),
        ("TIMEOUT", "raise --slurm time="),
        ("NODE_FAIL", "its node failed"),
        ("OUT_OF_MEMORY", "raise --slurm mem="),
        ("CANCELLED by 1000", "CANCELLED: it was cancelled"),
        ("FAILED", "see 7_0.err"),
    ],
)
@pytest.mark.usefixtures("_no_controller")
def test_endings_are_told_apart_and_name_the_way_back(state, words, store, monkeypatch):
    monkeypatch.setattr(slurm, "_submitted", lambda *_: [Job(state)])
    settings = Settings(("cpu",), 1, 1, executor="slurm")
    outcome = slurm.run_on_slurm(planned(), store, settings, ("run",), lambda text: None)
    [error] = outcome.errors
    assert words in error
    assert "run the same command again" in error


@pytest.mark.usefixtures("_no_controller")
def test_a_finished_job_is_believed_by_its_records(store, monkeypatch):
    """No records after a job that "completed" is no error of the job; the run is incomplete."""
    monkeypatch.setattr(slurm, "_submitted", lambda *_: [Job("COMPLETED")])
    settings = Settings(("cpu",), 1, 1, executor="slurm")
    outcome = slurm.run_on_slurm(planned(), store, settings, ("run",), lambda text: None)
    assert outcome.errors == []
    assert planned().missing(store)


def test_a_runner_gets_the_command_without_what_is_the_clusters():
    given = (
        "run", "table3a", "--executor", "slurm", "--slurm=gres=gpu:1", "--slurm", "time=1:00:00",
        "--workers=8", "--preset=paper",
    )  # fmt: skip
    command = slurm.runner_command(given)
    assert command[0] == sys.executable
    assert command[2:] == ["run", "table3a", "--preset=paper", "--executor=local"]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [("90", 90), ("90:30", 91), ("24:00:00", 1440), ("1-12:00:00", 2160), ("2-0", 2880)],
)
def test_a_time_limit_is_minutes_to_submitit(limit, minutes):
    assert slurm._typed("time", limit) == minutes


def test_a_job_that_the_controller_has_forgotten_is_still_over(store, monkeypatch):
    """Two jobs: the first is purged before the second ends."""
    words = iter(["CANCELLED", "RUNNING", "COMPLETED"])
    monkeypatch.setattr(slurm, "_submitted", lambda *_: [Job(""), Job("")])
    monkeypatch.setattr(slurm, "state_of", lambda job: next(words))
    settings = Settings(("cpu",), 1, 2, executor="slurm")
    outcome = slurm.run_on_slurm(planned(), store, settings, ("run",), lambda text: None)
    assert len(outcome.errors) == 1


def test_a_runner_stops_its_command_before_a_preemption():
    """The warning of SLURM itself, SIGUSR2, does not end the command."""
    runner = slurm.Runner()
    command = [sys.executable, "-c", "import time; print('on', flush=True); time.sleep(60)"]
    thread = threading.Thread(target=runner, args=(command,))
    thread.start()
    while runner.process is None:
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(runner.process.pid, signal.SIGUSR2)
    time.sleep(0.3)
    assert runner.process.poll() is None
    begun = time.monotonic()
    runner.checkpoint(command)
    assert time.monotonic() - begun < 10
    thread.join(timeout=10)
    assert runner.process.returncode == -signal.SIGTERM


def test_a_script_for_sbatch(places):
    done = run_cli(
        "plan", "table3a", "--sbatch=8", "--preset=quick", *places,
        "--slurm=gres=gpu:v100:1", "--slurm=time=24:00:00", "--slurm", "constraint=v100",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "#!/bin/bash"
    for wanted in (
        "#SBATCH --array=0-7", "#SBATCH --gres=gpu:v100:1", "#SBATCH --time=24:00:00",
        "#SBATCH --constraint=v100", "#SBATCH --signal=TERM@120", "#SBATCH --requeue",
    ):  # fmt: skip
        assert wanted in lines
    words = shlex.split(lines[-1])
    assert words[:3] == ["srun", sys.executable, str(ROOT / "run_ablations.py")]
    assert words[3:] == ["run", "table3a", "--preset=quick", *places, "--executor=local"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--executor=slurm", "--slurm=gres"), "'gres' is not KEY=VALUE"),
        (("--slurm=gres=gpu:1",), "--slurm: has no effect without --executor slurm"),
        (("--executor=slurm", "--slurm=cluster=moon"), "the jobs were refused"),
    ],
)
def test_bad_options_are_one_line(options, message, places):
    assert message in one_line_error(run_cli("run", *CHOSEN, *places, *options))


def test_without_slurm_there_is_one_line(places, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    refused = run_cli("run", *CHOSEN, *places, "--executor=slurm")
    assert "--executor slurm: the jobs were refused" in one_line_error(refused)


def test_a_command_without_a_script_is_refused(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["-c"])
    with pytest.raises(UserError, match="is not a script"):
        slurm.script()
