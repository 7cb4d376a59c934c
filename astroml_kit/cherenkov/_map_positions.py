"""Where a source is: a Gaussian on top of the background, fitted to the counts of the pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

# Width of a source in ON radii before looking, and the spread of its logarithm. A faint source says
# little of its width; left alone, the fit takes a lump of background for a sharp, well placed one.
_FIRST_WIDTH, _WIDTH_SPREAD = 0.65, 0.4
# Fisher's errors are those of bright sources. For faint ones they are too small by a factor that
# depends on counts / error alone; this makes the pulls of simulated sources 1 from 4 sigma on.
_FAINT = 6.0


class FittedSource(NamedTuple):
    """A Gaussian in pixels, errors from the curvature of the likelihood."""

    column: float
    row: float
    column_error: float
    row_error: float
    width: float
    width_error: float
    counts: float
    converged: bool


def make_gaussian(
    shape: tuple[int, int], column: float, row: float, width: float, counts: float
) -> np.ndarray:
    """Return the expected counts of a Gaussian source in the pixels of an image."""
    y = np.exp(-0.5 * ((np.arange(shape[0]) - row) / width) ** 2)
    x = np.exp(-0.5 * ((np.arange(shape[1]) - column) / width) ** 2)
    return counts / (2 * np.pi * width**2) * y[:, None] * x[None, :]


def fit_gaussian(
    counts: np.ndarray,
    background: np.ndarray,
    column: int,
    row: int,
    *,
    radius: float,
    width: float | None,
) -> FittedSource:
    """Fit position, counts and (unless given) width around a pixel, all in pixels.

    Poisson likelihood of the pixels within three ON radii, the background held at its measured
    value, and a wide log-normal prior on the width when that is fitted.
    """
    half = int(np.ceil(3 * radius))
    top, left = max(row - half, 0), max(column - half, 0)
    window = np.s_[top : row + half + 1, left : column + half + 1]
    y, x = np.mgrid[window]
    near = np.hypot(x - column, y - row) <= half
    seen, x, y = counts[window][near], x[near] - column, y[near] - row
    expected = np.maximum(background[window][near], 1e-12)
    free_width = width is None
    first = _FIRST_WIDTH * radius if width is None else width
    in_disc = np.hypot(x, y) <= radius
    excess = max(float((seen - expected)[in_disc].sum()), 1.0)
    share = 1 - np.exp(-0.5 * (radius / first) ** 2)
    start = [0.0, 0.0, excess / share, first]

    def predict(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Source counts, and their derivatives by the parameters."""
        dx, dy, s = x - p[0], y - p[1], p[3]
        shape = np.exp(-0.5 * (dx**2 + dy**2) / s**2) / (2 * np.pi * s**2)
        source = p[2] * shape
        slopes = [
            source * dx / s**2,
            source * dy / s**2,
            shape,
            source * ((dx**2 + dy**2) / s**3 - 2 / s),
        ]
        return source, np.array(slopes)

    def find_loss(free: np.ndarray) -> tuple[float, np.ndarray]:
        p = np.append(free, first) if len(free) == 3 else free
        source, slopes = predict(p)
        mean = expected + source
        loss = float(np.sum(mean) - np.sum(seen * np.log(mean)))
        slope = (slopes[: len(free)] * (1 - seen / mean)).sum(axis=1)
        if len(free) == 4:
            pull = np.log(p[3] / first) / _WIDTH_SPREAD
            loss += 0.5 * pull**2
            slope[3] += pull / _WIDTH_SPREAD / p[3]
        return loss, slope

    bounds = [(-radius, radius), (-radius, radius), (1e-3, None), (0.5, 2 * radius)]
    n_free = 4 if free_width else 3
    fit = minimize(find_loss, start[:n_free], jac=True, bounds=bounds[:n_free], method="L-BFGS-B")
    best = np.append(fit.x, first) if n_free == 3 else fit.x
    source, slopes = predict(best)
    slopes = slopes[:n_free]
    information = (slopes / (expected + source)) @ slopes.T
    if n_free == 4:
        information[3, 3] += 1 / (_WIDTH_SPREAD * best[3]) ** 2
    try:
        error = np.sqrt(np.diag(np.linalg.inv(information)))
        error[[0, 1, -1]] *= np.sqrt(1 + _FAINT * (error[2] / best[2]) ** 2)
    except np.linalg.LinAlgError:
        error = np.full(n_free, np.nan)
    at_limit = any(
        value <= low + 1e-6 or (high is not None and value >= high - 1e-6)
        for value, (low, high) in zip(fit.x, bounds, strict=False)
    )
    return FittedSource(
        column + float(best[0]),
        row + float(best[1]),
        float(error[0]),
        float(error[1]),
        float(best[3]),
        float(error[3]) if free_width else 0.0,
        float(best[2]),
        bool(fit.success and not at_limit and np.all(np.isfinite(error))),
    )
