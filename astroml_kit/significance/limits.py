"""Upper limits on a signal that cannot be negative, with the coverage they claim."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, ndtri, pdtr, xlogy

from .li_ma import deviance_shape

_MANY = 1e6  # counts above which a Poisson is a normal for every purpose here
_N_NODES = 800  # OFF counts to sum over; more are thinned out evenly


def _deviance(counts: Any, mean: Any) -> Any:
    """Poisson deviance over two, ln P(counts | counts) - ln P(counts | mean)."""
    positive = np.maximum(mean, np.finfo(float).tiny)
    return mean * deviance_shape((counts - positive) / positive)


def profile_background(signal: Any, n_on: Any, n_off: Any, alpha: float) -> Any:
    """Most likely OFF expectation for a given signal in ON: Rolke et al. (2005), section 3."""
    sum_term = alpha * (n_on + n_off) - (1 + alpha) * signal
    root = np.hypot(sum_term, 2 * np.sqrt(alpha * (1 + alpha)) * np.sqrt(n_off * signal))
    larger = np.abs(sum_term) + root
    with np.errstate(divide="ignore", invalid="ignore"):
        mirrored = np.where(larger > 0, 2 * n_off * signal / larger, 0.0)
    return np.where(sum_term > 0, larger / (2 * alpha * (1 + alpha)), mirrored)


def bounded_statistic(signal: Any, n_on: Any, n_off: Any, alpha: float) -> Any:
    """Twice the log likelihood that a signal falls short of the best one that is >= 0."""
    off = profile_background(signal, n_on, n_off, alpha)
    fit = _deviance(n_on, signal + alpha * off) + _deviance(n_off, off)
    off = (n_on + n_off) / (1 + alpha)
    without = _deviance(n_on, alpha * off) + _deviance(n_off, off)
    best = np.where(n_on > alpha * n_off, 0.0, without)
    return 2 * (fit - best)


def deficit_probability(signal: float, n_on: float, n_off: float, alpha: float) -> float:
    """Probability of counts that speak at least as strongly against a signal as those seen.

    A sum over the Poisson probabilities of all (n_on, n_off), with the background that fits the
    counts seen best. "More strongly" means fewer ON counts than the signal asks for and a larger
    `bounded_statistic`; for given OFF counts these are all ON counts up to some number.
    """
    threshold = float(bounded_statistic(signal, n_on, n_off, alpha)) * (1 - 1e-9)
    mean_off = float(profile_background(signal, n_on, n_off, alpha))
    mean_on = signal + alpha * mean_off
    half = 9 * np.sqrt(mean_off) + 12
    if mean_off < _MANY:
        off = np.arange(max(0.0, np.floor(mean_off - half)), mean_off + half)
        off = off[:: len(off) // _N_NODES + 1]
        weights = np.exp(xlogy(off, mean_off) - gammaln(off + 1) - mean_off)
    else:
        off = np.floor(mean_off + np.linspace(-half, half, _N_NODES))
        weights = np.exp(-_deviance(off, mean_off))
    enough = np.ceil(signal + alpha * off)  # from here on the counts do not speak against it
    extreme = np.full(off.shape, -1.0)
    while True:
        middle = np.floor((enough + extreme) / 2)
        if not np.any((middle > extreme) & (middle < enough)):
            break
        speaks = bounded_statistic(signal, middle, off, alpha) >= threshold
        extreme = np.where(speaks, middle, extreme)
        enough = np.where(speaks, enough, middle)
    tail = np.where(extreme >= 0, pdtr(np.maximum(extreme, 0.0), mean_on), 0.0)
    return float(weights @ tail / weights.sum())


def find_upper_limit(n_on: float, n_off: float, alpha: float, confidence: float) -> float:
    """Upper limit on the expected signal counts in ON, for a signal that is >= 0.

    The larger of two limits, both from the profile likelihood of Rolke, Lopez & Conrad (2005),
    doi:10.1016/j.nima.2005.05.068, with the signal bounded at zero:

    - where it has fallen by z^2 / 2 from its best physical value, z being the one-sided
      quantile; this alone covers with many counts, but in 0.88 instead of 0.95 of cases with few;
    - where counts so low become too improbable, summed exactly over both Poisson distributions
      (the construction of Feldman & Cousins (1998), doi:10.1103/PhysRevD.57.3873, one-sided and
      with the background at its most likely value).
    """
    half = float(ndtri(confidence)) ** 2 / 2
    # d(statistic)/d(signal) = 2 (1 - n_on / mean_on) <= 2: the limit is at least here
    lowest = max(n_on - alpha * n_off, 0.0) + half
    width = 1 + half + np.sqrt(2 * half) * np.sqrt(n_on + alpha * (alpha * n_off))

    def fall(signal: float) -> float:
        return float(bounded_statistic(signal, n_on, n_off, alpha)) / 2 - half

    limit, highest = lowest, lowest + width
    if fall(lowest) < 0:
        while fall(highest) < 0:
            width *= 2
            highest += width
        limit = float(brentq(fall, lowest, highest, xtol=1e-9, maxiter=1000))
    if n_on > _MANY:
        return limit

    def excess_probability(signal: float) -> float:
        return deficit_probability(signal, n_on, n_off, alpha) - (1 - confidence)

    if excess_probability(limit) <= 0:
        return limit
    width = max(limit - lowest, 1.0) / 4
    highest = limit + width
    while excess_probability(highest) > 0:
        width *= 2
        highest += width
    return float(brentq(excess_probability, limit, highest, xtol=1e-6 * highest))
