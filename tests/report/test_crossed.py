"""Intervals over seeds and videos together: they hold what they promise, and name their parts."""

import numpy as np
import pytest

from ifc_bench.report.crossed import Crossed, Scores, crossed, crossed_pairs

DRAWS = 200


def draws(videos: int) -> np.ndarray:
    """Weights of the videos [DRAWS, V]."""
    rng = np.random.default_rng(videos)
    return rng.multinomial(videos, [1 / videos] * videos, size=DRAWS) / videos


def scores(by_video: np.ndarray) -> Scores:
    """A measure that is a mean over videos, of each seed [n, V]."""
    return Scores(by_video.mean(1), by_video @ draws(by_video.shape[1]).T)


def experiment(rng, n: int, videos: int, shift: float = 0.0, row: float = 5.0) -> Crossed:
    """Two rows: videos are hard for both, or for one row; seeds differ, and so does each pair."""
    common = rng.normal(0, 10, videos)
    sides = [
        common
        + rng.normal(0, row, videos)
        + rng.normal(0, 1.5, (n, 1))
        + rng.normal(0, 10, (n, videos))
        for _ in range(2)
    ]
    return crossed(scores(sides[0]), scores(sides[1] + shift), videos)


@pytest.mark.parametrize(("n", "videos"), [(3, 60), (5, 20), (5, 60), (10, 60)])
def test_the_interval_holds_95_percent(n, videos):
    """Of 600 experiments, with a Monte-Carlo error of 0.9%."""
    rng = np.random.default_rng(1)
    found = [experiment(rng, n, videos) for _ in range(600)]
    held = np.mean([low < 0 < high for low, high in (one.interval() for one in found)])
    assert 0.93 < held < 0.985
    assert np.mean([one.p < 0.05 for one in found]) == pytest.approx(1 - held)


def test_the_std_is_that_of_new_seeds_on_new_videos():
    rng = np.random.default_rng(2)
    found = [experiment(rng, 5, 60) for _ in range(400)]
    real = np.std([one.mean for one in found])
    assert np.sqrt(np.mean([one.std**2 for one in found])) == pytest.approx(real, rel=0.1)
    by_hand = (2 * 1.5**2 / 5 + 2 * 5**2 / 60 + 2 * 10**2 / 5 / 60) ** 0.5
    assert real == pytest.approx(by_hand, rel=0.1)


def test_its_parts_by_hand():
    """Seeds: 1.5 and a 60th of the pairs' 100. Videos: the rows' 5 and a fifth of the pairs'."""
    rng = np.random.default_rng(3)
    found = [experiment(rng, 5, 60) for _ in range(300)]
    seeds = 2 * (1.5**2 + 10**2 / 60) / 5
    videos = 2 * (5**2 + 10**2 / 5) / 60
    assert np.mean([one.seed_std**2 for one in found]) == pytest.approx(seeds, rel=0.1)
    assert np.mean([one.video_std**2 for one in found]) == pytest.approx(videos, rel=0.1)


def test_what_all_videos_share_cancels():
    """A set of videos that is harder for both rows says nothing about their difference."""
    by_video = np.random.default_rng(4).normal(0, 10, (3, 40))
    moved = by_video + np.linspace(0, 1000, 40)
    other = np.random.default_rng(5).normal(0, 10, (3, 40))
    plain = crossed(scores(by_video), scores(other), 40)
    both = crossed(scores(moved), scores(other + np.linspace(0, 1000, 40)), 40)
    assert both.video_std == pytest.approx(plain.video_std)
    assert both.mean == pytest.approx(plain.mean)


def test_two_tests_of_the_same_trainings_are_paired():
    rng = np.random.default_rng(6)
    held = 0
    for _ in range(400):
        seed, pair = rng.normal(0, 8, (5, 1)), rng.normal(0, 10, (5, 60))
        whole = seed + pair + rng.normal(0, 1, (5, 60))
        without = seed + pair + rng.normal(0, 1, (5, 60)) + rng.normal(0, 0.5, (5, 1))
        found = crossed_pairs(scores(without), scores(whole), 60)
        low, high = found.interval()
        held += low < 0 < high
        assert found.std < 1.5, "the seeds' own 8 cancels"
    assert 0.925 < held / 400 < 0.985
    assert found.n == (5, 5)


def test_one_seed_has_a_part_of_the_videos_alone():
    by_video = np.random.default_rng(7).normal(size=(1, 30))
    found = crossed(scores(by_video), scores(by_video + 1), 30)
    assert (found.seed_std, found.std, found.interval(), found.p) == (None, None, None, None)
    assert found.mean == pytest.approx(1)
    assert found.video_std == pytest.approx(0, abs=1e-9)


def test_one_video_has_no_part_of_the_videos():
    by_video = np.random.default_rng(8).normal(size=(3, 1))
    found = crossed(scores(by_video), scores(by_video + 1), 1)
    assert (found.video_std, found.std, found.interval(), found.p) == (None, None, None, None)
    assert found.seed_std > 0


def test_draws_without_any_instance_are_left_out():
    rng = np.random.default_rng(9)
    a, b = (scores(rng.normal(size=(4, 30))) for _ in range(2))
    whole = crossed(a, b, 30)
    holes = b.drawn.copy()
    holes[:, ::10] = np.nan
    found = crossed(a, Scores(b.values, holes), 30)
    assert found.std == pytest.approx(whole.std, rel=0.15)
    none = crossed(a, Scores(b.values, np.full_like(holes, np.nan)), 30)
    assert (none.video_std, none.p) == (None, None)
