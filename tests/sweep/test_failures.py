"""What hangs, runs out of memory or crashes ends alone, with its reason; devices are shared out."""

import gc
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from multiprocessing.connection import Connection

import pytest

from ablations import PRESETS, TABLES
from ifc_bench.hardware import device as devices
from ifc_bench.records import Device, Record, TrainingResult
from ifc_bench.store import Store
from ifc_bench.sweep import local, pace, scheduler
from ifc_bench.sweep.executor import Ending, Slot
from ifc_bench.sweep.local import Local
from ifc_bench.sweep.plan import Job, make_plan
from ifc_bench.sweep.scheduler import failure
from ifc_bench.sweep.tasks import Event, Settings
from tests.conftest import ROOT, one_line_error, run_cli
from tests.sweep.test_executors import do_all, done

ONE = Settings(("cpu",), threads=1, workers=1)
FOUR = Settings(("cuda:0", "cuda:1", "cuda:2", "cuda:3"), threads=1, workers=4)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


def planned(seeds: int = 1):
    preset = PRESETS["smoke"].model_copy(update={"seeds": seeds, "windows": (5,)})
    return make_plan([TABLES["table3d"](preset)], preset, Device(kind="cpu", name="cpu", threads=1))


def run(plan, store, body, monkeypatch, settings=ONE):
    """The outcome and the events of a plan whose processes run `body`."""
    events: list[Event] = []
    monkeypatch.setattr(local, "_work", body)
    outcome = scheduler.run(plan, store, settings, lambda task, event: events.append(event))
    return outcome, events


def hang_in_the_last(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    """Four tasks take a moment; the fifth stands still, as after SIGSTOP."""
    channel.send(Event(number, "begin", work=task.training))
    if number == 4:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.05)
    channel.send(Event(number, "end", records=do_all(task, store)))


def test_what_hangs_is_ended_once_the_pace_is_known_and_the_rest_goes_on(store, monkeypatch):
    monkeypatch.setattr(pace, "_LEAST_SECONDS", 3.0)
    plan = planned(seeds=3)
    begun = time.monotonic()
    outcome, events = run(plan, store, hang_in_the_last, monkeypatch)
    assert time.monotonic() - begun < 60
    late = [record for record in outcome.failures if record.status == "timed_out"]
    assert [record.id for record in late] == [plan.trainings[4].id]
    assert "ten times what such work took here" in (late[0].error or "")
    assert [event.task for event in events if event.stage == "end"] == list(range(6))
    assert len(plan.jobs(store)) == 0, "it is not tried again unasked"
    assert len(plan.jobs(store.retrying("timed_out"))) == 1


def test_there_is_no_limit_before_three_pieces_are_done(store):
    clock = pace.Pace(PRESETS["smoke"], store)
    training = planned().trainings[0]
    task = Job(training, ())
    for piece in range(3):
        clock.begin(piece, task, training)
        assert clock.overdue(piece) is None
        clock.end(piece, well=True)
    assert len(clock.ratios["training"]) == 3
    clock.begin(9, task, training)
    work, started, expected, fresh = clock._begun[9]
    clock._begun[9] = (work, started - 3600, expected, fresh)
    late, minutes = clock.overdue(9)
    assert late == training
    assert minutes == pytest.approx(1.0)
    clock.end(9, well=False)
    assert len(clock.ratios["training"]) == 3, "what failed says nothing about the pace"


def fill_memory(
    number: int, task: Job, store: Store, settings: Settings, channel: Connection
) -> None:
    channel.send(Event(number, "begin", work=task.training))
    if number == 0:
        kept = bytearray(800 << 20)
        time.sleep(60)
        del kept
    channel.send(Event(number, "end", records=do_all(task, store)))


def test_a_process_above_the_memory_limit_is_out_of_memory(store, monkeypatch):
    limited = replace(ONE, memory_limit=700 << 20)
    outcome, _ = run(planned(), store, fill_memory, monkeypatch, limited)
    [short] = outcome.failures
    assert short.status == "out_of_memory"
    assert "above --memory-limit 0.68" in (short.error or "")
    assert {record.status for record in store.records()} == {"out_of_memory", "ok"}


class Fake:
    """An executor whose tasks run out of memory on devices below `needed` bytes."""

    def __init__(self, slots, store, needed=0, crowded=False, do=do_all):
        import queue

        self._slots, self.store, self.needed, self.crowded = slots, store, needed, crowded
        self.do = do
        self.inbox = queue.Queue()
        self.at: dict[int, Slot] = {}
        self.started: list[tuple[int, str, bool]] = []
        self.most: dict[str, int] = {}  # tasks at a time, by device

    def slots(self):
        return self._slots

    def start(self, number, task, slot, again):
        neighbours = [one for one in self.at.values() if one.device == slot.device]
        self.at[number] = slot
        self.started.append((number, slot.device, again))
        self.most[slot.device] = max(self.most.get(slot.device, 0), len(neighbours) + 1)
        short = (slot.memory or 0) < self.needed or (self.crowded and neighbours)
        store = self.store.retrying("out_of_memory") if again else self.store
        self.inbox.put((number, Event(number, "begin", work=task.training)))
        if short:
            records = (failure(task.training, Ending("out_of_memory", "full"), ONE),)
            store.save(records[0])
        else:
            records = self.do(task, store)
        self.inbox.put((number, Event(number, "end", records=records)))

    def release(self, number):
        del self.at[number]

    def stop(self):
        return iter(())


def scheduled(plan, store, monkeypatch, fake, settings):
    monkeypatch.setattr(scheduler, "executor_of", lambda *_: fake)
    return scheduler.run(plan, store, settings, lambda task, event: None)


def test_tasks_are_spread_over_the_devices(store, monkeypatch):
    plan = planned(seeds=4)
    slots = tuple(Slot(n, device) for n, device in enumerate(FOUR.devices))
    fake = Fake(slots, store)
    scheduled(plan, store, monkeypatch, fake, FOUR)
    assert len(fake.started) == len(plan.trainings) == 8
    assert {device for _, device, _ in fake.started[:4]} == set(FOUR.devices)
    assert set(fake.most.values()) == {1}, "one to a device"


def test_out_of_memory_is_tried_again_where_there_is_more(store, monkeypatch):
    plan = planned()
    slots = (Slot(0, "cuda:0", 11 << 30), Slot(1, "cuda:1", 32 << 30))
    fake = Fake(slots, store, needed=20 << 30)
    outcome = scheduled(plan, store, monkeypatch, fake, replace(FOUR, devices=("cuda:0", "cuda:1")))
    short = {number for number, device, _ in fake.started if device == "cuda:0"}
    assert short
    for number in short:
        assert (number, "cuda:1", True) in fake.started
    assert {store.load(work).status for work in plan.trainings} == {"ok"}
    assert plan.missing(store) == []
    assert {record.status for record in outcome.failures} == {"out_of_memory"}, "and it is told"


def test_out_of_memory_on_the_largest_device_stays(store, monkeypatch):
    plan = planned()
    fake = Fake((Slot(0, "cuda:0", 11 << 30),), store, needed=20 << 30)
    scheduled(plan, store, monkeypatch, fake, replace(FOUR, devices=("cuda:0",)))
    assert len(fake.started) == len(plan.trainings)
    assert {store.load(work).status for work in plan.trainings} == {"out_of_memory"}


def test_out_of_memory_beside_a_neighbour_is_tried_again_alone(store, monkeypatch):
    plan = planned(seeds=2)
    slots = tuple(Slot(n, "cuda:0", 32 << 30) for n in range(2))
    fake = Fake(slots, store, crowded=True)
    scheduled(plan, store, monkeypatch, fake, replace(FOUR, devices=("cuda:0",), workers=2))
    assert any(again for *_, again in fake.started)
    assert {store.load(work).status for work in plan.trainings} == {"ok"}


def where(number: int, task: Job, store: Store, settings: Settings, channel: Connection) -> None:
    """Note the device that a process was given."""
    with (store.runs / "where").open("a") as file:
        file.write(f"{settings.device}\n")
    time.sleep(0.3)
    channel.send(Event(number, "end", records=do_all(task, store)))


def test_processes_are_pinned_to_four_virtual_gpus(store, monkeypatch):
    gpus = [Device(kind="cuda", name=f"GPU {n}", memory_bytes=(n + 1) << 30) for n in range(4)]
    monkeypatch.setattr(devices, "_nvml", lambda n: gpus[n] if n < 4 else None)
    devices.describe_device.cache_clear()
    assert devices.resolve_devices("all") == FOUR.devices
    assert [slot.memory for slot in Local(store, FOUR).slots()] == [n << 30 for n in range(1, 5)]
    run(planned(seeds=4), store, where, monkeypatch, FOUR)
    used = (store.runs / "where").read_text().split()
    assert sorted(set(used)) == list(FOUR.devices)
    assert len(used) == 8
    devices.describe_device.cache_clear()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("cuda:0,1", "'cuda:1' does not exist"),
        ("cuda:0,0", "names a GPU twice"),
        ("cuda:0,x", "'cuda:x' is none of"),
        ("cpu:0,1", "'cpu:0' is none of"),
    ],
)
def test_devices_that_cannot_be_used_are_told_in_one_line(asked, message, monkeypatch, tmp_path):
    gpu = Device(kind="cuda", name="GPU 0", memory_bytes=1 << 30)
    monkeypatch.setattr(devices, "_nvml", lambda n: gpu if n == 0 else None)
    refused = run_cli("plan", "table3d", f"--device={asked}", f"--runs={tmp_path}")
    assert message in one_line_error(refused)


def test_without_a_gpu_all_is_the_cpu(monkeypatch):
    monkeypatch.setattr(devices, "_nvml", lambda n: None)
    assert devices.resolve_devices("all") == ("cpu",)


def test_a_task_has_a_log_and_inline_has_none(tmp_path):
    chosen = ("run", "table3d", "--preset=smoke", "--seeds=1", "--window=5", "--device=cpu")
    outcomes = []
    for executor in ("local", "inline"):
        places = (f"--results={tmp_path / executor}", f"--runs={tmp_path / executor / 'runs'}")
        finished = run_cli(*chosen, *places, f"--executor={executor}")
        assert finished.returncode == 0, finished.stderr
        outcomes.append(finished.stdout)
    assert outcomes[0] == outcomes[1], "the same numbers in both"
    logs = sorted((tmp_path / "local" / "runs" / "logs").iterdir())
    store = Store(tmp_path / "local", tmp_path / "local" / "runs")
    trained = {record.id for record in store.records("training")}
    assert trained <= {path.stem for path in logs}
    assert all("process" in path.read_text() for path in logs)
    assert not (tmp_path / "inline" / "runs" / "logs").exists()


def test_evaluations_have_a_pace_of_their_own_and_resumed_ones_none(store):
    """Their estimate is off by another factor, and what has half of its videos is fast."""
    plan = planned()
    clock = pace.Pace(PRESETS["smoke"], store)
    task = plan.jobs(store)[0]
    for _ in range(3):
        clock.begin(0, task, task.training)
        clock.end(0, well=True)
    clock.begin(0, task, task.evaluations[0])
    work, started, expected, fresh = clock._begun[0]
    clock._begun[0] = (work, started - 3600, expected, fresh)
    assert clock.overdue(0) is None, "no evaluation is done yet"
    clock.end(0, well=True)
    path = store.predictions_path(task.evaluations[0])
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.partial").touch()
    clock.begin(0, task, task.evaluations[0])
    clock.end(0, well=True)
    assert len(clock.ratios["evaluation"]) == 1


@pytest.mark.parametrize(("options", "at_once"), [((), 2), (("--gpus-per-training=2",), 1)])
def test_a_signal_to_the_whole_group_leaves_checkpoints(options, at_once, tmp_path):
    """As from SLURM, systemd or a closed terminal: runner, server and workers get it at once."""
    store = Store(tmp_path / "r", tmp_path / "x")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "run_ablations.py"), "run", "table3d", "--preset=smoke",
         "--seeds=1", "--window=5", "--iterations=4000", "--device=cpu", "--tensorboard",
         *options, f"--results={store.results}", f"--runs={store.runs}"],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    deadline = time.monotonic() + 60
    while len(list((store.runs / "tensorboard").glob("*/*"))) < at_once:  # all train
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGTERM)
    said = process.stderr.read()
    process.wait(timeout=60)
    assert "kept at iteration" in said
    assert len(list((store.runs / "checkpoints").glob("*.pt"))) == at_once
    assert not store.results.exists() or not list(store.records()), "nothing has failed"


def test_what_another_runner_has_just_failed_is_not_tried_again(store, monkeypatch):
    plan = planned()
    settings = replace(FOUR, devices=("cuda:0",), workers=1)
    fake = Fake((Slot(0, "cuda:0", 1 << 30),), store)
    known = scheduler.Claims.take

    def fail_first(claims, key):
        if not fake.started:  # the other runner was at it until now
            store.save(failure(plan.trainings[0], Ending("failed", "a bug"), ONE))
        return known(claims, key)

    monkeypatch.setattr(scheduler.Claims, "take", fail_first)
    scheduled(plan, store, monkeypatch, fake, settings)
    assert [number for number, *_ in fake.started] == [1]
    assert len(plan.jobs(store)) == 1, "the next run does it again"


def long_curves(task: Job, store: Store) -> tuple[Record, ...]:
    """Save the records of a whole job, with a curve of 20,000 losses."""
    curve = TrainingResult(
        loss=[float(n) for n in range(20_000)], loss_parts={}, accuracy_curve=[], parameters=1,
        wall_seconds=1.0,
    )  # fmt: skip
    store.save(done(task.training).model_copy(update={"result": curve}))
    return do_all(task, store)


def test_a_sweep_keeps_no_results_in_memory(store, monkeypatch):
    """Each would take 640 kB; a long sweep's runner would grow with every piece."""
    plan = planned(seeds=25)
    fake = Fake((Slot(0, "cpu"),), store, do=long_curves)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    scheduled(plan, store, monkeypatch, fake, ONE)
    assert plan.missing(store) == []
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(fake.started) == len(plan.trainings) == 50
    assert grown < 3e6
