"""A Gaussian process through yes and no: what a few answers say about everything else."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import expit

MOST_STEPS = 100
CLOSE = 1e-8
JITTER = 1e-9
CHUNK = 8192


def measure_posterior(
    points: np.ndarray,
    mean: np.ndarray,
    rows: np.ndarray,
    answers: np.ndarray,
    *,
    strength: float,
    reach: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the log odds at every point.

    Laplace's approximation for a logistic likelihood: Rasmussen & Williams 2006, algorithms 3.1
    and 3.2, with ``mean`` as the mean of the process and a Gaussian kernel.

    Parameters
    ----------
    points : ndarray, shape (n, n_features)
    mean : ndarray, shape (n,)
    rows : ndarray of int, shape (n_answers,)
        Points with an answer.
    answers : ndarray, shape (n_answers,)
        1 or 0.
    strength, reach : float
        Standard deviation and length scale of the kernel.
    """
    spread = np.full(len(points), float(strength))
    if len(rows) == 0:
        return mean.copy(), spread
    asked, before = points[rows], mean[rows]
    kernel = _compare(asked, asked, strength, reach) + JITTER * np.eye(len(rows))
    latent = before
    for _ in range(MOST_STEPS):
        share = expit(latent)
        root = np.sqrt(np.maximum(share * (1 - share), JITTER))
        factor = cho_factor(np.eye(len(rows)) + root[:, None] * kernel * root, lower=True)
        target = root**2 * (latent - before) + answers - share
        weights = target - root * cho_solve(factor, root * (kernel @ target))
        moved = before + kernel @ weights
        change, latent = np.abs(moved - latent).max(), moved
        if change < CLOSE:
            break
    posterior = mean.copy()
    for start in range(0, len(points), CHUNK):
        part = slice(start, start + CHUNK)
        near = _compare(points[part], asked, strength, reach)
        posterior[part] += near @ weights
        known = solve_triangular(np.tril(factor[0]), root[:, None] * near.T, lower=True)
        spread[part] = np.sqrt(np.maximum(strength**2 - np.sum(known**2, axis=0), 0))
    return posterior, spread


def _compare(one: np.ndarray, other: np.ndarray, strength: float, reach: float) -> np.ndarray:
    square = np.sum(one**2, axis=1)[:, None] + np.sum(other**2, axis=1) - 2 * one @ other.T
    return strength**2 * np.exp(-0.5 * np.maximum(square, 0) / reach**2)
