"""Passes at a lowered clock are set aside, up to a fixed part, and drift is told."""

import pytest

from ifc_bench.measuring.throttling import counted_seconds, drift, judge
from ifc_bench.records import GpuFacts, Timed


def test_without_clocks_every_pass_counts():
    assert judge(None, 3, 1500).kept == (0, 1, 2)
    assert judge([None, None], 2, 1500).kept == (0, 1)


def test_a_pass_below_the_share_of_the_default_clock_is_set_aside():
    found = judge([1500, 1500, 1100, 1500, 1126, 1500, 1500, 1500, 1500, 1500], 10, 1500)
    assert found.kept == (0, 1, 3, 4, 5, 6, 7, 8, 9), "1126 is just above 75%"
    assert (found.set_aside, found.slow_kept) == (1, 0)


def test_never_more_than_a_fifth_and_the_slowest_first():
    found = judge([900, 800, 1000, 700, 1500, 1500, 1500, 1500, 1500, 1500], 10, 1500)
    assert (found.set_aside, found.slow_kept) == (2, 2)
    assert found.kept == (0, 2, 4, 5, 6, 7, 8, 9)


def test_a_gpu_that_is_always_slow_keeps_its_passes():
    found = judge([900] * 10, 10, 1500)
    assert len(found.kept) == 8
    assert found.slow_kept == 8


def test_without_a_default_clock_the_median_of_the_passes_stands_in():
    assert judge([1500] * 9 + [1000], 10, None).set_aside == 1
    assert judge([900] * 10, 10, None).set_aside == 0


def test_seconds_of_the_passes_that_count():
    timed = Timed(
        wall_seconds=[1, 1, 1, 1, 9], sm_clock_mhz=[1500, 1500, 1500, 1500, 600], stopped="cap"
    )
    assert counted_seconds(timed, GpuFacts(default_sm_clock_mhz=1500)) == [1, 1, 1, 1]
    assert counted_seconds(timed, None) == [1, 1, 1, 1]


def test_drift_is_from_the_first_third_to_the_last():
    assert drift([1.0] * 8) is None, "too few passes"
    assert drift([1.0] * 3 + [5.0] * 3 + [1.2] * 3) == pytest.approx(0.2)
    assert drift([1.0] * 12) == 0
