"""Profiles: order, processes, interrupts and lack of memory, mostly with fake processes."""

import os
import platform
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ifc_bench.config import InterFrame, NoComm, NoiseFrames, Profile, Protocol, RandomWeights
from ifc_bench.errors import UserError
from ifc_bench.measuring import profiles
from ifc_bench.measuring.interval import relative_width
from ifc_bench.measuring.isolation import Died, in_process, uninterrupted
from ifc_bench.measuring.process import Measured, OutOfMemory, measure_once
from ifc_bench.measuring.profiles import measure_profiles
from ifc_bench.records import (
    Device,
    GpuFacts,
    GpuLog,
    GpuSamples,
    Memory,
    ProcessSamples,
    ProfileResult,
    Rates,
    Timed,
)
from ifc_bench.store import Store
from tests.conftest import ROOT, tiny_model


def profile(window: int = 5, processes: int = 3, **changes: object) -> Profile:
    work = Profile(
        weights=RandomWeights(model=tiny_model(NoComm()), instances=2),
        footage=NoiseFrames(frames=6, height=32, width=48),
        window=window,
        device="a GPU",
        protocol=Protocol(
            processes=processes,
            min_passes=1,
            min_seconds=0.01,
            max_seconds=0.01,
            scopes=True,
            warm_up_seconds=0.01,
        ),
    )
    return work.model_copy(update=changes)


def samples(place: int, seconds: float = 1.0) -> ProcessSamples:
    return ProcessSamples(
        place=place,
        warmup_wall_seconds=[2.0],
        masks=Timed(wall_seconds=[seconds] * 3, stopped="precise"),
        results=Timed(wall_seconds=[2 * seconds] * 3, stopped="precise"),
        reading_wall_seconds=None,
        scope_seconds=None,
        settings={},
        rates=Rates(macs_per_second=1, bytes_per_second=1),
        memory=Memory(
            weights_bytes=1, peak_allocated_bytes=2, scope_increase_bytes={}, host_rss_bytes=3
        ),
        card=None,
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


@pytest.fixture
def turns(monkeypatch):
    """The (T, place) of every process that ran; `turns.answer` may be replaced."""

    class Turns(list):
        answer = staticmethod(lambda work, place: Measured([6], samples(place)))

    seen = Turns()

    def fake(function, work, store, device, place, first):
        assert function is measure_once
        seen.append((work.window, place))
        return seen.answer(work, place)

    monkeypatch.setattr(profiles, "in_process", fake)
    return seen


def run(works, store):
    return list(measure_profiles(works, store, "cpu", lambda *progress: None))


def test_all_take_turns_and_every_round_begins_one_further(store, turns):
    works = [profile(window) for window in (2, 3, 4)]
    records = run(works, store)
    assert [window for window, _ in turns] == [2, 3, 4, 3, 4, 2, 4, 2, 3]
    assert [place for _, place in turns] == list(range(9))
    assert {r.status for r in records} == {"ok"}
    assert all(store.done(work) for work in works)
    places = [[p.place for p in r.result.processes] for r in records]
    assert sorted(places) == [[0, 5, 7], [1, 3, 8], [2, 4, 6]]


def test_what_another_runner_measured_meanwhile_is_not_measured_again(store, turns, monkeypatch):
    """The other runner measures while this one waits for the lock; its record is kept."""
    mine, shared = profile(2, processes=1), profile(3, processes=1)

    @contextmanager
    def after_the_other(waiting):
        waiting()
        kept = profiles._Kept(revision=None, frames=[6], processes=[samples(0)])
        profiles._record(store, shared, "cpu", kept, None)
        yield

    monkeypatch.setattr(profiles, "measuring", after_the_other)
    shown = []
    records = list(measure_profiles([mine, shared], store, "cpu", lambda *t: shown.append(t[0])))
    assert [record.work for record in records] == [mine]
    assert [window for window, _ in turns] == [2]
    assert shown[0] is None, "waiting is reported first"


def test_profiles_with_fewer_processes_drop_out(store, turns):
    run([profile(2, processes=1), profile(3, processes=3)], store)
    assert [window for window, _ in turns] == [2, 3, 3, 3]


def test_out_of_memory_is_a_record_and_the_others_go_on(store, turns):
    turns.answer = lambda work, place: (
        OutOfMemory([6], 2 << 30, "CUDA out of memory")
        if work.window == 2
        else Measured([6], samples(place))
    )
    lost, kept = sorted(run([profile(2), profile(3)], store), key=lambda r: r.work.window)
    assert lost.status == "out_of_memory"
    assert lost.result == ProfileResult(frames=[6], processes=[], asked_bytes=2 << 30)
    assert kept.status == "ok"
    assert [window for window, _ in turns] == [2, 3, 3, 3], "not tried again"
    assert store.done(lost.work)


def test_memory_that_ran_out_keeps_the_gpus_log(store, turns):
    evidence = GpuLog(facts=GpuFacts(), samples=GpuSamples(), foreign_processes=1, used_bytes=9)
    turns.answer = lambda work, place: OutOfMemory([6], 2, "CUDA out of memory", evidence)
    [record] = run([profile(2)], store)
    assert record.result.evidence == evidence
    assert store.load(profile(2)).result.evidence.foreign_processes == 1


def test_processes_are_added_until_their_interval_is_narrow(store, turns):
    """The first ones differ by 10%; with 1.0 every time the interval shrinks below 3%."""
    protocol = profile().protocol.model_copy(update={"until": 0.03, "most_processes": 30})
    work, other = profile(2, protocol=protocol), profile(3)
    turns.answer = lambda work, place: Measured([6], samples(place, 1.0 if place > 2 else 1.05))
    records = {r.work.window: r.result.processes for r in run([work, other], store)}
    count = len(records[2])
    seconds = [process.masks.wall_seconds[0] for process in records[2]]
    assert 3 < count < 30
    assert relative_width(seconds) <= 0.03 < relative_width(seconds[:-1])
    assert len(records[3]) == 3, "the other row has what was asked for"


def test_a_cap_ends_what_never_gets_narrow_and_failures_end_it_too(store, turns):
    protocol = profile().protocol.model_copy(update={"until": 0.001, "most_processes": 7})
    turns.answer = lambda work, place: Measured([6], samples(place, 1.0 + place % 2))
    [record] = run([profile(2, protocol=protocol)], store)
    assert len(record.result.processes) == 7
    turns.answer = lambda work, place: Died("ended with exit code -9")
    [record] = run([profile(3, protocol=protocol)], store)
    assert record.status == "failed"


def test_energy_is_measured_in_the_first_process_alone(store, monkeypatch):
    firsts = []

    def fake(function, work, store, device, place, first):
        firsts.append(first)
        return Measured([6], samples(place))

    monkeypatch.setattr(profiles, "in_process", fake)
    run([profile(2), profile(3)], store)
    assert firsts == [True, True, False, False, False, False]


def test_arithmetic_that_the_device_lacks_is_refused_before_anything_is_measured(monkeypatch):
    turing = Device(kind="cuda", name="RTX 2080 Ti", compute_capability="7.5")
    monkeypatch.setattr(profiles, "describe_device", lambda device, threads: turing)
    with pytest.raises(UserError, match="bf16 does not exist on RTX 2080 Ti"):
        profiles.require_kernels([profile(), profile(precision="bf16")], "cuda:0")


def test_a_process_that_died_is_a_failure_to_be_tried_again(store, turns):
    turns.answer = lambda work, place: Died("ended with exit code -9")
    [record] = run([profile(2)], store)
    assert (record.status, record.error) == ("failed", "ended with exit code -9")
    assert not store.done(profile(2))


def test_an_interrupted_session_goes_on(store, turns):
    works = [profile(2), profile(3)]

    def stop(work, place):
        if place == 3:
            raise KeyboardInterrupt
        return Measured([6], samples(place))

    turns.answer = stop
    with pytest.raises(KeyboardInterrupt):
        run(works, store)
    assert not store.done(works[0])
    turns.clear()
    turns.answer = lambda work, place: Measured([6], samples(place))
    records = run(works, store)
    assert len(turns) == 3, "three of six were kept"
    assert all(len(r.result.processes) == 3 for r in records)
    assert not [work for work in works if store.samples_path(work).exists()]


def test_all_processes_done_but_no_record_yet(store, turns, monkeypatch):
    """Interrupted between the last process and its record."""
    monkeypatch.setattr(profiles, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run([profile(2, processes=1)], store)
    monkeypatch.undo()
    [record] = run([profile(2, processes=1)], store)
    assert record.status == "ok"


def test_samples_of_other_code_are_not_mixed_in(store, turns):
    work = profile(2)
    path = store.samples_path(work)
    path.parent.mkdir(parents=True)
    kept = profiles._Kept(revision="other", frames=[6], processes=[samples(0)])
    path.write_text(kept.model_dump_json())
    run([work], store)
    assert len(turns) == 3


def test_one_process_for_real(store):
    answer = in_process(measure_once, profile(2), store, "cpu", 4, True)
    assert isinstance(answer, Measured), answer
    found = answer.samples
    assert answer.frames == [6]
    assert found.place == 4
    assert len(found.warmup_wall_seconds) == 2
    for timed in (found.network, found.masks, found.results):
        assert len(timed.wall_seconds) == 3
        assert timed.device_seconds is timed.sm_clock_mhz is None
    assert found.network_graph is None, "a CPU has no CUDA graphs"
    assert found.energy is None
    assert len(found.content) == 16
    scopes = {"backbone", "projection", "encoder", "decoder", "mask_head", "tracker", "output"}
    assert set(found.scope_seconds) == {*scopes, "run_lengths", "other"}
    assert set(found.memory.scope_increase_bytes) == {*scopes, "other"}
    assert found.memory.peak_allocated_bytes > found.memory.weights_bytes > 0
    assert found.memory.host_peak_bytes >= found.memory.host_rss_bytes * 0.99
    assert found.memory.host_rss_bytes > found.memory.peak_allocated_bytes
    assert found.settings["threads"] == 1
    assert found.card is None
    assert found.reading_wall_seconds is None, "noise is not read"


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"window": None}])
def test_other_arithmetic_and_offline_for_real(store, changes):
    answer = measure_once(profile(**{"window": 3, **changes}), store, "cpu", 0)
    assert isinstance(answer, Measured)


def test_out_of_memory_for_real(store):
    work = profile(2, footage=NoiseFrames(frames=2, height=1 << 20, width=1 << 20))
    answer = measure_once(work, store, "cpu", 0)
    assert isinstance(answer, OutOfMemory)
    assert answer.asked_bytes == 2 * 3 << 40


def _fails():
    raise ValueError("a fault")


def _exits():
    import os

    os._exit(3)


def _faults_of_a_large_tensor() -> int:
    """Return the pages faulted in by a tensor of 64 MiB after others of the same size.

    glibc keeps the ends of aligned blocks in short lists, and grows until these are full.
    """
    import torch

    faults = []
    for _ in range(24):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(1 << 24)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(faults[16:])


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators have other settings"
)
def test_a_process_keeps_the_memory_of_large_tensors(monkeypatch):
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    pages = (64 << 20) // resource.getpagesize()
    assert in_process(_faults_of_a_large_tensor) < pages / 100
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "65536")  # what the user sets stays
    assert in_process(_faults_of_a_large_tensor) > pages / 2


def test_measuring_imports_no_compiler(store):
    """Importing torch's compiler takes more than a second in every process that measures."""
    assert in_process(_modules_after_measuring, profile(2), store) == []


def _modules_after_measuring(work, store):
    import sys

    measure_once(work, store, "cpu", 0)
    return [name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules]


def test_results_of_a_process():
    assert in_process(max, 3, 5) == 5
    failed, gone = in_process(_fails), in_process(_exits)
    assert isinstance(failed, Died)
    assert "ValueError: a fault" in failed.message
    assert isinstance(gone, Died)
    assert "exit code 3" in gone.message


def test_an_interrupt_waits_until_a_process_is_known():
    known = []

    def start_something() -> None:
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            known.append("started")

    with pytest.raises(KeyboardInterrupt):
        start_something()
    assert known == ["started"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupted() -> str:
    signal.raise_signal(signal.SIGINT)
    return "goes on"


def test_a_process_leaves_interrupts_to_the_one_that_started_it():
    assert in_process(_interrupted) == "goes on"


def test_ids_tell_apart_all_that_changes_speed():
    base = profile()
    others = [
        profile(window=6),
        profile(stride=2),
        profile(device="b"),
        profile(threads=2),
        profile(precision="tf32"),
        profile(compiled=True),
        profile(channels_last=False),
        profile(cudnn_benchmark=True),
        profile(deterministic=True),
        profile(weights=RandomWeights(model=tiny_model(InterFrame()))),
        profile(footage=NoiseFrames(frames=6, height=32, width=64)),
    ]
    assert len({work.id for work in [base, *others]}) == 12


def test_what_one_row_lacks_stops_no_other(store, turns):
    works = [profile(window, processes=1) for window in (2, 3, 4)]

    def answer(work, place):
        if work.window == 3:
            raise UserError("x.pt: not a readable checkpoint")
        return Measured([6], samples(place))

    turns.answer = answer
    with pytest.raises(UserError, match="not a readable checkpoint"):
        run(works, store)
    assert [store.done(work) for work in works] == [True, False, True]


def test_a_server_that_cannot_import_is_one_line(tmp_path):
    """Processes of a sweep are forked from it; here what it imports ends it."""
    (tmp_path / "ends.py").write_text("raise SystemExit(3)\n")
    script = tmp_path / "script.py"
    script.write_text(
        "from ifc_bench.errors import UserError\n"
        "from ifc_bench.measuring.isolation import start\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        start(print, loaded='ends')\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.stdout.startswith("processes: none could be started; does "), done.stderr


DYING = """
import os
from pathlib import Path

mark = Path(__file__).with_suffix(".mark")
if not mark.exists():
    mark.touch()
    os._exit(9)
"""
STARTING = """
from ifc_bench.measuring.isolation import start

if __name__ == "__main__":
    process = start(print, "its body ran", loaded="dying")
    process.join()
    raise SystemExit(process.exitcode)
"""


def test_a_process_is_started_again_where_its_server_was_killed(tmp_path):
    """As by a kernel out of memory, while it imports; the next server lives."""
    (tmp_path / "dying.py").write_text(DYING)
    (tmp_path / "starting.py").write_text(STARTING)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "starting.py")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        timeout=60,
    )
    assert (tmp_path / "dying.mark").exists()
    assert (done.returncode, done.stdout) == (0, "its body ran\n"), done.stderr
