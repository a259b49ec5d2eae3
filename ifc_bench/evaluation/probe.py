"""A linear probe: how much of something a linear map reads from features, on other videos."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)  # a row, of features of unit variance


class RidgeProbe:
    """Ridge regression from features [n, D] to targets [n, K], fitted when it is made.

    Features are scaled to unit variance. The penalty is that of `PENALTIES` with the least squared
    error on every fifth of the `groups` [n] (videos) when fitted to the others.
    """

    def __init__(self, features: Floats, targets: Floats, groups: NDArray[np.int64]) -> None:
        self._mean, self._scale = features.mean(0), features.std(0) + 1e-8
        scaled = self._scaled(features)
        held = np.isin(groups, np.unique(groups)[::5])
        errors = []
        for penalty in PENALTIES:
            weights = _ridge(scaled[~held], targets[~held], penalty)
            errors.append(((_predicted(scaled[held], weights) - targets[held]) ** 2).mean())
        self.penalty = PENALTIES[int(np.argmin(errors))]
        self._weights = _ridge(scaled, targets, self.penalty)

    def __call__(self, features: Floats) -> Floats:
        """Predicted targets [n, K]."""
        return _predicted(self._scaled(features), self._weights)

    def _scaled(self, features: Floats) -> Floats:
        return (features - self._mean) / self._scale


def area_under_curve(scores: Floats, present: NDArray[np.bool_]) -> float:
    """The chance that a row with `present` scores above one without (ROC AUC); ties count half.

    Chance is 0.5. NaN where all rows are alike.
    """
    ranks = _ranks(scores)
    positives, negatives = int(present.sum()), int((~present).sum())
    if not positives or not negatives:
        return float("nan")
    above = float(ranks[present].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def explained(predicted: Floats, truth: Floats) -> float:
    """R2 over all columns together; 0 is what the truth's own mean would give."""
    rest = ((truth - predicted) ** 2).sum()
    return float(1 - rest / ((truth - truth.mean(0)) ** 2).sum())


def _ridge(features: Floats, targets: Floats, penalty: float) -> Floats:
    """Weights [D + 1, K]; the last row is the intercept, which is not penalised."""
    rows = np.hstack((features, np.ones((len(features), 1))))
    gram = rows.T @ rows
    gram[np.arange(len(gram) - 1), np.arange(len(gram) - 1)] += penalty * len(rows)
    weights: Floats = np.linalg.solve(gram, rows.T @ targets).astype(float)
    return weights


def _predicted(features: Floats, weights: Floats) -> Floats:
    return features @ weights[:-1] + weights[-1]


def _ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]
