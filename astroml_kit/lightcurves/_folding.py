"""Folded light curves: harmonics, medians in phase and where a cycle begins; for all that folds."""

from __future__ import annotations

import numpy as np

from .periods import SLOPE


def scale_bands(value: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Return values with each band brought to mean 0 and scatter 1."""
    scaled = value.astype(np.float64)
    for which in np.unique(band):
        own = band == which
        scaled[own] = (value[own] - value[own].mean()) / (value[own].std() or 1.0)
    return scaled


def fit_waves(
    time: np.ndarray, value: np.ndarray, period: float, n_terms: int
) -> tuple[np.ndarray, float]:
    """Cosine and sine coefficients with a mild penalty, and the share of variance left."""
    order = np.arange(1, max(n_terms, 1) + 1)
    angle = 2 * np.pi * ((time / period) % 1)[:, None] * order
    design = np.column_stack([np.ones(len(time)), np.cos(angle), np.sin(angle)])
    penalty = np.concatenate([[0.0], np.tile(0.02 * order ** (2 * SLOPE), 2)])
    normal = design.T @ design
    normal[np.diag_indices(len(normal))] += penalty + 1e-9
    solved = np.linalg.solve(normal, design.T @ value)
    left = value - design @ solved
    variance = value.var()
    return solved[1:].reshape(2, -1), float(left.var() / variance) if variance else np.nan


def draw_waves(coefficient: np.ndarray, order: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Return the sum of harmonics at angles."""
    turns = angle[:, None] * order
    return np.cos(turns) @ coefficient[0] + np.sin(turns) @ coefficient[1]


def find_faintest(time: np.ndarray, value: np.ndarray, period: float, n_terms: int) -> float:
    """Phase, in cycles of ``period``, of the largest value of the fitted harmonics."""
    coefficient, _ = fit_waves(time, value, period, n_terms)
    grid = 2 * np.pi * np.arange(256) / 256
    shape = draw_waves(coefficient, np.arange(1, coefficient.shape[1] + 1), grid)
    return float(np.argmax(shape) / 256)


def take_medians(phase: np.ndarray, value: np.ndarray, n_bins: int) -> np.ndarray:
    """Median of each bin of phase, NaN where there is nothing."""
    bin_ = np.minimum((phase * n_bins).astype(int), n_bins - 1)
    order = np.lexsort((value, bin_))
    edge = np.searchsorted(bin_[order], np.arange(n_bins + 1))
    count = np.diff(edge)
    ranked = value[order]
    low = ranked[np.minimum(edge[:-1] + np.maximum(count - 1, 0) // 2, len(value) - 1)]
    high = ranked[np.minimum(edge[:-1] + count // 2, len(value) - 1)]
    return np.where(count > 0, (low + high) / 2, np.nan)


def fill_phases(values: np.ndarray) -> np.ndarray:
    """Return the values around a cycle with gaps filled by a line between their neighbours."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros(len(values))
    return np.interp(np.arange(len(values)), known, values[known], period=len(values))
