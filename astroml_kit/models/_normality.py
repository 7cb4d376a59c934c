"""Ranks and distances by which a sample is judged normal or odd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ._network_inputs import Scaler

MOST_COMPONENTS = 32
# A component below this share of the first is rounding.
LEAST_VARIANCE = 1e-10
# Rounding of an embedding, which depends on how many rows are embedded together.
SAME_PLACE = 1e-6


@dataclass(frozen=True)
class Ranks:
    """Scores as shares of the training weight below them, strictly rising.

    Beyond the training scores the order is kept within half a rank of the end.
    """

    values: np.ndarray
    levels: np.ndarray

    @classmethod
    def measure(cls, scores: np.ndarray, weight: np.ndarray | None) -> Ranks:
        """Measure the training scores; equal ones share their mean rank."""
        values, place = np.unique(scores, return_inverse=True)
        share = np.bincount(place, weights=weight)
        return cls(values, (np.cumsum(share) - 0.5 * share) / share.sum())

    def rank(self, scores: np.ndarray) -> np.ndarray:
        """Return ranks in (0, 1)."""
        ranks = np.interp(scores, self.values, self.levels)
        spread = self.values[-1] - self.values[0]
        unit = spread if spread > 0 else 1.0
        for end, room, sign in ((0, self.levels[0], -1), (-1, 1 - self.levels[-1], 1)):
            beyond = np.maximum(sign * (scores - self.values[end]), 0) / unit
            ranks = ranks + sign * room * beyond / (1 + beyond)
        return ranks

    def check(self) -> None:
        """Raise unless both arrays rise together, the levels between 0 and 1."""
        if self.values.ndim != 1 or self.values.shape != self.levels.shape or not len(self.values):
            raise ValueError("ranks must have one level per value")
        if self.values.dtype != np.float64 or self.levels.dtype != np.float64:
            raise ValueError("ranks must be double precision")
        rising = np.all(np.diff(self.values) > 0) and np.all(np.diff(self.levels) > 0)
        if not rising or not 0 < self.levels[0] <= self.levels[-1] < 1:
            raise ValueError("ranks must rise between 0 and 1")


@dataclass(frozen=True)
class Components(Scaler):
    """Principal components of flat rows: ``directions`` has one row per component."""

    mean: np.ndarray
    directions: np.ndarray
    variance: np.ndarray

    @classmethod
    def measure(
        cls,
        rows: np.ndarray,
        weight: np.ndarray | None,
        *,
        seed: int,
        most: int = MOST_COMPONENTS,
    ) -> Components:
        """Find at most ``most`` directions of the largest variance."""
        n_columns = rows.shape[1]
        if n_columns <= MOST_COMPONENTS:
            mean = np.average(rows, axis=0, weights=weight)
            share = np.full(len(rows), 1.0) if weight is None else weight
            centred = rows - mean
            covariance = (centred * (share / share.sum())[:, None]).T @ centred
            variance, vectors = np.linalg.eigh(covariance)
            directions, variance = vectors.T[::-1], variance[::-1]
            signs = np.sign(directions[np.arange(n_columns), np.abs(directions).argmax(axis=1)])
            directions = directions * signs[:, None]
        else:
            n_components = min(most, *rows.shape)
            fitted = PCA(n_components, svd_solver="randomized", random_state=seed).fit(rows)
            mean, directions = fitted.mean_, fitted.components_
            variance = fitted.explained_variance_
        kept = variance > LEAST_VARIANCE * max(float(variance[0]), 1e-300)
        kept[0] = True
        variance = np.where(variance > 0, variance, 1.0)
        arrays = (mean, directions[kept], variance[kept])
        return cls(*(np.ascontiguousarray(array, dtype=np.float64) for array in arrays))

    def count_leading(self, share: float) -> int:
        """How many components hold ``share`` of the variance."""
        total = np.cumsum(self.variance) / self.variance.sum()
        return int(np.searchsorted(total, share)) + 1

    def transform(self, rows: np.ndarray) -> np.ndarray:
        """Return the components of rows, in their units."""
        return (rows - self.mean) @ self.directions.T

    def check(self) -> None:
        """Raise unless the arrays fit together and are finite."""
        n = len(self.variance)
        if self.variance.ndim != 1 or not n or self.directions.shape != (n, len(self.mean)):
            raise ValueError("components must have one direction and one variance each")
        for value in (self.mean, self.directions, self.variance):
            if value.dtype != np.float64 or not np.isfinite(value).all():
                raise ValueError("components must be finite numbers in double precision")
        if not (self.variance > 0).all():
            raise ValueError("variances must be > 0")


def measure_neighbours(points: np.ndarray, reference: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Mean distance of points to their nearest reference points, not counting themselves.

    A reference point at the very place of a point is taken for the point itself, once: so the
    points of the reference and new ones are measured alike.
    """
    n_wanted = min(n_neighbors + 1, len(reference))
    tree = NearestNeighbors(n_neighbors=n_wanted, algorithm="kd_tree").fit(reference)
    distance = tree.kneighbors(points)[0]
    if distance.shape[1] == 1:
        return distance[:, 0]
    itself = distance[:, 0] <= SAME_PLACE * np.abs(reference).max()
    return np.where(itself, distance[:, 1:].mean(axis=1), distance[:, :-1].mean(axis=1))


def find_quantile(scores: np.ndarray, weight: np.ndarray | None, share: float) -> float:
    """Score below which ``share`` of the weight lies; scikit-learn's percentile without weights."""
    if weight is None:
        return float(np.percentile(scores, 100 * share))
    order = np.argsort(scores)
    below = np.cumsum(weight[order]) / weight.sum()
    place = min(int(np.searchsorted(below, share, side="right")), len(order) - 1)
    return float(scores[order][place])
