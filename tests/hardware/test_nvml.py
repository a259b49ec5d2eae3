"""NVML's answers and what they mean, against a fake of the module."""

import os
import time

import pytest

from ifc_bench.hardware.nvml import Gpu, Sampler
from ifc_bench.records import GpuFacts, GpuLog, GpuSamples
from ifc_bench.report.gpu_logs import doubts, joules, remarks
from tests.fake_nvml import MISSING, FakeNvml


def log(nvml: FakeNvml, seconds: float = 0.0) -> GpuLog:
    sampler = Sampler(Gpu(0, nvml))
    with sampler:
        time.sleep(seconds)
    found = sampler.log()
    assert found is not None
    return found


def test_facts_are_read_with_their_units():
    facts = Gpu(0, FakeNvml()).facts()
    assert facts == GpuFacts(
        name="NVIDIA GeForce RTX 2080 Ti",
        uuid="GPU-1",
        compute_capability="7.5",
        driver="570.1",
        memory_bytes=11 << 30,
        max_sm_clock_mhz=2100,
        max_memory_clock_mhz=2100,
        power_limit_watts=250.0,
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
    assert doubts(log(FakeNvml(bits=bits))) == [reason]
    assert doubts(log(FakeNvml(bits=bits | 0x1))) == [reason], "idle besides"


def test_idle_clocks_and_a_power_cap_are_no_doubts():
    found = log(FakeNvml(bits=0x1 | 0x2 | 0x4))
    assert doubts(found) == []
    assert remarks(found) == ["power cap in 1 of 1 readings"]
    assert remarks(log(FakeNvml())) == []


def test_a_slowdown_that_came_and_went_is_remembered():
    samples = GpuSamples(seconds=[0, 1, 2], slowdown_bits=[0, 0x40, 0])
    assert doubts(GpuLog(facts=GpuFacts(), samples=samples)) == ["thermal slowdown (hardware)"]


def test_a_process_that_was_there_before_is_foreign():
    found = log(FakeNvml(processes=[(99999, 1 << 30), (os.getpid(), 1 << 20)]))
    assert found.foreign_processes == 1
    assert doubts(found) == ["1 other processes on the GPU"]


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


def test_energy_comes_from_the_counter_or_from_power():
    counter = iter([1000.0, 1150.0])

    class Counting(FakeNvml):
        def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
            return int(next(counter) * 1000)

    assert joules(log(Counting())) == (150.0, "energy counter")
    samples = GpuSamples(seconds=[0, 1, 2], power_watts=[100.0, None, 200.0])
    assert joules(GpuLog(facts=GpuFacts(), samples=samples)) == (300.0, "integrated power")
    assert joules(GpuLog(facts=GpuFacts(), samples=GpuSamples())) is None


def test_what_the_card_does_not_tell_is_left_empty():
    found = log(FakeNvml(name=MISSING, bits=MISSING, watts=MISSING, processes=MISSING))
    assert found.facts.name is None
    assert found.samples.slowdown_bits == [None]
    assert found.samples.power_watts == [None]
    assert found.foreign_processes is None
    assert found.energy_joules is None
    assert doubts(found) == []
    assert joules(found) is None


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
