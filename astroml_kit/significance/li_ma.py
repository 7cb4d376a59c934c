"""Li & Ma's formula, fast for a million pairs and exact where ON and OFF nearly balance."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .._validation import check_counts, check_real

NO_ALPHA = "A run without OFF regions has no alpha: drop it or estimate its background another way"
_LARGEST = 1e150  # products of two such numbers stay finite
_BLOCK = 1 << 16  # pairs per block: few enough for the cache, enough to make calls worth it
_PAIRS_PER_THREAD = 1 << 17  # fewer are done before a thread has started
_TINY = np.finfo(float).tiny
_NEAR = 3e-3  # relative imbalance under which the logarithms would cancel


def _lies_within(array: np.ndarray, low: float, high: float) -> bool:
    """Whether all numbers of ``array`` are in range: two passes, and NaN is not."""
    if array.dtype.kind not in "iuf" or not array.size:
        return False
    return low <= float(array.min()) <= float(array.max()) <= high


def check_alpha(value: Any) -> np.ndarray:
    """Return alpha as a float array after checking that it can be an exposure ratio."""
    array = np.asarray(value)
    if _lies_within(array, 1 / _LARGEST, _LARGEST):
        return array.astype(float, copy=False)
    array = check_real("alpha", value, above=0, finite=False, next_step=NO_ALPHA)
    return check_real("alpha", array, at_least=1 / _LARGEST, at_most=_LARGEST)


def _check_counts(name: str, value: Any) -> np.ndarray:
    """Check counts and leave integers as they are."""
    array = np.asarray(value)
    if _lies_within(array, 0, _LARGEST):
        return array
    return check_real(name, check_counts(name, value), at_most=_LARGEST)


def deviance_shape(t: np.ndarray) -> np.ndarray:
    """Evaluate (1 + t) ln(1 + t) - t for t >= -1 without cancellation near t = 0.

    A Poisson deviance is ``2 mu deviance_shape((n - mu) / mu)``.
    """
    small = np.abs(t) < 0.01
    s = np.where(small, t, 0.0)
    series = 0.0
    for k in range(9, 1, -1):
        series = (-1) ** k / (k * (k - 1)) + s * series
    far = np.where(small, 0.0, np.maximum(t, -1.0))
    with np.errstate(divide="ignore"):
        log = np.where(far > -1, np.log1p(far), 0.0)
    return np.where(small, s * s * series, (1 + far) * log - far)


def significance_of_excess(excess: Any, total: Any, alpha: Any) -> np.ndarray:
    """Li & Ma from the excess and the total counts: exact for tiny excesses, but slower."""
    on, off = excess / np.maximum(alpha * total, _TINY), -excess / np.maximum(total, _TINY)
    half = (alpha * deviance_shape(on) + deviance_shape(off)) * (total / (1 + alpha))
    return np.copysign(np.sqrt(2 * half), excess)


def subtract_background(n_on: Any, n_off: Any, alpha: Any) -> np.ndarray:
    """Excess ``n_on - alpha n_off`` with the rounding of the product put back.

    Dekker's splitting (1971), doi:10.1007/BF01397083: each factor in two halves whose products
    are exact. Right to one rounding where ON and OFF balance, where it matters.
    """
    product = alpha * n_off
    halves = []
    for value in (alpha, n_off):
        high = 134217729.0 * value  # 2^27 + 1
        high = high - (high - value)
        halves.append((high, value - high))
    (a, a_low), (b, b_low) = halves
    rounding = ((a * b - product) + a * b_low + a_low * b) + a_low * b_low
    return (n_on - product) - rounding


def _fill_block(n_on: np.ndarray, n_off: np.ndarray, alpha: Any, out: np.ndarray) -> np.ndarray:
    """Li & Ma for one block, in place; returns the indices of the pairs too near to balance.

    With x = excess / (alpha total), n_on is (1 + x) times and n_off is (1 - alpha x) times its
    expectation without a source, and S^2 / 2 = n_on ln(1 + x) + n_off ln(1 - alpha x). Rounding
    1 + x moves both terms along the flat direction of the sum, so only the rounding of the
    second logarithm's argument has to be put back.
    """
    n_on, n_off = n_on.astype(float, copy=False), n_off.astype(float, copy=False)
    excess = n_off * alpha
    np.subtract(n_on, excess, out=excess)
    total = n_on + n_off
    on = total * alpha
    on += _TINY  # no counts: 0 / tiny
    np.divide(excess, on, out=on)
    np.abs(on, out=out)
    near = np.flatnonzero(out < _NEAR)
    on += 1.0
    shift = on - 1.0
    shift *= alpha
    off = 1.0 - shift
    np.subtract(1.0, off, out=out)
    out -= shift
    out *= total
    out /= 1.0 + alpha
    on += _TINY  # ln 0 would meet 0 counts
    np.maximum(off, _TINY, out=off)  # by rounding even below 0
    for ratio, counts in ((on, n_on), (off, n_off)):
        np.log(ratio, out=ratio)
        ratio *= counts
        out += ratio
    out *= 2.0
    out[near] = 0.0  # may have come out below 0
    np.sqrt(out, out=out)
    np.copysign(out, excess, out=out)
    return near


def _fill(n_on: np.ndarray, n_off: np.ndarray, alpha: np.ndarray, out: np.ndarray) -> None:
    """Li & Ma for one-dimensional arrays, block by block; alpha has as many entries or one."""
    near = [np.empty(0, dtype=np.intp)]
    for low in range(0, out.size, _BLOCK):
        block = slice(low, low + _BLOCK)
        ratio = alpha if alpha.size == 1 else alpha[block]
        near.append(low + _fill_block(n_on[block], n_off[block], ratio, out[block]))
    balanced = np.concatenate(near)
    for low in range(0, balanced.size, _BLOCK):
        rows = balanced[low : low + _BLOCK]
        on, off = n_on[rows].astype(float), n_off[rows].astype(float)
        ratio = alpha if alpha.size == 1 else alpha[rows]
        out[rows] = significance_of_excess(subtract_background(on, off, ratio), on + off, ratio)


def _look_up(n_on: np.ndarray, n_off: np.ndarray, alpha: np.ndarray, out: np.ndarray) -> bool:
    """Li & Ma from a table of all pairs that can occur; False when that is not worth it.

    With one alpha, integer counts repeat: a sky map of a million pixels has a few thousand
    different pairs.
    """
    if alpha.size > 1 or out.size < _BLOCK or {n_on.dtype.kind, n_off.dtype.kind} - {"i", "u"}:
        return False
    low_on, low_off = int(n_on.min()), int(n_off.min())
    n_rows, n_columns = int(n_on.max()) - low_on + 1, int(n_off.max()) - low_off + 1
    if n_rows * n_columns > out.size // 4:
        return False
    rows, columns = divmod(np.arange(n_rows * n_columns), n_columns)
    table = np.empty(rows.size)
    _fill(rows + low_on, columns + low_off, alpha, table)
    for low in range(0, out.size, _BLOCK):
        block = slice(low, low + _BLOCK)
        where = n_on[block].astype(np.intp)
        where -= low_on
        where *= n_columns
        where += n_off[block].astype(np.intp, copy=False)
        where -= low_off
        table.take(where, out=out[block], mode="clip")
    return True


def li_ma_significance(n_on: Any, n_off: Any, *, alpha: Any) -> Any:
    """Signed significance of an excess, eq. 17 of Li & Ma (1983), doi:10.1086/161295.

    The root of the likelihood ratio of "source and background" to "background only", with the
    sign of the excess ``n_on - alpha n_off``: a deficit is negative. Without a source it follows
    a standard normal once there are some ten counts on each side.

    Parameters
    ----------
    n_on, n_off : array_like, broadcastable
        Counts in the ON and OFF regions, >= 0; weighted counts need not be integers.
    alpha : array_like, > 0
        ON exposure / OFF exposure.

    Returns
    -------
    float or ndarray
        Significance in standard deviations; 0 where there are no counts at all. Right to about
        1e-12 of itself, also for tiny excesses of huge counts, and never NaN.

    Raises
    ------
    ValueError
        When counts are negative or not finite, alpha is not positive, or shapes do not fit.

    Notes
    -----
    Arrays are worked through in blocks that fit the processor's cache, large ones on several
    threads; the result does not depend on either.

    Examples
    --------
    >>> round(float(li_ma_significance(5, 0, alpha=0.1)), 3)
    4.897
    >>> li_ma_significance([354, 0], [3441, 5], alpha=[0.0758, 0.1]).round(2)
    array([ 5.25, -0.98])
    """
    on, off, ratio = _check_counts("n_on", n_on), _check_counts("n_off", n_off), check_alpha(alpha)
    try:
        shape = np.broadcast_shapes(on.shape, off.shape, ratio.shape)
    except ValueError:
        raise ValueError(
            f"n_on, n_off and alpha must be of shapes that broadcast, got {on.shape}, {off.shape} "
            f"and {ratio.shape}. Give one value each, or arrays of one shape."
        ) from None
    on, off = (np.broadcast_to(counts, shape).reshape(-1) for counts in (on, off))
    ratio = ratio.reshape(1) if ratio.size == 1 else np.broadcast_to(ratio, shape).reshape(-1)
    out = np.empty(on.size)

    def fill(start: int, stop: int) -> None:
        part = slice(start, stop)
        _fill(on[part], off[part], ratio if ratio.size == 1 else ratio[part], out[part])

    n_threads = min(os.cpu_count() or 1, out.size // _PAIRS_PER_THREAD)
    if not _look_up(on, off, ratio, out):
        if n_threads < 2:
            fill(0, out.size)
        else:
            edges = [out.size * i // n_threads for i in range(n_threads + 1)]
            with ThreadPoolExecutor(n_threads) as pool:
                list(pool.map(fill, edges[:-1], edges[1:]))
    return out.reshape(shape)[()]


def expected_significance(n_signal: Any, n_background: Any, *, alpha: Any) -> Any:
    """Significance that an expected signal reaches on average: Li & Ma of the expected counts.

    Li & Ma evaluated on the "Asimov" counts n_on = signal + background, n_off = background /
    alpha, which gives the median significance of many experiments; Cowan et al. (2011), section
    5, doi:10.1140/epjc/s10052-011-1554-0.

    Parameters
    ----------
    n_signal : array_like, >= 0
        Expected signal counts in the ON region.
    n_background : array_like, >= 0
        Expected background counts in the ON region.
    alpha : array_like, > 0
        ON exposure / OFF exposure.

    Returns
    -------
    float or ndarray
        Expected significance in standard deviations, >= 0.

    Examples
    --------
    >>> round(float(expected_significance(10, 4, alpha=0.1)), 2)
    3.6
    """
    signal = check_real("n_signal", n_signal, at_least=0, at_most=_LARGEST)
    background = check_real("n_background", n_background, at_least=0, at_most=_LARGEST)
    ratio = check_alpha(alpha)
    return significance_of_excess(signal, signal + background * (1 + 1 / ratio), ratio)[()]


def expected_exposure(
    significance: Any, rate_signal: Any, rate_background: Any, *, alpha: Any
) -> Any:
    """Exposure after which a source of known rate is expected at a given significance.

    All counts grow with the exposure and the expected significance with its square root, so this
    is the square of ``significance`` over the significance expected after one unit of exposure.

    Parameters
    ----------
    significance : array_like, >= 0
        Significance to reach, in standard deviations.
    rate_signal, rate_background : array_like, > 0 and >= 0
        Expected counts in the ON region per unit of exposure.
    alpha : array_like, > 0
        ON exposure / OFF exposure.

    Returns
    -------
    float or ndarray
        Exposure, in the unit that the rates are per: hours for counts per hour; a factor on the
        exposure in hand for counts in hand.

    Examples
    --------
    A source at 3 sigma needs (5/3)^2 of its exposure to reach 5 sigma:

    >>> one = float(expected_significance(10, 8, alpha=0.2))
    >>> round(float(expected_exposure(5, 10, 8, alpha=0.2)) - (5 / one) ** 2, 9)
    0.0
    """
    wanted = check_real("significance", significance, at_least=0)
    rate = check_real(
        "rate_signal", rate_signal, above=0, next_step="Without signal no exposure is enough."
    )
    return (wanted / expected_significance(rate, rate_background, alpha=alpha)) ** 2
