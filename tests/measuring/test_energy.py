"""Energy over several seconds: between changes of the counter, or from power, above idle."""

import time

import pytest

from ifc_bench.hardware.nvml import Gpu
from ifc_bench.measuring import energy
from tests.fake_nvml import MISSING, FakeNvml


class Counter(FakeNvml):
    """A GPU of 100 W idle and 300 W busy, whose counter moves every 50 ms."""

    busy = False

    def __init__(self, **answers):
        super().__init__(**answers)
        self.begun = time.monotonic()

    @property
    def watts(self):
        return 300.0 if self.busy else 100.0

    @watts.setter
    def watts(self, value):
        pass

    @property
    def energy(self):
        steps = int((time.monotonic() - self.begun) / 0.05)
        return 300 * 0.05 * steps

    @energy.setter
    def energy(self, value):
        pass


def measured(nvml, monkeypatch, seconds=0.5):
    monkeypatch.setattr(energy, "_IDLE_SECONDS", 0.05)
    gpu = Gpu(0, nvml)

    def one_pass():
        nvml.busy = True
        time.sleep(0.02)

    return energy.measure_energy(one_pass, gpu, seconds)


def test_the_counter_is_read_between_two_of_its_changes(monkeypatch):
    found = measured(Counter(), monkeypatch)
    assert found.source == "energy counter"
    assert found.joules / found.window_seconds == pytest.approx(300, rel=0.1)
    assert found.joules % 15 == 0, "whole steps of the counter"
    assert found.step_seconds == pytest.approx(0.05, rel=0.3)
    assert found.idle_watts == pytest.approx(100)
    assert found.pass_seconds == pytest.approx(0.02, rel=0.5)
    assert found.window_seconds < 0.55


def test_without_a_counter_power_is_integrated(monkeypatch):
    nvml = FakeNvml(watts=200.0)
    found = measured(nvml, monkeypatch, 0.2)
    assert found.source == "integrated power"
    assert found.step_seconds is None
    assert found.joules / found.window_seconds == pytest.approx(200)


def test_a_gpu_that_tells_nothing_has_no_energy(monkeypatch):
    assert measured(FakeNvml(watts=MISSING), monkeypatch, 0.05) is None
