"""Timed passes until the median is precise, warm-up, and the interval of the median."""

import time

import numpy as np
import pytest
import torch

from ifc_bench.config import Protocol
from ifc_bench.measuring import speed
from ifc_bench.measuring.device_rates import device_rates
from ifc_bench.measuring.interval import median_interval, relative_width
from ifc_bench.measuring.selftest import timer_noise
from ifc_bench.measuring.settings import settings
from ifc_bench.measuring.speed import Subject
from ifc_bench.models.build import build_model
from tests.conftest import tiny_model

CPU = torch.device("cpu")


def subject(durations, **changes) -> Subject:
    """Return a subject whose passes take `durations` seconds, one after the other."""
    left = iter(durations)

    def run(video, end, watch):
        with watch("tracker"):
            time.sleep(next(left))

    clip = torch.zeros(4, 3, 32, 48)
    made = {"network": build_model(tiny_model()), "frames": [4], "clip": clip, "device": CPU}
    made |= {"run": run, "predict": lambda clip: None}
    return Subject(**{**made, "read_and_run": None, **changes})


def test_it_goes_on_until_the_interval_is_narrow():
    protocol = Protocol(min_passes=6, min_seconds=0.01, max_seconds=10, target=0.5)
    times = speed.to_masks(subject([0.01] * 50), protocol)
    assert times.stopped == "precise"
    assert 6 <= len(times.wall_seconds) < 50
    assert times.device_seconds is None, "a CPU has no second clock"
    assert times.sm_clock_mhz is None


def test_it_stops_at_the_cap_and_reports_so():
    protocol = Protocol(min_passes=100, min_seconds=0.01, max_seconds=0.05, target=1e-9)
    times = speed.to_masks(subject([0.02] * 100), protocol)
    assert times.stopped == "cap"
    assert 3 <= len(times.wall_seconds) <= 4


def test_at_least_the_requested_seconds():
    protocol = Protocol(min_passes=1, min_seconds=0.2, max_seconds=10, target=100)
    assert sum(speed.to_masks(subject([0.01] * 99), protocol).wall_seconds) >= 0.2


def test_warm_up_stays_apart():
    made = subject([0.05, 0.05, 0.001, 0.001, 0.001, 0.001])
    protocol = Protocol(
        min_passes=3, min_seconds=0.001, max_seconds=0.001, target=1, warm_up_seconds=0.001
    )
    warm = speed.warm_up(made, protocol)
    times = speed.to_masks(made, protocol)
    assert min(warm) >= 0.05
    assert max(times.wall_seconds) < 0.05


def test_warm_up_takes_the_seconds_that_are_asked_for():
    warm = speed.warm_up(subject([0.02] * 99), Protocol(warm_up_seconds=0.2))
    assert 0.2 <= sum(warm) < 0.35
    assert len(speed.warm_up(subject([0.02] * 9), Protocol(warm_up_seconds=0.001))) == 2


def test_the_way_to_results_takes_half_the_time():
    protocol = Protocol(min_passes=99, min_seconds=0.01, max_seconds=0.4, target=1e-9)
    masks = speed.to_masks(subject([0.01] * 99), protocol)
    results = speed.to_results(subject([0.01] * 99), protocol)
    assert 0.4 <= sum(masks.wall_seconds) < 0.6
    assert 0.2 <= sum(results.wall_seconds) < 0.4


def test_the_clock_of_a_pass_is_read_around_it_and_slow_passes_do_not_stop_it():
    readings = iter([1500, 1500, 1400, 600, 1500] + [1500] * 99)
    protocol = Protocol(min_passes=4, min_seconds=0.001, max_seconds=5, target=100)
    times = speed.timed(CPU, lambda: time.sleep(0.001), protocol, lambda: next(readings))
    assert times.sm_clock_mhz[:4] == [1500, 1450, 1000, 1050]
    assert len(times.wall_seconds) > 6, "two of the first six are set aside"


def test_the_width_between_processes():
    assert relative_width([3.0]) is None
    assert relative_width([2.0, 2.0, 2.0]) == 0
    assert relative_width([9.0, 10.0, 11.0]) == pytest.approx(4.302653 / 3**0.5 / 10)


def test_scopes_hold_the_time_spent_in_them():
    found = speed.by_scope(subject([0.02] * 9), 0.0)
    assert found is not None
    assert found["tracker"][0] >= 0.02
    assert found["other"][0] < 0.02
    assert speed.by_scope(subject([1], watchable=False), 0.0) is None


def test_reading_is_measured_only_where_there_are_files():
    assert speed.with_reading(subject([1]), 0.0) is None
    calls = []
    made = subject([], read_and_run=lambda video, end, watch: calls.append(video))
    taken = speed.with_reading(made, 0.0)
    assert taken is not None
    assert calls == [0]


def test_the_interval_of_the_median_covers_it():
    """With n = 8 the order statistics 1 and 8 hold the median in 99.2% of cases."""
    assert median_interval([1, 2, 3, 4, 5]) is None
    assert median_interval(range(1, 9)) == (1, 8)
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        low, high = median_interval(rng.exponential(size=21)) or (0, 0)
        hits += low <= np.log(2) <= high
    assert 0.94 < hits / 2000 < 0.995


def test_the_rates_of_a_device_are_positive():
    rates = device_rates(CPU, "fp32")
    assert 1e8 < rates.macs_per_second < 1e14
    assert 1e7 < rates.bytes_per_second < 1e13


def test_settings_are_read_back_from_torch():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = not before
    found = settings(CPU)
    torch.backends.cudnn.allow_tf32 = before
    assert found["cudnn_tf32"] is not before
    assert found["threads"] == torch.get_num_threads()


def test_the_timer_agrees_with_itself():
    noise = timer_noise(CPU, 0.3)
    assert noise.samples >= 30
    assert noise.overhead_seconds < noise.median_seconds
    assert noise.a_over_b == pytest.approx(0, abs=0.5)
