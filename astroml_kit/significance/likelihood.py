"""Significance of a signal spread over bins of a score: a Li & Ma test for every bin at once.

One strength mu is common to all bins and each bin profiles its own background b_j,

    lnL = sum_j [ n_j ln(mu s_j + alpha_j b_j) - mu s_j - alpha_j b_j + m_j ln b_j - b_j ],

so a single bin gives back equation 17 of Li & Ma (1983, doi:10.1086/161295).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr, logsumexp, ndtri_exp

from .._validation import check_counts, check_real, invalid

_STEPS = 80  # halvings of the bracket, which can span twelve decades of strength
_BLOCK = 1 << 22  # toy multiplicities drawn at a time: 32 MB
_TILT_FROM = 1.0  # beyond this significance toys are drawn where the tail is


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
    4.1
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


@dataclass(frozen=True)
class CalibratedSignificance:
    """A significance whose tail probability was measured with toys, one-sided.

    Parameters
    ----------
    significance : float
        Gaussian deviate of the measured tail probability.
    nominal : float
        What the likelihood ratio says when taken as a standard normal deviate.
    error : float
        Monte-Carlo standard error of ``significance``.
    n_toys : int
        Toys drawn.
    """

    significance: float
    nominal: float
    error: float
    n_toys: int

    def __str__(self) -> str:
        return f"{self.significance:.2f} +- {self.error:.2f} sigma (nominal {self.nominal:.2f})"

    @property
    def tail_ratio(self) -> float:
        """True tail probability / nominal tail probability."""
        side = 1.0 if self.nominal >= 0 else -1.0
        return float(np.exp(log_ndtr(-side * self.significance) - log_ndtr(-side * self.nominal)))

    def to_dict(self) -> dict[str, float]:
        """Return the fields."""
        return {
            "significance": self.significance,
            "nominal": self.nominal,
            "error": self.error,
            "n_toys": self.n_toys,
        }


@dataclass(frozen=True, eq=False)
class ScoreBins:
    """ON counts, predicted signal and reused OFF events in bins of a score.

    Parameters
    ----------
    n_on : array_like, shape (n_bins,)
        Counts in the ON region, lowest score first.
    signal : array_like, shape (n_bins,)
        Predicted signal for strength 1.
    off : array_like, shape (n_events, n_bins)
        What each OFF event adds to the expected background of each ON bin. With M rotations of
        the ON disc: the number of rotations in which the event falls in the bin, over M.

    Notes
    -----
    Rotations reuse events, so the background of a bin, B_j = sum_e off_ej, has the variance
    C_jj = sum_e off_ej^2 and bins are correlated, C_jk = sum_e off_ej off_ek. A Poisson count
    with the same mean and variance has alpha_j = C_jj / B_j; the factor
    q = max(1, w'Cw / sum_j w_j^2 C_jj), w_j = s_j / B_j, keeps what correlations add.
    """

    n_on: np.ndarray
    signal: np.ndarray
    off: np.ndarray

    def __post_init__(self) -> None:
        n_on, signal = (
            check_counts("n_on", self.n_on),
            check_real("signal", self.signal, at_least=0),
        )
        off = check_real("off", self.off, at_least=0)
        if n_on.ndim != 1 or signal.shape != n_on.shape or off.shape[1:] != n_on.shape:
            raise ValueError(
                f"n_on, signal and off must share their bins, got shapes {n_on.shape}, "
                f"{signal.shape} and {off.shape}. off is (n_events, n_bins)."
            )
        for name, value in (("n_on", n_on), ("signal", signal), ("off", off)):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        return (
            f"{len(self.n_on)} score bins: {self.n_on.sum():.0f} on, "
            f"{self.background.sum():.1f} expected, {self.significance:.2f} sigma"
        )

    @cached_property
    def background(self) -> np.ndarray:
        """Expected background of each ON bin."""
        return self.off.sum(axis=0)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of ``background``."""
        return self.off.T @ self.off

    @cached_property
    def alpha(self) -> np.ndarray:
        """ON / OFF exposure of the equivalent Poisson counts."""
        return _find_alpha(self.background, self.covariance, self.signal)

    @property
    def n_off(self) -> np.ndarray:
        """OFF counts that have the mean and variance of the background."""
        return self.background / self.alpha

    @cached_property
    def significance(self) -> float:
        """Signed likelihood-ratio significance, `binned_significance`."""
        arguments = {"alpha": self.alpha, "signal": self.signal}
        return float(binned_significance(self.n_on, self.n_off, **arguments))

    @property
    def strength(self) -> float:
        """Most likely strength of the predicted signal."""
        return float(fit_strength(self.n_on, self.n_off, alpha=self.alpha, signal=self.signal))

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of each bin and the result."""
        return {
            "n_on": self.n_on.tolist(),
            "signal": self.signal.tolist(),
            "background": self.background.tolist(),
            "alpha": self.alpha.tolist(),
            "significance": self.significance,
        }

    @classmethod
    def stack(cls, runs: Sequence[ScoreBins]) -> ScoreBins:
        """Add runs that were binned in the same score."""
        if not runs:
            raise ValueError("runs must be a non-empty list of ScoreBins, got [].")
        return cls(
            np.sum([run.n_on for run in runs], axis=0),
            np.sum([run.signal for run in runs], axis=0),
            np.concatenate([run.off for run in runs]),
        )

    def merge(self, *, min_off: float = 16.0) -> ScoreBins:
        """Join bins from the top until each has ``min_off`` effective OFF counts, B_j^2 / C_jj.

        Looks at OFF and prediction only, never at ``n_on``. What remains below the last full
        group joins it.
        """
        check_real("min_off", min_off, at_least=1)
        groups: list[list[int]] = [[]]
        for j in reversed(range(len(self.n_on))):
            groups[-1].append(j)
            column = self.off[:, groups[-1]].sum(axis=1)
            if column.sum() ** 2 >= min_off * (column @ column) > 0:
                groups.append([])
        if len(groups) > 1:
            left_over = groups.pop()
            groups[-1] += left_over
        membership = np.zeros((len(groups), len(self.n_on)))
        for row, group in enumerate(reversed(groups)):
            membership[row, group] = 1.0
        return ScoreBins(membership @ self.n_on, membership @ self.signal, self.off @ membership.T)

    def calibrate(
        self, *, n_toys: int = 2000, rng: np.random.Generator | int | None = 0
    ) -> CalibratedSignificance:
        """Measure the tail probability of ``significance`` when there is no source.

        The truth of the toys is the background that fits ON and OFF best without a source. ON
        counts are Poisson and OFF events get Poisson multiplicities, so their reuse and
        correlation is that of the data. Beyond 1 sigma toys are drawn with the source that was
        found, in which this result is an ordinary one, and weighted back (importance sampling):
        5 or 50 sigma take as few toys as 2.

        Parameters
        ----------
        n_toys : int
            Toys to draw.
        rng : Generator, int or None
            Source of randomness; the default makes the result repeatable.

        Returns
        -------
        CalibratedSignificance
        """
        n_toys = int(check_real("n_toys", n_toys, at_least=2))
        rng = np.random.default_rng(rng)
        observed = self.significance
        side = 1.0 if observed >= 0 else -1.0
        toys, log_weight = self._draw_toys(abs(observed) > _TILT_FROM, n_toys, rng)
        beyond = np.where(side * toys > side * observed, 1.0, 0.0)
        beyond[toys == observed] = 0.5
        if not beyond.any():
            raise ValueError(
                f"n_toys must be large enough to reach {observed:.2f} sigma, got {n_toys}. "
                "Draw more."
            )
        log_p = min(
            float(logsumexp(log_weight, b=beyond)) - np.log(n_toys), np.log1p(-0.5 / n_toys)
        )
        calibrated = -side * float(ndtri_exp(log_p))
        relative = np.std(beyond * np.exp(log_weight - log_p)) / np.sqrt(n_toys)
        # dz/dp = -1 / pdf(z), in logarithms so that 50 sigma do not underflow
        log_pdf = -0.5 * calibrated**2 - 0.5 * np.log(2 * np.pi)
        error = float(relative * np.exp(log_p - log_pdf))
        return CalibratedSignificance(calibrated, observed, error, n_toys)

    def _draw_toys(
        self, tilted: bool, n_toys: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Significances of toys without a source, and ln of their weights."""
        n_bins = len(self.n_on)
        growth = (self.n_on + self.n_off) / (1 + self.alpha) / self.n_off
        off_null = self.off @ growth / np.maximum(self.off.sum(axis=1), 1e-300)
        on_null = off_null @ self.off
        on_mean, off_mean = on_null, off_null
        if tilted:
            on_mean = np.maximum(self.background + self.strength * self.signal, 0.05 * on_null)
            off_mean = np.ones(len(off_null))
        n_on = rng.poisson(on_mean, size=(n_toys, n_bins)).astype(float)
        log_weight = (on_mean - on_null).sum() + n_on @ np.log(on_null / on_mean)
        pairs = [(j, k) for j in range(n_bins) for k in range(j, n_bins)]
        products = np.stack([self.off[:, j] * self.off[:, k] for j, k in pairs], axis=1)
        ratio = np.log(off_null / off_mean)[:, None]
        moments = np.concatenate([self.off, products, ratio], axis=1)
        result = np.empty(n_toys)
        rows = max(1, _BLOCK // max(1, len(off_mean)))
        for start in range(0, n_toys, rows):
            block = slice(start, min(start + rows, n_toys))
            size = block.stop - block.start
            sums = rng.poisson(off_mean, size=(size, len(off_mean))) @ moments
            log_weight[block] += (off_mean - off_null).sum() + sums[:, -1]
            covariance = np.empty((size, n_bins, n_bins))
            for column, (j, k) in enumerate(pairs):
                covariance[:, j, k] = covariance[:, k, j] = sums[:, n_bins + column]
            alpha = _find_alpha(sums[:, :n_bins], covariance, self.signal, fallback=self.alpha)
            result[block] = _fit(n_on[block], sums[:, :n_bins] / alpha, alpha, self.signal)[0]
        return result, log_weight


def _find_alpha(
    background: np.ndarray,
    covariance: np.ndarray,
    signal: np.ndarray,
    *,
    fallback: np.ndarray | None = None,
) -> np.ndarray:
    """Return alpha of Poisson counts with this mean and variance, shape (..., n_bins)."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    filled = background > 0
    if fallback is None and not np.all(filled):
        raise invalid(
            "off", "filled in every bin", background, "Merge bins first: bins.merge(min_off=16)."
        )
    weight = np.where(filled, signal / np.where(filled, background, 1.0), 0.0)
    full = np.einsum("...j,...jk,...k->...", weight, covariance, weight)
    diagonal = (weight**2 * variance).sum(axis=-1)
    growth = np.maximum(1.0, full / np.where(diagonal > 0, diagonal, 1.0))
    alpha = growth[..., None] * variance / np.where(filled, background, 1.0)
    return alpha if fallback is None else np.where(filled, alpha, fallback)
