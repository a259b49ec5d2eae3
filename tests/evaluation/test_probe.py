"""The linear probe: what it can read, and what it must not."""

import numpy as np
import pytest

from ifc_bench.evaluation.probe import RidgeProbe, area_under_curve, explained

RNG = np.random.default_rng(0)


def rows(count: int, width: int = 6) -> np.ndarray:
    return RNG.normal(size=(count, width)) * np.arange(1, width + 1)


def test_it_reads_what_is_linear_in_the_features():
    weights = RNG.normal(size=(6, 2))
    fit, test = rows(200), rows(100)
    probe = RidgeProbe(fit, fit @ weights + 3.0, np.arange(200) // 10)
    assert explained(probe(test), test @ weights + 3.0) > 0.99


def test_it_reads_nothing_from_noise():
    """With as many features as rows of a video, noise must not be learned by heart."""
    fit, test = rows(200, 150), rows(200, 150)
    probe = RidgeProbe(fit, RNG.normal(size=(200, 1)), np.arange(200) // 10)
    assert abs(explained(probe(test), RNG.normal(size=(200, 1)))) < 0.2
    assert probe.penalty >= 1.0


def test_a_feature_that_never_changes_is_no_trouble():
    fit = np.hstack((rows(50), np.ones((50, 1))))
    assert np.isfinite(RidgeProbe(fit, fit[:, :1], np.arange(50) // 5)(fit)).all()


@pytest.mark.parametrize(
    ("scores", "present", "expected"),
    [
        ([0.1, 0.2, 0.9], [False, False, True], 1.0),
        ([0.9, 0.8, 0.1], [False, False, True], 0.0),
        ([0.5, 0.5, 0.5, 0.5], [True, False, True, False], 0.5),
        ([0.1, 0.4, 0.35, 0.8], [False, False, True, True], 0.75),  # scikit-learn's example
    ],
)
def test_area_under_the_curve(scores, present, expected):
    assert area_under_curve(np.array(scores), np.array(present)) == pytest.approx(expected)


def test_a_class_that_is_always_there_has_no_area():
    assert np.isnan(area_under_curve(np.array([0.1, 0.2]), np.array([True, True])))


def test_the_mean_explains_nothing():
    truth = RNG.normal(size=(50, 2))
    assert explained(np.tile(truth.mean(0), (50, 1)), truth) == pytest.approx(0.0)
    assert explained(truth, truth) == 1.0
