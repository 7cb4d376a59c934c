"""Harmonics shared by all bands, fitted at many frequencies: the period search's inner loop."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def fit_harmonics(
    time: np.ndarray,
    value: np.ndarray,
    weight: np.ndarray,
    band: np.ndarray,
    n_bands: int,
    frequency: np.ndarray,
    ridge: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the penalised chi-squared and half the log-determinant at each frequency.

    One offset per band, and harmonics that all bands share, of which ``ridge`` holds one penalty
    each. Normal equations by Cholesky; a column without weight is left at zero.
    """
    n_terms = len(ridge)
    size = n_bands + 2 * n_terms
    chi_squared = np.empty(len(frequency))
    log_determinant = np.empty(len(frequency))
    row = np.empty(2 * n_terms)
    for at in range(len(frequency)):
        matrix = np.zeros((size, size))
        vector = np.zeros(size)
        total = 0.0
        for i in range(len(time)):
            angle = 2 * np.pi * ((time[i] * frequency[at]) % 1.0)
            cosine, sine = np.cos(angle), np.sin(angle)
            c, s = 1.0, 0.0
            for k in range(n_terms):
                c, s = c * cosine - s * sine, s * cosine + c * sine
                row[2 * k], row[2 * k + 1] = c, s
            w, own = weight[i], band[i]
            matrix[own, own] += w
            vector[own] += w * value[i]
            total += w * value[i] ** 2
            for j in range(2 * n_terms):
                part = w * row[j]
                matrix[n_bands + j, own] += part
                vector[n_bands + j] += part * value[i]
                for m in range(j + 1):
                    matrix[n_bands + j, n_bands + m] += part * row[m]
        for k in range(n_terms):
            for j in (n_bands + 2 * k, n_bands + 2 * k + 1):
                matrix[j, j] += ridge[k]
        half = 0.0
        for j in range(size):
            solved = vector[j]
            for m in range(j + 1):
                left = matrix[j, m]
                for q in range(m):
                    left -= matrix[j, q] * matrix[m, q]
                matrix[j, m] = np.sqrt(max(left, 1e-300)) if j == m else left / matrix[m, m]
            for q in range(j):
                solved -= matrix[j, q] * vector[q]
            vector[j] = solved / matrix[j, j]
            half += np.log(matrix[j, j])
            total -= vector[j] ** 2
        chi_squared[at] = total
        log_determinant[at] = half
    return chi_squared, log_determinant


@numba.njit(cache=True, nogil=True)
def measure_dispersion(
    time: np.ndarray, value: np.ndarray, frequency: np.ndarray, n_bins: int
) -> np.ndarray:
    """Variance within phase bins over the variance, eqs. 1-3 of Stellingwerf 1978."""
    n = len(time)
    variance = np.var(value) * n / (n - 1)
    theta = np.empty(len(frequency))
    for at in range(len(frequency)):
        count = np.zeros(n_bins)
        first = np.zeros(n_bins)
        second = np.zeros(n_bins)
        for i in range(n):
            bin_ = min(int(((time[i] * frequency[at]) % 1.0) * n_bins), n_bins - 1)
            count[bin_] += 1
            first[bin_] += value[i]
            second[bin_] += value[i] ** 2
        within, freedom = 0.0, 0.0
        for b in range(n_bins):
            if count[b] > 1:
                within += second[b] - first[b] ** 2 / count[b]
                freedom += count[b] - 1
        theta[at] = within / freedom / variance if freedom > 0 and variance > 0 else 1.0
    return theta
