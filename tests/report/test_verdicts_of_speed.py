"""The rule of `compare`'s verdicts, at every position of an interval, and its reasons."""

import math

import pytest

from ifc_bench.report.statistics import summarise, welch
from ifc_bench.report.verdicts_of_speed import (
    Cycles,
    Limits,
    Ratio,
    place,
    processes_to_tell,
    ratio_of,
    verdict_on_memory,
    verdict_on_speed,
)

A = (10.0, 10.1, 9.9, 10.2, 9.8)


def times(factor: float, values: tuple[float, ...] = A) -> tuple[float, ...]:
    return tuple(factor * value for value in values)


@pytest.mark.parametrize(
    ("low", "ratio", "high", "found"),
    [
        (0.90, 0.92, 0.94, "below"),  # beyond the margin as a whole
        (0.90, 0.93, 0.96, "below"),  # surely below 1; beyond the margin as far as is known
        (0.94, 0.96, 0.98, "unknown"),  # surely below 1; by more than the margin or not?
        (0.96, 0.97, 0.98, "within"),  # surely below 1, and not by more than the margin
        (0.90, 0.94, 1.00, "unknown"),  # 1 is in the interval
        (0.90, 0.97, 1.04, "unknown"),  # beyond below
        (0.96, 1.00, 1.04, "within"),
        (0.90, 1.00, 1.11, "unknown"),  # beyond on both sides
        (0.96, 1.02, 1.08, "unknown"),  # beyond above
        (1.00, 1.06, 1.12, "unknown"),
        (1.02, 1.03, 1.04, "within"),
        (1.02, 1.04, 1.06, "unknown"),
        (1.04, 1.07, 1.10, "above"),
        (1.06, 1.08, 1.10, "above"),
        (0.95, 1.00, 1.05, "within"),  # the margin itself is within it
        (0.95, 0.95, 0.95, "within"),
        (1.05, 1.05, 1.05, "within"),
    ],
)
def test_the_place_of_an_interval(low, ratio, high, found):
    assert place(ratio, (low, high), 0.05) == found


def test_without_an_interval_nothing_is_known():
    assert place(0.5, None, 0.05) == "unknown"


def test_without_a_margin_only_equal_values_are_the_same():
    assert place(1, (1, 1), 0) == "within"
    assert place(1, (0.999, 1.001), 0) == "unknown"
    assert place(0.999, (0.998, 0.9995), 0) == "below"


def test_the_interval_is_welchs_on_logarithms():
    b = (11.0, 12.0, 11.5)
    left, right = (summarise([math.log(value) for value in side]) for side in (A, b))
    expected = welch(left, right)
    found = ratio_of(A, b, 0.05)
    assert found.value == pytest.approx(math.exp(expected.mean))
    assert found.interval == pytest.approx([math.exp(end) for end in expected.interval])
    narrow, wide = (ratio_of(A, b, alpha).interval for alpha in (0.2, 0.01))
    assert wide[0] < found.interval[0] < narrow[0] < narrow[1] < found.interval[1] < wide[1]
    assert ratio_of(A, (11.0,), 0.05).interval is None
    assert ratio_of((2, 2), (3, 3), 0.05).interval == pytest.approx((1.5, 1.5))


def test_a_hopeless_interval_is_finite():
    low, high = ratio_of((1.0, 1000.0), (1.0, 1000.0), 1e-9).interval
    assert 0 < low < 1e-40
    assert 1e40 < high < math.inf


def test_slower_and_faster_tell_by_how_much():
    slower = verdict_on_speed(A, times(0.9), Limits())
    assert str(slower) == "slower: 10.0% [7.9%, 12.1%], n = 5, 5"
    assert str(verdict_on_speed(A, times(1.1), Limits())) == "faster: 10.0% [7.5%, 12.6%], n = 5, 5"


def test_same_tells_a_difference_within_the_margin():
    assert str(verdict_on_speed(A, A, Limits())) == ("same: [0.977, 1.023] is within 5%, n = 5, 5")
    narrow = (10.0, 10.01, 9.99)
    assert str(verdict_on_speed(narrow, times(0.98, narrow), Limits())) == (
        "same: slower by 2.0% [1.8%, 2.2%], within 5%, n = 3, 3"
    )
    assert str(verdict_on_speed(narrow, times(1.02, narrow), Limits())).startswith(
        "same: faster by 2.0% ["
    )


def test_cannot_tell_estimates_the_processes_that_would():
    verdict = verdict_on_speed(A, times(0.97), Limits(0.025))
    wanted = processes_to_tell(A, times(0.97), Limits(0.025))
    assert verdict.word == "slower", "3% is beyond 2.5%, and 1 is not in the interval"
    wide = (10.0, 10.6, 9.4, 10.3, 9.7)
    wanted = processes_to_tell(wide, wide, Limits())
    assert str(verdict_on_speed(wide, wide, Limits())) == (
        f"cannot tell: the interval [0.933, 1.072] reaches beyond 5%; about {wanted} processes a "
        "side would narrow it enough (an estimate), n = 5, 5"
    )
    assert 5 < wanted < 12
    enough = [wide[place % 5] for place in range(5 * wanted)]
    assert verdict_on_speed(enough, enough, Limits()).word == "same"
    near = verdict_on_speed(A, times(0.951), Limits())
    assert str(near).startswith("cannot tell: slower, but the interval [0.929, 0.973] reaches")
    assert "more than 100 processes a side" in near.reason


def test_the_estimate_is_the_fewest_that_tell():
    """Of values whose spread is that of the first at every n."""
    a, b = (9.0, 11.0), (9.1, 11.1)
    wanted = processes_to_tell(a, b, Limits(0.2))
    spread = math.log(11 / 9) / math.sqrt(2)

    def told(n: int) -> bool:
        half = spread * math.sqrt((n - 1) / n) if n > 1 else spread  # +- half has this std
        side = [10 * math.exp(half * (-1) ** place) for place in range(n)]
        return verdict_on_speed(side, side, Limits(0.2)).word == "same"

    assert wanted is not None
    even = wanted + wanted % 2
    assert told(even)
    assert not told(even - 4)


def test_one_more_process_may_be_enough():
    side = (10.0, 10.25, 9.75)
    assert verdict_on_speed(side, side, Limits()).word == "cannot tell"
    assert processes_to_tell(side, side, Limits()) == 4


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (A, (5.0,), "one process in B"),
        ((5.0,), A, "one process in A"),
        ((5.0,), (1.0,), "one process in A and in B"),
    ],
)
def test_one_process_tells_nothing(a, b, told):
    assert str(verdict_on_speed(a, b, Limits())) == (
        f"cannot tell: {told}, so its spread is not known"
    )


def test_two_processes_may_tell():
    assert verdict_on_speed((10.0, 10.01), (5.0, 5.01), Limits()).word == "slower"


def cycles(factor: float, clocks: tuple[float, float] = (1710.0, 1410.0)) -> Cycles:
    return Cycles(ratio_of(A, times(factor), 0.05), clocks)


def test_a_difference_that_is_the_clocks_cannot_be_told():
    verdict = verdict_on_speed(A, times(0.9), Limits(), cycles(1.0))
    assert str(verdict) == (
        "cannot tell: slower in seconds (10.0% [7.9%, 12.1%], n = 5, 5), but the SM clock differs: "
        "1710 against 1410 MHz; in cycles the ratio is 1.000 [0.977, 1.023]"
    )
    assert verdict_on_speed(A, times(1.1), Limits(), cycles(0.9)).word == "cannot tell"
    equal = verdict_on_speed(A, times(0.9), Limits(), cycles(0.96, (1500.0, 1500.2)))
    assert "but SM clock 1500 MHz; in cycles" in equal.reason


def test_a_difference_in_cycles_too_stands():
    verdict = verdict_on_speed(A, times(0.9), Limits(), cycles(0.92))
    assert str(verdict) == ("slower: 10.0% [7.9%, 12.1%], n = 5, 5; in cycles 8.0% [5.9%, 10.1%]")


def test_the_same_speed_at_another_clock_is_told():
    verdict = verdict_on_speed(A, A, Limits(), cycles(1.21))
    assert verdict.word == "same"
    assert "the SM clock differs: 1710 against 1410 MHz; in cycles the ratio is 1.21" in (
        verdict.reason
    )
    assert verdict_on_speed(A, A, Limits(), cycles(1.0)).reason.endswith("; in cycles too")


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        (1.06, "more: 6.0%"),
        (0.9, "less: 10.0%"),
        (1.05, "same: the ratio 1.050 is within 5%"),
        (1.0, "same: the ratio 1.000 is within 5%"),
    ],
)
def test_memory_needs_no_interval(ratio, told):
    assert str(verdict_on_memory(ratio, 0.05)) == told


def test_texts_of_a_ratio_and_of_limits():
    assert Ratio(0.92, (0.9, 0.94)).shown == "0.920 [0.900, 0.940]"
    assert Ratio(0.92, None).shown == "0.920"
    assert (Limits(0.025, 0.01).shown_margin, Limits(0.025, 0.01).shown_level) == ("2.5%", "99%")
