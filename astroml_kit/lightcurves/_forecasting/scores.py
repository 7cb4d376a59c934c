"""How forecasts are calibrated on what came before them, and scored on what came after."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from ..._validation import check_real, invalid

MOST_LEVELS = 99

PRIOR = 20  # residuals of a normal distribution that calibration begins with
MEMORY = 100.0  # residuals after which one counts 1/e


def check_levels(quantiles: Sequence[float]) -> np.ndarray:
    """Return levels of quantiles: two or more, ascending."""
    levels = check_real("quantiles", quantiles, above=0, below=1)
    if levels.ndim != 1 or not 2 <= len(levels) <= MOST_LEVELS or np.any(np.diff(levels) <= 0):
        raise invalid("quantiles", f"2 to {MOST_LEVELS} ascending levels", quantiles)
    return levels


def standardise(
    truth: np.ndarray, mean: np.ndarray, scatter: np.ndarray, *, below: np.ndarray,
    above: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Return residuals in standard deviations; limits become the median of what they leave."""
    z = (truth - mean) / scatter
    z = np.where(below, ndtri(np.maximum(0.5 * ndtr(z), 1e-12)), z)
    return np.where(above, -ndtri(np.maximum(0.5 * ndtr(-z), 1e-12)), z)


def find_deviates(residuals: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return where the levels lie among past residuals, the last of which counts most.

    Conformal prediction in time: the quantiles are those of what happened, weighted by age
    (Barber et al. 2023, doi:10.1214/23-AOS2276), and those of a normal distribution as long as
    little has happened.
    """
    age = np.arange(len(residuals))[::-1]
    at = np.concatenate([residuals, ndtri((np.arange(PRIOR) + 0.5) / PRIOR)])
    weight = np.concatenate([np.exp(-age / MEMORY), np.ones(PRIOR)])
    order = np.argsort(at, kind="stable")
    share = np.cumsum(weight[order]) - 0.5 * weight[order]
    return np.interp(levels, share / weight.sum(), at[order])


def calibrate(
    residuals: np.ndarray, known_after: np.ndarray, origin: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Return the deviates of every forecast, shape (n_levels, n).

    ``residuals`` (n,) are in the order of their times; each counts for forecasts whose
    ``origin`` is not before the step ``known_after`` at which it was known.
    """
    found = np.empty((len(levels), len(origin)))
    for row, now in enumerate(origin):
        past = residuals[known_after <= now]
        found[:, row] = find_deviates(past[np.isfinite(past)], levels)
    return found


def draw_blocks(n: int, *, block: int, n_draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows of resampled series, shape (n_draws, n): blocks of a circle.

    Politis & Romano 1992, "A circular block-resampling procedure for stationary data".
    """
    block = int(min(block, n))
    n_blocks = -(-n // block)
    start = rng.integers(n, size=(n_draws, n_blocks, 1))
    return ((start + np.arange(block)) % n).reshape(n_draws, -1)[:, :n]
