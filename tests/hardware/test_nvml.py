"""NVML's answers and what they mean, against a fake of the module."""

import os
import time

import pytest

from ifc_bench.hardware.nvml import Gpu, Sampler
from ifc_bench.records import Energy, GpuFacts, GpuLog, GpuSamples, ProcessSamples
from ifc_bench.report.gpu_logs import Joules, doubts, joules, remarks
from tests.fake_nvml import MISSING, FakeNvml
from tests.report.test_profiles import process, timed


def log(nvml: FakeNvml, seconds: float = 0.0) -> GpuLog:
    sampler = Sampler(Gpu(0, nvml))
    with sampler:
        time.sleep(seconds)
    found = sampler.log()
    assert found is not None
    return found


def of(card: GpuLog | None, **changes: object) -> ProcessSamples:
    """Return a process with that log of its GPU."""
    return process(1.0).model_copy(update={"card": card, **changes})


def test_facts_are_read_with_their_units():
    facts = Gpu(0, FakeNvml()).facts()
    assert facts == GpuFacts(
        name="NVIDIA GeForce RTX 2080 Ti",
        uuid="GPU-1",
        compute_capability="7.5",
        driver="570.1",
        memory_bytes=11 << 30,
        max_sm_clock_mhz=2100,
        default_sm_clock_mhz=1350,
        max_memory_clock_mhz=2100,
        power_limit_watts=250.0,
        default_power_limit_watts=250.0,
        ecc=None,
        mig=False,
        persistence=True,
    )


def test_samples_are_taken_while_the_block_runs():
    samples = log(FakeNvml(), seconds=0.35).samples
    assert len(samples.seconds) >= 3
    assert samples.seconds == sorted(samples.seconds)
    assert samples.power_watts[0] == 200.0
    assert samples.sm_clock_mhz[0] == 1545
    assert samples.temperature_celsius[0] == 60


@pytest.mark.parametrize(
    ("bits", "reason"),
    [
        (0x08, "hardware slowdown"),
        (0x20, "thermal slowdown (software)"),
        (0x40, "thermal slowdown (hardware)"),
        (0x80, "power brake"),
    ],
)
def test_slowdowns_are_doubts(bits, reason):
    assert doubts(of(log(FakeNvml(bits=bits)))) == [reason]
    assert doubts(of(log(FakeNvml(bits=bits | 0x1)))) == [reason], "idle besides"


def test_idle_clocks_and_a_power_cap_are_no_doubts():
    found = log(FakeNvml(bits=0x1 | 0x2 | 0x4))
    assert doubts(of(found)) == []
    assert remarks(of(found)) == [
        "power cap in 1 of 1 readings",
        "clocks set by the user in 1 of 1 readings",
    ]
    assert remarks(of(log(FakeNvml()))) == []


def test_a_slowdown_that_came_and_went_is_remembered():
    samples = GpuSamples(seconds=[0, 1, 2], slowdown_bits=[0, 0x40, 0])
    assert doubts(of(GpuLog(facts=GpuFacts(), samples=samples))) == ["thermal slowdown (hardware)"]


def test_a_process_that_was_there_before_is_foreign():
    found = log(FakeNvml(processes=[(99999, 1 << 30), (os.getpid(), 1 << 20)]))
    assert found.foreign_processes == 1
    assert doubts(of(found)) == ["1 other processes on the GPU"]


def test_our_own_process_is_not_foreign():
    assert log(FakeNvml(processes=[(os.getpid(), 1)])).foreign_processes == 0


def test_in_a_container_our_process_has_another_number():
    """One process that appears once we started is us, whatever it is called; a second is not."""
    running = iter([[], [(4001, 1)]])
    assert log(FakeNvml(processes=lambda: next(running))).foreign_processes == 0
    running = iter([[], [(4001, 1), (4002, 1)]])
    assert log(FakeNvml(processes=lambda: next(running))).foreign_processes == 1
    running = iter([[(4000, 1)], [(4000, 1), (4001, 1)]])
    assert log(FakeNvml(processes=lambda: next(running))).foreign_processes == 1


def test_energy_of_older_records_is_of_the_timed_passes():
    """They have the increase of the counter over all passes, or readings of the power."""
    old = {"masks": None, "results": timed(1.0)}
    counter = GpuLog(facts=GpuFacts(), samples=GpuSamples(), energy_joules=150.0)
    assert joules(of(counter, **old)) == Joules(25.0, None, "energy counter")
    samples = GpuSamples(seconds=[0, 1, 2], power_watts=[100.0, None, 200.0])
    power = GpuLog(facts=GpuFacts(), samples=samples)
    assert joules(of(power, **old)) == Joules(50.0, None, "integrated power")
    assert joules(of(GpuLog(facts=GpuFacts(), samples=GpuSamples()), **old)) is None
    assert joules(of(counter)) is None, "a newer record has a window of its own, or nothing"


def test_energy_of_a_pass_and_above_idle():
    window = Energy(
        joules=1500, window_seconds=5, pass_seconds=0.1, source="energy counter", idle_watts=100
    )
    found = joules(of(None, energy=window))
    assert found.joules == pytest.approx(30)
    assert found.above_idle == pytest.approx(20)
    blind = window.model_copy(update={"idle_watts": None})
    assert joules(of(None, energy=blind)).above_idle is None


def test_settings_of_the_card_are_told():
    nvml = FakeNvml(bits=0x2, graphics=[(1, 5)], mig=(1, 1), ecc=(1, 1), limit=200_000)
    found = remarks(of(log(nvml)))
    assert found == [
        "clocks set by the user in 1 of 1 readings",
        "1 processes draw on the GPU",
        "power limit 200 W, below the default of 250 W",
        "MIG is on",
        "ECC is on",
    ]


def test_slow_passes_are_told_and_many_of_them_are_a_doubt():
    facts = GpuFacts(default_sm_clock_mhz=1500)
    card = GpuLog(facts=facts, samples=GpuSamples())
    few = of(card, masks=timed(1.0, sm_clock_mhz=[1500, 1500, 1500, 1500, 1500, 900]))
    assert remarks(few) == ["1 of 6 passes set aside for a low clock"]
    assert doubts(few) == []
    many = of(card, masks=timed(1.0, sm_clock_mhz=[900] * 6))
    assert doubts(many) == ["SM clock below 75% of the default in more than 20% of the passes"]


def test_drift_within_a_process_is_told():
    slower = timed(1.0, wall_seconds=[1.0] * 6 + [1.1] * 3)
    assert remarks(of(None, masks=slower)) == [
        "drift: the last third of a process's passes took +10%"
    ]
    assert remarks(of(None, masks=timed(1.0, wall_seconds=[1.0] * 9))) == []


def test_memory_that_ran_out_leaves_its_evidence():
    running = [(os.getpid(), 1 << 30), (4001, 9 << 30)]
    sampler = Sampler(Gpu(0, FakeNvml(processes=running)))
    found = sampler.log(out_of_memory=True)
    assert found.used_bytes == 3 << 30
    assert found.foreign_processes == 1


def test_what_the_card_does_not_tell_is_left_empty():
    found = log(FakeNvml(name=MISSING, bits=MISSING, watts=MISSING, processes=MISSING))
    assert found.facts.name is None
    assert found.samples.slowdown_bits == [None]
    assert found.samples.power_watts == [None]
    assert found.foreign_processes is None
    assert doubts(of(found)) == []
    assert joules(of(found)) is None


def test_without_a_card_there_is_no_log():
    sampler = Sampler(Gpu(0, FakeNvml(there=False)))
    with sampler:
        pass
    assert sampler.log() is None
    assert not Gpu(3, FakeNvml()).there


@pytest.mark.parametrize(
    ("visible", "index", "there"),
    [("0", 0, True), ("1,0", 1, True), ("1,0", 0, False), ("GPU-1", 0, True), ("", 0, False)],
)
def test_cards_are_those_that_cuda_sees(monkeypatch, visible, index, there):
    """The fake has card 0 alone; CUDA_VISIBLE_DEVICES says what CUDA calls it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert Gpu(index, FakeNvml()).there == there
