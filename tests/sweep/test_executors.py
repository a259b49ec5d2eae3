"""Processes that are killed, hang or get bad input: the sweep never hangs and hides no failure."""

import errno
import os
import signal
import struct
import tempfile
import threading
import time
from multiprocessing.connection import Connection

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.config import Evaluation, NoComm
from ifc_bench.errors import Stopped, UserError
from ifc_bench.measuring.isolation import ending, measuring
from ifc_bench.records import Device, EvaluationResult, Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep import local, scheduler
from ifc_bench.sweep.executor import Ending
from ifc_bench.sweep.plan import Job, make_plan
from ifc_bench.sweep.tasks import Event, Settings
from ifc_bench.sweep.worker import Worker

SETTINGS = Settings(("cpu",), threads=1, workers=2)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


@pytest.fixture
def plan():
    preset = PRESETS["smoke"].model_copy(update={"seeds": 1})
    device = Device(kind="cpu", name="cpu", threads=1)
    return make_plan([TABLES["table3d"](preset)], preset, device)


def run(plan, store, body, monkeypatch, settings=SETTINGS):
    """Return the outcome and the events of a plan whose processes run `body`."""
    events: list[Event] = []
    monkeypatch.setattr(local, "_work", body)
    outcome = scheduler.run(plan, store, settings, lambda task, event: events.append(event))
    return outcome, events


def done(work) -> Record:
    """Return a record of successful work with only the required fields."""
    result = (
        EvaluationResult(
            metrics={"AP": 0.5}, by_class={}, by_situation={}, videos=1, frames=1, tracks=1,
            wall_seconds=1.0,
        )
        if isinstance(work, Evaluation)
        else TrainingResult(
            loss=[1.0], loss_parts={}, accuracy_curve=[], parameters=1, wall_seconds=1.0
        )
    )  # fmt: skip
    record = scheduler.failure(work, Ending("failed", ""), SETTINGS)
    return record.model_copy(update={"status": "ok", "error": None, "result": result})


def die_while_reporting(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    """The first process is killed in the middle of a message; the other reports its end."""
    if number == 0:
        channel.send(Event(0, "begin", work=task.training))
        os.write(channel.fileno(), struct.pack("!i", 1 << 20) + b"half of a message")
        os.kill(os.getpid(), signal.SIGKILL)
    channel.send(Event(number, "end"))


def test_a_process_killed_while_it_reports_hangs_nothing(plan, store, monkeypatch):
    outcome, events = run(plan, store, die_while_reporting, monkeypatch)
    assert [record.status for record in outcome.failures] == ["killed"]
    assert "killed by SIGKILL, often for lack of memory" in (outcome.failures[0].error or "")
    assert sorted(event.task for event in events if event.stage == "end") == [0, 1]
    assert store.load(plan.jobs(store)[0].training).status == "killed"


def die_in_the_first_evaluation(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    """Train, then crash in the evaluation at T = 5; all other evaluations work."""
    if store.load(task.training) is None:
        store.save(done(task.training))
    records = []
    for evaluation in task.evaluations:
        channel.send(Event(number, "begin", work=evaluation))
        if evaluation.window == 5:
            os.kill(os.getpid(), signal.SIGSEGV)
        records.append(done(evaluation))
        store.save(records[-1])
    channel.send(Event(number, "end", records=tuple(records)))


def test_a_death_in_an_evaluation_is_that_evaluations_and_the_others_are_done(
    plan, store, monkeypatch
):
    outcome, events = run(plan, store, die_in_the_first_evaluation, monkeypatch)
    failed = [record for record in outcome.failures if record.status == "failed"]
    assert all(isinstance(record.work, Evaluation) for record in failed)
    assert [record.work.window for record in failed] == [5, 5]
    assert all("killed by SIGSEGV" in (record.error or "") for record in failed)
    assert [event.stage for event in events if event.records] == ["again", "again", "end", "end"]
    assert {e.window for e in plan.evaluations if store.done(e)} == {10}


def bad_input_for_the_first(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    error = "x.pt: not a readable checkpoint" if number == 0 else None
    channel.send(Event(number, "end", error=error))


def test_bad_input_of_one_task_stops_only_that(plan, store, monkeypatch):
    one = Settings(("cpu",), threads=1, workers=1)
    outcome, events = run(plan, store, bad_input_for_the_first, monkeypatch, one)
    assert outcome.errors == ["x.pt: not a readable checkpoint"]
    assert [event.task for event in events if event.stage == "end"] == [0, 1]


def full_disk(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    channel.send(Event(number, "end", error="x.pt: no space left on device", fatal=True))


def test_a_full_disk_stops_all(plan, store, monkeypatch):
    one = Settings(("cpu",), threads=1, workers=1)
    outcome, events = run(plan, store, full_disk, monkeypatch, one)
    assert outcome.errors == ["x.pt: no space left on device"]
    assert [event.task for event in events if event.stage == "end"] == [0]


def do_all(task: Job, store: Store) -> tuple[Record, ...]:
    """Save the records of a whole job, and a checkpoint."""
    records = tuple(done(work) for work in (task.training, *task.evaluations))
    for record in records:
        store.save(record)
    path = store.checkpoint_path(task.training)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return records


def train_for_a_while(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    """Leave a trace of each piece; the runner's number is in the settings."""
    with (store.runs / "trace").open("a") as file:
        file.write(f"{settings.threads} {task.training.id}\n")
    time.sleep(0.5)
    channel.send(Event(number, "end", records=do_all(task, store)))


def test_two_runners_share_the_work_and_do_each_piece_once(store, monkeypatch):
    preset = PRESETS["smoke"].model_copy(update={"seeds": 3})
    device = Device(kind="cpu", name="cpu", threads=1)
    plan = make_plan([TABLES["table3d"](preset)], preset, device)
    monkeypatch.setattr(local, "_work", train_for_a_while)
    heard: dict[int, list[str]] = {1: [], 2: []}
    made: list[str] = []

    def runner(name: int) -> None:
        def note(task, event) -> None:
            heard[name].append(event.stage)
            made.extend(record.id for record in event.records)

        scheduler.run(plan, store, Settings(("cpu",), threads=name, workers=1), note)

    runners = [threading.Thread(target=runner, args=(name,)) for name in heard]
    for one in runners:
        one.start()
    for one in runners:
        one.join()
    lines = (store.runs / "trace").read_text().split()
    by, pieces = lines[::2], lines[1::2]
    assert sorted(pieces) == sorted(training.id for training in plan.trainings)
    assert set(by) == {"1", "2"}, "both had their share"
    assert plan.jobs(store) == []
    assert len(made) == len(set(made)) == len(plan.trainings) + len(plan.evaluations)
    for stages in heard.values():
        assert stages.count("end") == len(plan.trainings), "each knows of all pieces"
    assert list(store.claims().iterdir()) == []


def test_a_training_starts_when_its_own_start_is_done_and_not_those_of_other_seeds(
    store, monkeypatch
):
    preset = PRESETS["smoke"].model_copy(
        update={"seeds": 2, "pretrain": True, "pretrain_seeds": True, "pretrain_module": NoComm()}
    )
    device = Device(kind="cpu", name="cpu", threads=1)
    plan = make_plan([TABLES["table3d"](preset)], preset, device)
    order = [(one.seed, one.data.frames) for one in plan.trainings]
    assert order == [(0, 1), (0, 20), (0, 20), (1, 1), (1, 20), (1, 20)], "seed by seed"
    _, events = run(plan, store, train_for_a_while, monkeypatch)
    assert len(list(store.records())) == 6 + len(plan.evaluations)
    jobs = [event.task for event in events if event.stage == "starting"]
    ends = [event.task for event in events if event.stage == "end"]
    assert jobs[:2] == [0, 3], "both trainings on images first"
    assert sorted(jobs) == sorted(ends) == list(range(6))
    place = {(e.stage, e.task): n for n, e in enumerate(events) if e.stage in ("starting", "end")}
    for before, after in ((0, 1), (0, 2), (3, 4), (3, 5)):
        assert place["end", before] < place["starting", after]


class Channel(list):
    send = list.append


@pytest.mark.parametrize(
    ("error", "stage", "message", "fatal"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x.pt"), "end", "no space", True),
        (OSError(errno.EACCES, "Permission denied", "x.json"), "end", "permission denied", False),
        (UserError("data: broken"), "end", "data: broken", False),
        (ValueError("a bug"), "end", "internal error", False),
        (Stopped("kept at iteration 3 of 6"), "kept", "kept at iteration 3 of 6", False),
    ],
)
def test_a_process_reports_its_end(error, stage, message, fatal, store, plan, monkeypatch):
    def fail(*_):
        raise error

    channel = Channel()
    usual = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(Worker, "job", fail)
    try:
        local._work(0, plan.jobs(store)[0], store, SETTINGS, channel)
    finally:
        signal.signal(signal.SIGTERM, usual)
    assert (channel[-1].stage, channel[-1].fatal) == (stage, fatal)
    assert message in channel[-1].error


def test_a_full_disk_in_a_training_is_no_failed_training(store, plan, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x.pt")

    monkeypatch.setattr("ifc_bench.sweep.train.Trainer", full)
    worker = Worker(store, "cpu", 1, lambda *_: None)
    with pytest.raises(OSError, match="No space"):
        worker.job(plan.jobs(store)[0])
    assert store.load(plan.trainings[0]) is None


def test_memory_of_the_host_is_out_of_memory(store, plan, monkeypatch):
    import torch

    monkeypatch.setattr("ifc_bench.sweep.train.Trainer", lambda *_: torch.zeros(10**13))
    worker = Worker(store, "cpu", 1, lambda *_: None)
    assert [record.status for record in worker.job(plan.jobs(store)[0])] == ["out_of_memory"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0 before its work was done"),
        (1, "ended with exit code 1"),
        (-9, "killed by SIGKILL, often for lack of memory"),
        (-11, "killed by SIGSEGV"),
        (-15, "killed by SIGTERM"),
    ],
)
def test_an_ending_is_named_by_its_signal(code, words):
    assert words in ending(code)
    assert ("lack of memory" in ending(code)) == (code == -9)


def test_two_runners_do_not_measure_at_the_same_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    waiting, held = threading.Event(), threading.Event()

    def other():
        with measuring(waiting.set):
            held.set()

    with measuring(lambda: pytest.fail("no other runner measures yet")):
        thread = threading.Thread(target=other)
        thread.start()
        assert waiting.wait(10), "the second runner reports that it waits"
        assert not held.wait(0.2), "and waits"
    thread.join(10)
    assert held.is_set()
