"""Linear Gaussian processes one step at a time: exact for measurements, close for limits.

What a damped random walk or an autoregression knows of its past is a mean and a covariance of a
few numbers. Each step moves them on and takes in one value, so that the likelihood of n steps
costs n operations, and the forecasts from every step come with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

MISSING, MEASURED, BELOW, ABOVE = 0, 1, 2, 3  # BELOW: the truth is below the value
FAR = -25.0  # standard deviations beyond which the tail is taken from its expansion


@dataclass(frozen=True)
class StateSpace:
    """State s_i = F_i s_(i-1) + N(0, Q_i); value_i = h_i s_i + N(0, r_i).

    ``move`` (n, d, d) and ``spread`` (n, d, d) lead to each step, the first of them is not used;
    ``read`` (n, d) are the h_i, ``noise`` (n,) the r_i; ``mean`` (d,) and ``covariance`` (d, d)
    are those before the first step is seen.
    """

    move: np.ndarray
    spread: np.ndarray
    read: np.ndarray
    noise: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def filter(self, value: np.ndarray, kind: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log likelihood, and mean and covariance of the state after every step.

        Kalman 1960, doi:10.1115/1.3662552. A limit, ``kind`` BELOW or ABOVE, multiplies by the
        probability to be beyond it, and the state keeps mean and covariance of what is left, as
        in the Tobit filter of Allik et al. 2016, doi:10.1109/TCST.2015.2432155.
        """
        return run_filter(
            self.move, self.spread, self.read, self.noise, self.mean, self.covariance, value, kind
        )


@numba.njit(cache=True, nogil=True)
def measure_tail(z: float) -> tuple[float, float]:
    """Return log Phi(z) and phi(z) / Phi(z)."""
    if z > FAR:
        share = 0.5 * math.erfc(-z / math.sqrt(2.0))
        return math.log(share), math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) / share
    small = 1 / (z * z)
    series = 1 - small + 3 * small**2
    log_share = -0.5 * z * z - math.log(-z * math.sqrt(2 * math.pi)) + math.log(series)
    return log_share, -z / series


@numba.njit(cache=True, nogil=True)
def run_filter(
    move: np.ndarray,
    spread: np.ndarray,
    read: np.ndarray,
    noise: np.ndarray,
    mean: np.ndarray,
    covariance: np.ndarray,
    value: np.ndarray,
    kind: np.ndarray,
) -> tuple[float, np.ndarray, np.ndarray]:
    """See `StateSpace.filter`."""
    n, d = read.shape
    means, covariances = np.zeros((n, d)), np.zeros((n, d, d))
    total = 0.0
    m, c, gain = mean.copy(), covariance.copy(), np.zeros(d)
    half, moved = np.zeros((d, d)), np.zeros(d)
    for i in range(n):
        if i > 0:
            move_state(move[i], spread[i], m, c, half, moved)
        if kind[i] != MISSING:
            variance, miss = noise[i], value[i]
            for a in range(d):
                gain[a] = 0.0
                for b in range(d):
                    gain[a] += c[a, b] * read[i, b]
                variance += read[i, a] * gain[a]
                miss -= read[i, a] * m[a]
            if kind[i] == MEASURED:
                total -= 0.5 * (math.log(2 * math.pi * variance) + miss * miss / variance)
                shift, loss = miss / variance, 1 / variance
            else:
                side = 1.0 if kind[i] == BELOW else -1.0
                z = side * miss / math.sqrt(variance)
                log_share, ratio = measure_tail(z)
                total += log_share
                shift = -side * ratio / math.sqrt(variance)
                loss = ratio * (z + ratio) / variance
            for a in range(d):
                m[a] += gain[a] * shift
                for b in range(d):
                    c[a, b] -= gain[a] * gain[b] * loss
        means[i], covariances[i] = m, c
    return total, means, covariances


@numba.njit(cache=True, nogil=True)
def move_state(
    move: np.ndarray,
    spread: np.ndarray,
    m: np.ndarray,
    c: np.ndarray,
    half: np.ndarray,
    moved: np.ndarray,
) -> None:
    """Move a state to the next step, in place; the last two are room to work in.

    Loops: for a few numbers they are many times faster than products of matrices.
    """
    d = len(m)
    for a in range(d):
        moved[a] = 0.0
        for b in range(d):
            moved[a] += move[a, b] * m[b]
            half[a, b] = 0.0
            for k in range(d):
                half[a, b] += move[a, k] * c[k, b]
    for a in range(d):
        m[a] = moved[a]
        for b in range(d):
            c[a, b] = spread[a, b]
            for k in range(d):
                c[a, b] += half[a, k] * move[b, k]


def predict_ahead(
    means: np.ndarray,
    covariances: np.ndarray,
    move: np.ndarray,
    spread: np.ndarray,
    read: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of h s, one step of any length after each state, without noise."""
    m = np.einsum("nij,nj->ni", move, means)
    c = np.einsum("nij,njk,nlk->nil", move, covariances, move) + spread
    return np.einsum("ni,ni->n", read, m), np.einsum("ni,nij,nj->n", read, c, read)
