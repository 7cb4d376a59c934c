"""Light curves averaged in bins of time, band by band."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._validation import check_choice, check_real
from ._objects import Curves, Steps, add_days, add_notes, split_objects, to_days
from .curves import LightCurve


@dataclass(frozen=True)
class _Bins:
    """Bins of one object, in time order."""

    days: np.ndarray
    value: np.ndarray
    error: np.ndarray
    band: np.ndarray
    n_lost: int


def bin_lightcurves(curves: Curves, *, width: Any, n_min: int = 1, empty: str = "drop") -> Curves:
    """Average the steps of each band in bins of time.

    Parameters
    ----------
    curves : LightCurve or LightCurves
        Magnitudes are averaged as such: bins narrower than the star varies.
    width : float [d] or Quantity
        Bins begin at the first step of each object.
    n_min : int
        Steps below which a bin counts as empty.
    empty : {"drop", "mask"}
        Leave empty bins out, or keep those between the first and the last bin of an object as
        masked steps without a value, for what wants an even grid.

    Returns
    -------
    LightCurve or LightCurves
        Means weighted with 1 / error^2, at the mean time with the same weights (the middle of an
        empty bin); a straight line stays one. Errors are of these means, as the errors of the
        steps say; without any, they come from the scatter within all bins of the band, and bands
        without a bin of two steps are masked, unless there is none at all. Upper limits are
        masked and so in no bin. Notes: ``bin_width`` [d] and ``n_unbinned``, steps in no bin,
        masked ones included.

    Raises
    ------
    ValueError
        For a width not above 0 or another way with empty bins.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.time import Time
    >>> time = Time([58000.0, 58000.2, 58003.1], format="mjd", scale="utc")
    >>> curve = LightCurve(time, [14.0, 14.3, 14.5] * u.mag, [0.1, 0.2, 0.1] * u.mag)
    >>> binned = bin_lightcurves(curve, width=1.0)
    >>> binned.value.value.round(3).tolist(), binned.error.value.round(3).tolist()
    ([14.06, 14.5], [0.089, 0.1])
    """
    span = to_days("width", width)
    check_real("n_min", n_min, at_least=1)
    check_choice("empty", empty, ("drop", "mask"))
    parts = [_bin(steps, span, int(n_min), empty == "mask") for steps in split_objects(curves)]
    binned = _join(curves, parts)
    return add_notes(binned, bin_width=span, n_unbinned=np.array([part.n_lost for part in parts]))


def _join(curves: Curves, parts: list[_Bins]) -> Curves:
    columns = [(part.days, part.value, part.error, part.band) for part in parts]
    columns.append((np.zeros(0),) * 4)
    days, value, error, band = (np.concatenate(column) for column in zip(*columns, strict=True))
    known = bool(np.isfinite(error).any())
    mask = ~np.isfinite(error) if known else np.isnan(value)
    if isinstance(curves, LightCurve):
        unit = curves.value.unit
        names = None if curves.band is None else np.unique(np.asarray(curves.band))
        return replace(
            curves,
            time=add_days(curves.time[0], days) if len(curves) else curves.time,
            value=value * unit,
            error=error * unit if known else None,
            band=None if names is None else names[band.astype(int)],
            mask=mask,
            limit=None,
        )
    n_bins = [len(part.days) for part in parts]
    first = np.zeros(len(curves))
    first[curves.n_steps > 0] = curves.time[curves.offsets[:-1][curves.n_steps > 0]]
    return replace(
        curves,
        time=days + np.repeat(first, n_bins),
        value=value,
        error=error if known else None,
        band=None if curves.band is None else band.astype(curves.band.dtype),
        mask=mask,
        offsets=np.concatenate([[0], np.cumsum(n_bins)]).astype(int),
        limit=None,
    )


def _bin(steps: Steps, width: float, n_min: int, keep_empty: bool) -> _Bins:
    place = np.floor(steps.days / width + 1e-9).astype(int)  # 0.3 / 0.1 is a little less than 3
    n_bins = int(place.max()) + 1 if len(place) else 0
    columns: list[tuple[np.ndarray, ...]] = [(np.zeros(0),) * 4]
    n_binned = 0
    for own in steps.split_bands():
        use = own[steps.used[own]]
        code = steps.band[own[0]]
        bins, inverse, count = np.unique(place[use], return_inverse=True, return_counts=True)
        when, mean, error = _average(steps, use, inverse, count)
        good = count >= n_min
        n_binned += int(count[good].sum())
        columns.append((when[good], mean[good], error[good], np.full(good.sum(), code)))
        if keep_empty:
            rest = np.setdiff1d(np.arange(n_bins), bins[good])
            nothing = np.full(len(rest), np.nan)
            middle = (rest + 0.5) * width
            columns.append((middle, nothing, nothing, np.full(len(rest), code)))
    days, value, sigma, band = (np.concatenate(part) for part in zip(*columns, strict=True))
    order = np.lexsort((band, days))
    n_lost = len(steps.days) - n_binned
    return _Bins(days[order], value[order], sigma[order], band[order], n_lost)


def _average(
    steps: Steps, use: np.ndarray, inverse: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean time, mean value and its error in each bin; the error is NaN where nobody knows it."""
    weight = np.ones(len(use)) if steps.error is None else steps.error[use] ** -2.0
    total = np.bincount(inverse, weight, len(count))
    when = np.bincount(inverse, weight * steps.days[use], len(count)) / total
    mean = np.bincount(inverse, weight * steps.value[use], len(count)) / total
    if steps.error is not None:
        return when, mean, total**-0.5
    freedom = int(np.sum(count - 1))
    square = float(np.sum((steps.value[use] - mean[inverse]) ** 2))
    return when, mean, total**-0.5 * (np.sqrt(square / freedom) if freedom else np.nan)
