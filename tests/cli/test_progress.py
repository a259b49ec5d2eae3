"""A sweep tells what stands still and what went wrong, and where."""

import io
import time

import pytest
from rich.console import Console

from ablations import PRESETS
from ifc_bench.cli.progress import StallWatch, SweepDisplay, fault
from ifc_bench.config import Training
from ifc_bench.records import Device, Provenance, Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep.plan import Job
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
    return SweepDisplay(console, 1, Store(tmp_path / "r", tmp_path / "u"), **changes), out


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
    assert [line[9:] for line in out.getvalue().splitlines()] == [
        "ifc M=2 seed 0: train 2/340",
        "ifc M=2 seed 0: train 3/340",
    ]


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
    display = SweepDisplay(Console(file=out, width=200), 1, Store(tmp_path, tmp_path))
    display.tell(Job(training, ()), Event(0, "end", records=(record,)))
    assert (
        "missing from its initial weights (3 parameters): memory, communication.gather\n"
        in out.getvalue()
    )
