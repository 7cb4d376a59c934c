"""Significance and p-value, and what many trials make of them, right far into the tail."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv, log_ndtr, ndtr, ndtri, ndtri_exp

from .._validation import check_real, invalid

_ONE_TRIAL = "The test itself is one trial."


def p_value_from_significance(significance: Any, *, log: bool = False) -> Any:
    """One-sided p-value of a significance: the normal's upper tail beyond it.

    One-sided: only an excess counts, 0 sigma is p = 0.5, 5 sigma is p = 2.87e-7. Two-sided values
    are twice as large.

    Parameters
    ----------
    significance : array_like of float
        In standard deviations; a deficit is negative and gives p > 0.5.
    log : bool
        Return ln p, which goes on where p itself falls below the smallest float, at 38 sigma.

    Returns
    -------
    float or ndarray
        p in [0, 1], or its natural logarithm.

    Examples
    --------
    >>> print(f"{p_value_from_significance(5.0):.3g}")
    2.87e-07
    >>> round(float(p_value_from_significance(47.0, log=True)), 1)
    -1109.3
    """
    z = check_real("significance", significance, at_least=-np.inf, finite=False)
    return (log_ndtr(-z) if log else ndtr(-z))[()]


def significance_from_p_value(p_value: Any, *, log: bool = False) -> Any:
    """Significance of a one-sided p-value: where the normal has this much above it.

    One-sided: p = 0.5 is 0 sigma, p > 0.5 is negative. Halve a two-sided p-value first.

    Parameters
    ----------
    p_value : array_like of float, in [0, 1]
        One-sided; with ``log`` its natural logarithm, <= 0. 0 is infinitely significant: a p-value
        that toys have put at "none of n" is not 0 but below about 3 / n.
    log : bool
        ``p_value`` is ln p.

    Returns
    -------
    float or ndarray
        In standard deviations.

    Examples
    --------
    >>> round(float(significance_from_p_value(2.866515718791933e-07)), 9)
    5.0
    """
    if log:
        return (-ndtri_exp(check_real("p_value", p_value, at_most=0, finite=False)))[()]
    return (-ndtri(check_real("p_value", p_value, at_least=0, at_most=1)))[()]


def correct_for_trials(p_value: Any, n_trials: Any) -> Any:
    """Post-trial p-value: the chance that any of ``n_trials`` independent tests does this well.

    ``1 - (1 - p)^n``, without rounding errors for p far below 1e-16, where it is ``n p``.

    Parameters
    ----------
    p_value : array_like of float, in [0, 1]
        Pre-trial p-value of the best test.
    n_trials : array_like of float, >= 1
        Number of independent tests; need not be whole, see `find_effective_trials`.

    Returns
    -------
    float or ndarray
        Post-trial p-value.

    See Also
    --------
    correct_significance : The same for significances, also beyond 38 sigma.

    Examples
    --------
    >>> print(f"{correct_for_trials(2.87e-7, 100):.4g}")
    2.87e-05
    """
    p = check_real("p_value", p_value, at_least=0, at_most=1)
    n = check_real("n_trials", n_trials, at_least=1, next_step=_ONE_TRIAL)
    with np.errstate(divide="ignore"):
        return (-np.expm1(n * np.log1p(-p)))[()]


def correct_significance(significance: Any, n_trials: Any) -> Any:
    """Post-trial significance: `correct_for_trials` without leaving the scale of sigmas.

    Parameters
    ----------
    significance : array_like of float
        Pre-trial significance of the best test, one-sided.
    n_trials : array_like of float, >= 1
        Number of independent tests.

    Returns
    -------
    float or ndarray
        Post-trial significance; never larger than the pre-trial one.

    Examples
    --------
    >>> round(float(correct_significance(5.0, 100)), 3)
    4.024
    """
    z = check_real("significance", significance)
    n = check_real("n_trials", n_trials, at_least=1, next_step=_ONE_TRIAL)
    # below, the probability of staying under z is multiplied; above, that of exceeding it added
    low = ndtri_exp(n * log_ndtr(np.minimum(z, 20.0)))
    high = -ndtri_exp(np.minimum(np.log(n) + log_ndtr(-np.maximum(z, 20.0)), 0.0))
    return np.where(z < 20.0, low, high)[()]


@dataclass(frozen=True)
class EffectiveTrials:
    """How many independent tests would exceed a threshold as often as the correlated ones do.

    Attributes
    ----------
    n_trials : float
        The effective number.
    interval : tuple of float
        Its confidence interval, from the number of toys alone.
    confidence : float
        Level of the interval.
    threshold : float
        Significance at which the number was determined; it grows slowly with the threshold.
    n_exceeding, n_toys : int
        Toys whose largest significance reached the threshold, and all toys.
    """

    n_trials: float
    interval: tuple[float, float]
    confidence: float
    threshold: float
    n_exceeding: int
    n_toys: int

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.n_trials:.3g} effective trials ({low:.3g} to {high:.3g}) at "
            f"{self.threshold:g} sigma, from {self.n_exceeding} of {self.n_toys} toys"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return {**asdict(self), "interval": list(self.interval)}


def find_effective_trials(
    max_significances: Any, *, threshold: float = 2.0, confidence: float = 0.68
) -> EffectiveTrials:
    """Effective number of trials from toys without a source.

    Tests on the same data are correlated: 80 boxes of cuts count as some 13 trials. Simulate the
    whole search without a source, keep the largest significance of each toy, and compare how
    often it reaches a threshold with how often one test would.

    Parameters
    ----------
    max_significances : array_like, shape (n_toys,)
        Largest significance of each toy over everything that was tried.
    threshold : float
        Significance at which to compare. Choose it high, but low enough that some tens of toys
        reach it: the number grows with the threshold, so that one found at 2 sigma is a lower
        estimate for a result at 5.
    confidence : float
        Level of the interval.

    Returns
    -------
    EffectiveTrials
        With the Clopper-Pearson interval of the fraction of toys, doi:10.1093/biomet/26.4.404.

    Raises
    ------
    ValueError
        When none or all of the toys reach the threshold.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> toys = rng.standard_normal((20_000, 10)).max(axis=1)
    >>> print(find_effective_trials(toys, threshold=2.5))
    9.92 effective trials (9.64 to 10.2) at 2.5 sigma, from 1199 of 20000 toys
    """
    toys = check_real("max_significances", max_significances)
    if toys.ndim != 1:
        raise invalid("max_significances", "one number per toy", f"shape {toys.shape}",
                      "Take the maximum over the tests first: toys.max(axis=1).")  # fmt: skip
    level = float(check_real("confidence", confidence, above=0, below=1))
    limit = float(check_real("threshold", threshold))
    n, k = toys.size, int(np.count_nonzero(toys >= limit))
    if not 0 < k < n:
        raise ValueError(
            f"threshold must be reached by some toys and not by all, got {k} of {n} at "
            f"{limit:g} sigma. {'Lower' if k == 0 else 'Raise'} it or make more toys."
        )
    tail = (1 - level) / 2
    fractions = [k / n, betaincinv(k, n - k + 1, tail), betaincinv(k + 1, n - k, 1 - tail)]
    best, low, high = (float(np.log1p(-f) / log_ndtr(limit)) for f in fractions)
    return EffectiveTrials(best, (low, high), level, limit, k, n)
