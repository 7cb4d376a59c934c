"""The ROC curve of weighted events, sorted once so that a bootstrap only has to add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

BACKGROUNDS = (0.01, 0.02, 0.05, 0.10, 0.20)


@dataclass(frozen=True, eq=False)
class SortedScores:
    """Events from the highest score down.

    Attributes
    ----------
    order : ndarray of int
        Event at each place.
    is_signal : ndarray of bool
        In that order.
    ends : ndarray of int
        Last place of each distinct score: a threshold cannot cut between equal scores.
    thresholds : ndarray
        The distinct scores, descending.
    """

    order: np.ndarray
    is_signal: np.ndarray
    ends: np.ndarray
    thresholds: np.ndarray

    @classmethod
    def sort(cls, is_signal: np.ndarray, score: np.ndarray) -> SortedScores:
        """Sort once."""
        order = np.argsort(-score, kind="stable")
        ranked = score[order]
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        return cls(order, is_signal[order], ends, ranked[ends])

    def compute_roc(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """False and true positive rate at each threshold, from (0, 0) to (1, 1)."""
        ranked = weights[self.order]
        signal = np.cumsum(np.where(self.is_signal, ranked, 0.0))[self.ends]
        background = np.cumsum(np.where(self.is_signal, 0.0, ranked))[self.ends]
        with np.errstate(invalid="ignore", divide="ignore"):
            false_rate = np.append(0.0, background / background[-1])
            true_rate = np.append(0.0, signal / signal[-1])
        return false_rate, true_rate


def measure_roc(false_rate: np.ndarray, true_rate: np.ndarray) -> np.ndarray:
    """AUC, acceptance at each of `BACKGROUNDS`, loacc and hiacc; NaN without both classes.

    Between two points of the curve the acceptance is interpolated linearly; where several points
    have the wanted background exactly, the highest counts.
    """
    if not (np.isfinite(false_rate[-1]) and np.isfinite(true_rate[-1])):
        return np.full(3 + len(BACKGROUNDS), np.nan)
    auc = np.trapezoid(true_rate, false_rate)
    acceptance = np.interp(BACKGROUNDS, false_rate, true_rate)
    return np.array([auc, *acceptance, acceptance[:3].mean(), acceptance[3:].mean()])


def check_labels(y: Any) -> np.ndarray:
    """Return True for signal; labels are booleans, or the higher of two values is signal."""
    y = np.asarray(y)
    labels = np.unique(y)
    if y.ndim != 1 or len(labels) != 2:
        raise ValueError(
            f"y must hold two classes in one dimension, got shape {y.shape} and "
            f"{len(labels)} classes, {labels[:5].tolist()}. The higher label is signal."
        )
    return y == labels[1]


def draw_group_weights(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each event appears when whole groups are drawn with replacement."""
    n_groups = int(groups.max()) + 1
    return np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)[groups]
