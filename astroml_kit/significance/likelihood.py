"""Significance of a signal spread over bins of a score: a Li & Ma test for every bin at once.

One strength mu is common to all bins and each bin profiles its own background b_j,

    lnL = sum_j [ n_j ln(mu s_j + alpha_j b_j) - mu s_j - alpha_j b_j + m_j ln b_j - b_j ],

so a single bin gives back equation 17 of Li & Ma (1983, doi:10.1086/161295).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import check_counts, check_real, invalid

_STEPS = 80  # halvings of the bracket, which can span twelve decades of strength


def binned_significance(
    n_on: ArrayLike, n_off: ArrayLike, *, alpha: ArrayLike, signal: ArrayLike
) -> np.ndarray:
    """Signed likelihood-ratio significance of counts in bins that share one signal strength.

    Parameters
    ----------
    n_on, n_off : array_like, shape (..., n_bins)
        Counts in the ON and OFF regions, >= 0, broadcastable.
    alpha : array_like of float > 0, shape (..., n_bins)
        ON exposure / OFF exposure of each bin.
    signal : array_like of float >= 0, shape (..., n_bins)
        Predicted signal for strength 1. Only the shape over bins matters; a bin without
        predicted signal carries no information and is passed over.

    Returns
    -------
    ndarray of float, shape (...)
        sign(mu) sqrt(2 ln L(mu) / L(0)) at the best strength mu, which may be negative.

    Raises
    ------
    ValueError
        For negative or non-finite counts, alpha <= 0 or no predicted signal at all.

    Examples
    --------
    >>> round(float(binned_significance([5], [0], alpha=0.1, signal=1.0)), 3)
    4.897
    >>> round(float(binned_significance([12, 9], [200, 30], alpha=0.05, signal=[1, 2])), 2)
    3.97
    """
    return _fit(n_on, n_off, alpha, signal)[0]


def fit_strength(
    n_on: ArrayLike, n_off: ArrayLike, *, alpha: ArrayLike, signal: ArrayLike
) -> np.ndarray:
    """Most likely strength of the predicted signal; arguments as `binned_significance`.

    Examples
    --------
    >>> round(float(fit_strength([30, 20], [200, 100], alpha=0.1, signal=[10, 10])), 3)
    1.0
    """
    return _fit(n_on, n_off, alpha, signal)[1]


def _fit(n_on: Any, n_off: Any, alpha: Any, signal: Any) -> tuple[np.ndarray, np.ndarray]:
    n, m = check_counts("n_on", n_on), check_counts("n_off", n_off)
    a = check_real("alpha", alpha, above=0, next_step="A bin without exposure has to be merged.")
    s = check_real("signal", signal, at_least=0)
    n, m, a, s = np.broadcast_arrays(np.atleast_1d(n), m, a, s)
    total = s.sum(axis=-1, keepdims=True)
    if not np.all(total > 0):
        raise invalid("signal", "> 0 in at least one bin", signal, "Predict it for these runs.")
    share = s / total
    with np.errstate(all="ignore"):  # bins without signal or counts give 0/0, masked below
        strength = _maximise(n, m, a, share)
        significance = _compare(n, m, a, share, strength)
    return significance, strength / total[..., 0]


def _profile(
    n: np.ndarray, m: np.ndarray, a: np.ndarray, signal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best ON expectation x and OFF background b per bin for a fixed signal, without cancellation.

    The two are the larger roots of quadratics that share the discriminant ``d``; written as a
    hypot it is a sum of squares, and each root takes the form that adds numbers of one sign.
    """
    d = np.hypot(a * (n - m) - (1 + a) * signal, 2 * a * np.sqrt(n * m))
    p = (1 + a) * signal + a * (n + m)
    c = a * (n + m) - (1 + a) * signal
    x = np.where(p >= 0, (p + d) / (2 * (1 + a)), 2 * a * n * signal / (p - d))
    b = np.where(c >= 0, (c + d) / (2 * a * (1 + a)), 2 * m * signal / (d - c))
    return x, b


def _slope(
    n: np.ndarray, m: np.ndarray, a: np.ndarray, s: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """Derivative of the profile likelihood; falls through 0 at the best strength."""
    x, b = _profile(n, m, a, strength[..., None] * s)
    empty = np.where(x > 0, -s, s / a * (1 - m / b))
    terms = np.where(n > 0, s * (n / x - 1), np.where(strength[..., None] >= 0, -s, empty))
    return np.where(s > 0, terms, 0.0).sum(axis=-1)


def _maximise(n: np.ndarray, m: np.ndarray, a: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Bisect between the smallest and the largest strength that a single bin would choose."""
    single = (n - a * m) / s
    low = np.where(s > 0, single, np.inf).min(axis=-1)
    high = np.where(s > 0, single, -np.inf).max(axis=-1)
    rising = _slope(n, m, a, s, np.zeros(low.shape)) > 0
    across = (low < 0) & (high > 0)
    low, high = np.where(across & rising, 0.0, low), np.where(across & ~rising, 0.0, high)
    for _ in range(_STEPS):
        middle = low + 0.5 * (high - low)
        rising = _slope(n, m, a, s, middle) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return low + 0.5 * (high - low)


def _compare(
    n: np.ndarray, m: np.ndarray, a: np.ndarray, s: np.ndarray, strength: np.ndarray
) -> np.ndarray:
    """Signed root of twice the log-likelihood ratio, as a sum of small differences per bin."""
    x, b = _profile(n, m, a, strength[..., None] * s)
    x0, b0 = a * (n + m) / (1 + a), (n + m) / (1 + a)
    excess = (n - a * m) / (1 + a)
    up, down = (x - x0) / x0, (b - b0) / b0
    terms = (
        np.where(n > 0, n * _log1p_minus(up), 0.0)
        + np.where(m > 0, m * _log1p_minus(down), 0.0)
        + excess * (up - down)
    )
    ratio = np.where((s > 0) & (n + m > 0), terms, -np.where(s > 0, x + b, 0.0)).sum(axis=-1)
    return np.sign(strength) * np.sqrt(2 * np.maximum(ratio, 0.0))


def _log1p_minus(t: np.ndarray) -> np.ndarray:
    """ln(1 + t) - t, by series where the difference would cancel."""
    series = t * t * (-1 / 2 + t * (1 / 3 - t * (1 / 4 - t * (1 / 5 - t / 6))))
    return np.where(np.abs(t) < 1e-3, series, np.log1p(t) - t)
