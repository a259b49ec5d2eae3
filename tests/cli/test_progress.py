"""A sweep tells what stands still and what went wrong, and where."""

import io
import re
import time

import pytest
from rich.console import Console

from ablations import PRESETS, TABLES
from ifc_bench.cli.progress import StallWatch
from ifc_bench.cli.sweep_display import SweepDisplay, fault
from ifc_bench.config import Training
from ifc_bench.records import Device, Provenance, Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Job, Plan, make_plan
from ifc_bench.sweep.tasks import Event
from tests.conftest import tiny_model


@pytest.fixture
def training() -> Training:
    stage = PRESETS["smoke"].video
    return Training(model=tiny_model(), optimisation=stage.optimisation, data=stage.data, seed=0)


def failed(work: Training, error: str | None, status: str = "failed") -> Record:
    origin = Provenance(
        created="2026-01-01T00:00:00+00:00",
        git_revision=None,
        git_dirty=None,
        python="3.11",
        platform="a platform",
        packages={},
        device=Device(kind="cpu", name="a processor"),
    )
    return Record(
        id=work.id,
        status=status,
        work=work,
        attention="materialised",
        split_hash=None,
        provenance=origin,
        error=error,
    )


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_gives_no_sign_is_told_and_told_again():
    said: list[str] = []
    with StallWatch(said.append, quiet=0.1) as stalls:
        stalls.heard("a", "IFC seed 0: train 3/10")
        stalls.heard("b", "No Comm seed 0: train 2/10")
        stalls.ended("b")
        wait_for(lambda: len(said) >= 2)
    assert all(line.startswith("IFC seed 0: train 3/10: no progress for") for line in said)


def test_what_moves_is_not_told():
    said: list[str] = []
    with StallWatch(said.append, quiet=5.0) as stalls:
        stalls._over.wait = lambda seconds: time.sleep(0.001)  # look a thousand times a second
        for _ in range(20):
            stalls.heard("a", "moving")
            time.sleep(0.005)
        stalls._over.wait = lambda seconds: True
    assert said == []


def display(tmp_path, **changes) -> tuple[SweepDisplay, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, width=200)
    return SweepDisplay(console, planned(), Store(tmp_path / "r", tmp_path / "u"), **changes), out


def planned() -> Plan:
    """A sweep of two trainings with one evaluation each."""
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1, "windows": (5,)})
    device = Device(kind="cpu", name="a processor")
    return make_plan([TABLES["table3d"](preset)], preset, device)


def test_a_worker_that_stands_still_is_named_in_a_log_file(tmp_path, training):
    shown, out = display(tmp_path, quiet=0.1)
    with shown:
        shown.tell(Job(training, ()), Event(0, "train", 12, 340))
        wait_for(lambda: "no progress for" in out.getvalue())
    assert "ifc M=2 seed 0: train 12/340: no progress for" in out.getvalue()
    assert "Ctrl-C stops, the same command continues" in out.getvalue()


def test_a_log_file_gets_a_line_now_and_then(tmp_path, training):
    shown, out = display(tmp_path, line_every=0.0)
    with shown:
        for done in (1, 2, 3):
            shown.tell(Job(training, ()), Event(0, "train", done, 340))
            time.sleep(0.01)
    lines = [line[9:] for line in out.getvalue().splitlines()]
    assert lines[0] == "[0/2] ifc M=2 seed 0: train 1/340"
    assert re.fullmatch(r"\[0/2\] ifc M=2 seed 0: train 2/340 \([\d.]+/s, \d+ s left\)", lines[1])


def test_a_line_is_on_all_running_tasks_and_rare(tmp_path):
    jobs = planned().jobs(Store(tmp_path, tmp_path))
    shown, out = display(tmp_path, line_every=0.2)
    with shown:
        for done in range(60):
            for number, job in enumerate(jobs):
                shown.tell(job, Event(number, "train", done + 1, 4000, loss=1.25))
            time.sleep(0.01)
    lines = out.getvalue().splitlines()
    assert 1 <= len(lines) <= 5
    assert lines[-1].count("train") == 2
    assert "loss 1.250" in lines[-1]


def test_the_time_left_goes_by_what_was_measured(tmp_path):
    first, second = planned().jobs(Store(tmp_path, tmp_path))
    shown, _ = display(tmp_path)
    shown.tell(first, Event(0, "train", 0, 4))
    assert shown._left() == "", "nothing is known yet"
    shown.begun -= 600.0
    shown.tell(first, Event(0, "end", records=(failed(first.training, None),)))
    assert shown._left() == "about 10 min left", "two tasks alike, one is done"
    shown.tell(second, Event(1, "train", 2, 4))
    left = shown._left()
    assert left.startswith("about ")
    assert int(left.split()[1]) < 10


def test_a_bug_in_a_users_module_is_told_with_its_place_and_record(tmp_path, training):
    error = (
        "Traceback (most recent call last):\n"
        f'  File "{tmp_path}/token_shift.py", line 9, in across\n'
        "    return tokens.shap\n"
        f'  File "{io.__file__}", line 1, in open\n'
        "AttributeError: 'Tensor' object has no attribute 'shap'\n"
    )
    shown, out = display(tmp_path)
    with shown:
        record = failed(training, error)
        shown.tell(Job(training, ()), Event(0, "end", records=(record,)))
    told = out.getvalue()
    assert "token_shift.py:9, in across: AttributeError: 'Tensor' object" in told
    assert str(tmp_path / "r" / "trainings" / f"{training.id}.json") in told


def test_an_error_of_ours_is_told_without_a_place(training):
    from ifc_bench import store

    error = f'File "{store.__file__}", line 3, in save\nValueError: no'
    assert fault(failed(training, error)) == "ValueError: no"


def test_control_characters_of_an_error_do_not_reach_the_terminal(tmp_path, training):
    shown, out = display(tmp_path)
    with shown:
        record = failed(training, "ValueError: \x1b[2J gone")
        shown.tell(Job(training, ()), Event(0, "end", records=(record,)))
    assert r"ValueError: \x1b[2J gone" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_parameters_that_the_initial_weights_lack_are_named_by_their_part(training, tmp_path):
    lacking = ["memory", "communication.gather.0.norm.weight", "communication.gather.1.norm.bias"]
    result = TrainingResult(
        loss=[1.0],
        loss_parts={},
        accuracy_curve=[],
        parameters=9,
        wall_seconds=1.0,
        new_parameters=lacking,
    )
    record = failed(training, None).model_copy(update={"status": "ok", "result": result})
    out = io.StringIO()
    shown = SweepDisplay(Console(file=out, width=200), planned(), Store(tmp_path, tmp_path))
    shown.tell(Job(training, ()), Event(0, "end", records=(record,)))
    assert (
        "missing from its initial weights (3 parameters): memory, communication.gather\n"
        in out.getvalue()
    )
