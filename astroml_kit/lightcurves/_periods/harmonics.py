"""Harmonics shared by all bands, fitted at many frequencies: the period search's inner loop."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def fit_harmonics(
    time: np.ndarray,
    value: np.ndarray,
    variance: np.ndarray,
    band: np.ndarray,
    n_bands: int,
    first: np.ndarray,
    common: float,
    frequency: np.ndarray,
    ridges: np.ndarray,
    scales: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return penalised chi-squared and half the log-determinant: frequencies, ridges, scales.

    One offset per band, and harmonics that all bands share, of which a row of ``ridges`` holds one
    penalty each. The noise of a step has its own ``variance``, and a part of variance ``common``
    that all steps of an epoch have together (the epochs begin at ``first``); ``scales`` multiply
    the standard deviation of both.
    """
    n_terms = ridges.shape[1]
    weight = 1 / variance
    for e in range(len(first) - 1):  # a step alone needs no matrix
        if first[e + 1] - first[e] == 1:
            weight[first[e]] = 1 / (variance[first[e]] + common)
    chi_squared = np.empty((len(frequency), len(ridges), len(scales)))
    log_determinant = np.empty((len(frequency), len(ridges), len(scales)))
    for at in range(len(frequency)):
        matrix, vector, total = _add_up(
            time, value, weight, band, n_bands, first, common, frequency[at], n_terms
        )
        for r in range(len(ridges)):
            for s in range(len(scales)):
                factor = scales[s] ** -2
                scaled = matrix * factor
                for k in range(n_terms):
                    for j in (n_bands + 2 * k, n_bands + 2 * k + 1):
                        scaled[j, j] += ridges[r, k]
                left, half = solve_normal(scaled, vector * factor, total * factor)
                chi_squared[at, r, s] = left
                log_determinant[at, r, s] = half
    return chi_squared, log_determinant


@numba.njit(cache=True, nogil=True)
def _add_up(
    time: np.ndarray,
    value: np.ndarray,
    weight: np.ndarray,
    band: np.ndarray,
    n_bands: int,
    first: np.ndarray,
    common: float,
    frequency: float,
    n_terms: int,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the normal equations, of the matrix its lower half, and the weighted sum of squares.

    What an epoch has in common takes a matrix of rank one away (Sherman & Morrison 1950).
    """
    size = n_bands + 2 * n_terms
    matrix, vector, total = np.zeros((size, size)), np.zeros(size), 0.0
    cosines, sines = np.zeros(2 * n_terms + 1), np.zeros(2 * n_terms + 1)
    epoch = np.empty(size)
    for e in range(len(first) - 1):
        alone = first[e + 1] - first[e] == 1
        epoch[:] = 0.0
        epoch_value, epoch_weight = 0.0, 0.0
        for i in range(first[e], first[e + 1]):
            w, own, y = weight[i], band[i], value[i]
            angle = 2 * np.pi * ((time[i] * frequency) % 1.0)
            cosine, sine = np.cos(angle), np.sin(angle)
            c, s = w, 0.0
            matrix[own, own] += w
            vector[own] += w * y
            total += w * y**2
            for k in range(1, 2 * n_terms + 1):
                c, s = c * cosine - s * sine, s * cosine + c * sine
                cosines[k] += c
                sines[k] += s
                if k <= n_terms:
                    j = n_bands + 2 * k - 2
                    matrix[j, own] += c
                    matrix[j + 1, own] += s
                    vector[j] += c * y
                    vector[j + 1] += s * y
                    epoch[j] += c
                    epoch[j + 1] += s
            epoch[own] += w
            epoch_value += w * y
            epoch_weight += w
        if not alone:
            part = common / (1 + common * epoch_weight)
            total -= part * epoch_value**2
            for j in range(size):
                scaled = part * epoch[j]
                vector[j] -= scaled * epoch_value
                for m in range(j + 1):
                    matrix[j, m] -= scaled * epoch[m]
    cosines[0] = weight.sum()
    _add_products(matrix, cosines, sines, n_bands)
    return matrix, vector, total


@numba.njit(cache=True, nogil=True)
def _add_products(matrix: np.ndarray, cosines: np.ndarray, sines: np.ndarray, n_bands: int) -> None:
    """Products of harmonics are harmonics again: sums up to twice the order make the matrix."""
    for k in range(1, len(cosines) // 2 + 1):
        row = n_bands + 2 * k - 2
        for m in range(1, k + 1):
            column = n_bands + 2 * m - 2
            matrix[row, column] += 0.5 * (cosines[k - m] + cosines[k + m])
            matrix[row + 1, column + 1] += 0.5 * (cosines[k - m] - cosines[k + m])
            matrix[row + 1, column] += 0.5 * (sines[k + m] + sines[k - m])
            if m < k:
                matrix[row, column + 1] += 0.5 * (sines[k + m] - sines[k - m])


@numba.njit(cache=True, nogil=True)
def solve_normal(matrix: np.ndarray, vector: np.ndarray, total: float) -> tuple[float, float]:
    """What is left of the total, and half the log-determinant: Cholesky, in place."""
    half = 0.0
    for j in range(len(vector)):
        solved = vector[j]
        for m in range(j + 1):
            left = matrix[j, m]
            for q in range(m):
                left -= matrix[j, q] * matrix[m, q]
            # a column without weight is left at zero
            matrix[j, m] = np.sqrt(max(left, 1e-300)) if j == m else left / matrix[m, m]
        for q in range(j):
            solved -= matrix[j, q] * vector[q]
        vector[j] = solved / matrix[j, j]
        half += np.log(matrix[j, j])
        total -= vector[j] ** 2
    return total, half


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
