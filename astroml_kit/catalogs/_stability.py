"""Whether groups are found again when some of the rows are left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

OVERLAP = 0.5  # intersection over union from which a group counts as found again


def measure_stability(
    labels: np.ndarray,
    search: Callable[[np.ndarray], np.ndarray],
    *,
    n_resamples: int,
    drop: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Share of resamples with a group that overlaps each of the groups by half.

    A resample in which no member of a group is left says nothing of it and is not counted.
    """
    n_groups = int(labels.max(initial=-1)) + 1
    again, seen = np.zeros(n_groups), np.zeros(n_groups)
    for _ in range(n_resamples):
        left = np.flatnonzero(rng.random(len(labels)) >= drop)
        overlap, size = find_overlaps(labels[left], search(left), n_groups)
        again += (size > 0) & (overlap >= OVERLAP)
        seen += size > 0
    return np.divide(again, seen, out=np.full(n_groups, np.nan), where=seen > 0)


def find_overlaps(
    first: np.ndarray, second: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Best intersection over union of each group of ``first`` with one of ``second``; its size."""
    best = np.zeros(n_groups)
    own = np.bincount(first[first >= 0], minlength=n_groups)
    other = np.bincount(second[second >= 0], minlength=1)
    both = (first >= 0) & (second >= 0)
    pairs, shared = np.unique(
        first[both].astype(np.int64) * len(other) + second[both], return_counts=True
    )
    one, two = pairs // len(other), pairs % len(other)
    np.maximum.at(best, one, shared / (own[one] + other[two] - shared))
    return best, own
