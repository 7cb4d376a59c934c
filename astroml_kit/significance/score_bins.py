"""Counts in bins of a score whose OFF events are reused, and what their significance is worth.

Rotated OFF regions overlap, so one event adds to the background of several bins and rotations.
Here that is kept, and toys measure the tail probability that comes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import log_ndtr, logsumexp, ndtri_exp

from .._validation import check_counts, check_real, invalid
from .likelihood import binned_significance, fit_strength

_BLOCK = 1 << 22  # toy multiplicities drawn at a time: 32 MB
_TILT_FROM = 1.0  # beyond this significance toys are drawn where the tail is


class _Toys(NamedTuple):
    """Means of ON counts and OFF multiplicities: under the null, and as toys are drawn."""

    on_null: np.ndarray
    off_null: np.ndarray
    on_mean: np.ndarray
    off_mean: np.ndarray


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
        off = off[off.any(axis=1)]  # an event that adds nothing would only cost time
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

    def group(self, *, min_off: float = 16.0) -> np.ndarray:
        """Which bins to join, from the top, so that each has ``min_off`` effective OFF counts.

        The effective number is B_j^2 / C_jj. Looks at OFF and prediction only, never at ``n_on``.
        What remains below the last full group joins it.

        Returns
        -------
        ndarray of 0 and 1, shape (n_groups, n_bins)
            Lowest score first.
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
        for row, joined in enumerate(reversed(groups)):
            membership[row, joined] = 1.0
        return membership

    def merge(self, membership: np.ndarray | None = None) -> ScoreBins:
        """Join bins; by default those that `group` joins."""
        joined = self.group() if membership is None else membership
        return ScoreBins(joined @ self.n_on, joined @ self.signal, self.off @ joined.T)

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
        observed = self.significance
        growth = (self.n_on + self.n_off) / (1 + self.alpha) / self.n_off
        off_null = self.off @ growth / np.maximum(self.off.sum(axis=1), 1e-300)
        on_null = off_null @ self.off
        on_mean, off_mean = on_null, off_null
        if abs(observed) > _TILT_FROM:
            on_mean = np.maximum(self.background + self.strength * self.signal, 0.05 * on_null)
            off_mean = np.ones(len(off_null))
        log_p, relative = self._measure_tail(
            observed, _Toys(on_null, off_null, on_mean, off_mean), n_toys, rng
        )
        side = 1.0 if observed >= 0 else -1.0
        calibrated = -side * float(ndtri_exp(log_p))
        # dz/dp = -1 / pdf(z), in logarithms so that 50 sigma do not underflow
        log_pdf = -0.5 * calibrated**2 - 0.5 * np.log(2 * np.pi)
        error = float(relative * np.exp(log_p - log_pdf))
        return CalibratedSignificance(calibrated, observed, error, int(n_toys))

    def measure_tail(
        self,
        significance: float,
        *,
        n_toys: int = 4000,
        rng: np.random.Generator | int | None = 0,
    ) -> tuple[float, float]:
        """Probability of at least this significance (> 0) when ``background`` is all there is.

        Returns
        -------
        probability, relative_error : float
            Compare with ``scipy.stats.norm.sf(significance)``.
        """
        z = float(check_real("significance", significance, above=0))
        expected = {"n_off": self.n_off, "alpha": self.alpha, "signal": self.signal}

        def miss(strength: float) -> float:
            return (
                float(binned_significance(self.background + strength * self.signal, **expected)) - z
            )

        high = 1.0 / self.signal.sum()
        while miss(high) < 0:
            high *= 2
        growth = 1 + brentq(miss, 0.0, high) * self.signal / self.background
        ones = np.ones(len(self.off))
        toys = _Toys(
            self.background, ones, self.background * growth, np.exp(-self.off @ np.log(growth))
        )
        log_p, relative = self._measure_tail(z, toys, n_toys, rng)
        return float(np.exp(log_p)), relative

    def _measure_tail(
        self, observed: float, toys: _Toys, n_toys: int, rng: np.random.Generator | int | None
    ) -> tuple[float, float]:
        """Ln of the probability beyond ``observed``, on its own side of 0, and relative error."""
        n_toys = int(check_real("n_toys", n_toys, at_least=2))
        side = 1.0 if observed >= 0 else -1.0
        values, log_weight = self._draw_toys(toys, n_toys, np.random.default_rng(rng))
        beyond = np.where(side * values > side * observed, 1.0, 0.0)
        beyond[values == observed] = 0.5
        if not beyond.any():
            raise ValueError(
                f"n_toys must be large enough to reach {observed:.2f} sigma, got {n_toys}. "
                "Draw more."
            )
        log_p = float(logsumexp(log_weight, b=beyond)) - np.log(n_toys)
        log_p = min(log_p, np.log1p(-0.5 / n_toys))
        relative = np.std(beyond * np.exp(log_weight - log_p)) / np.sqrt(n_toys)
        return log_p, float(relative)

    def _draw_toys(
        self, toys: _Toys, n_toys: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Significances of toys without a source, and ln of their weights."""
        n_bins = len(self.n_on)
        on_null, off_null, on_mean, off_mean = toys
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
            result[block] = binned_significance(
                n_on[block], sums[:, :n_bins] / alpha, alpha=alpha, signal=self.signal
            )
        return result, log_weight


def resample_significance(runs: Sequence[ScoreBins], weights: ArrayLike) -> np.ndarray:
    """Significance of a stack in which run r counts ``weights[..., r]`` times, for a bootstrap.

    Parameters
    ----------
    runs : sequence of ScoreBins
        Runs in the same, merged bins.
    weights : array_like of int >= 0, shape (..., n_runs)
        Multiplicities; at least one run must count.

    Returns
    -------
    ndarray of float, shape (...)
    """
    weight = check_real("weights", weights, at_least=0)
    if weight.shape[-1:] != (len(runs),) or not np.all(weight.sum(axis=-1) > 0):
        raise invalid("weights", f"{len(runs)} per resampling and not all 0", weights)
    n_on, signal, background = (
        weight @ np.stack([getattr(run, name) for run in runs])
        for name in ("n_on", "signal", "background")
    )
    covariance = np.tensordot(weight, np.stack([run.covariance for run in runs]), axes=1)
    alpha = _find_alpha(background, covariance, signal, fallback=np.ones(n_on.shape))
    return binned_significance(n_on, background / alpha, alpha=alpha, signal=signal)


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
        raise invalid("off", "filled in every bin", background, "Merge bins first: bins.merge().")
    weight = np.where(filled, signal / np.where(filled, background, 1.0), 0.0)
    full = np.einsum("...j,...jk,...k->...", weight, covariance, weight)
    diagonal = (weight**2 * variance).sum(axis=-1)
    growth = np.maximum(1.0, full / np.where(diagonal > 0, diagonal, 1.0))
    alpha = growth[..., None] * variance / np.where(filled, background, 1.0)
    return alpha if fallback is None else np.where(filled, alpha, fallback)
