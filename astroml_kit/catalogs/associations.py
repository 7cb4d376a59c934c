"""How probable each match is, from the errors of both positions and the crowding of the sky."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_real, invalid
from ._sphere import Sky
from .matching import check_radius, count_pairs, find_pairs

ANNULUS = (1.0, 4.0)  # radii between which the density of chance neighbours is counted
MOST_STEPS = 500


def evaluate_matches(
    first: SkyCoord,
    second: SkyCoord,
    *,
    radius: u.Quantity,
    first_error: u.Quantity,
    second_error: u.Quantity,
    completeness: float | None = None,
    density: u.Quantity | None = None,
    weight: Any = None,
) -> QTable:
    """Give every pair within a radius the probability that it is one source.

    Of each row of ``first`` at most one row of ``second`` is the counterpart. It lies off by the
    errors of both, all others are there by chance.

    Parameters
    ----------
    first, second : SkyCoord, shapes (n_first,) and (n_second,)
    radius : Quantity
        Some five of the combined errors: what is beyond is not looked at, and ``meta`` says how
        many counterparts that loses.
    first_error, second_error : Quantity, one for all or one per row
        Standard deviation of a position along one axis.
    completeness : float between 0 and 1, optional
        Share of ``first`` whose counterpart is in ``second``; without it the most likely one.
    density : Quantity, per solid angle, optional
        Of ``second``; without it, counted from one to four radii around the rows of ``first``.
    weight : array_like, shape (n_second,), optional
        How much more often counterparts look like each row of ``second`` than the rest of the
        sky does: the ratio q(m) / n(m) of magnitude distributions, say.

    Returns
    -------
    QTable
        As `match_catalogs` with ``keep="all"``, and per pair ``log_bayes_factor`` (decimal, eq. 16
        of Budavari & Szalay 2008), ``likelihood_ratio`` (Sutherland & Saunders 1992, eq. 4, of
        which completeness is no part), ``probability``, ``probability_none`` (that the row of
        ``first`` has no counterpart among these) and ``best`` (whether it is the most probable
        one of its row). ``meta`` has ``completeness``, ``density`` and ``share_outside``.

    Raises
    ------
    ValueError
        For errors that are not above 0, a completeness out of range, a weight below 0, or a sky
        so empty that its density cannot be counted.

    References
    ----------
    Budavari & Szalay 2008, doi:10.1086/587156; Sutherland & Saunders 1992,
    doi:10.1093/mnras/259.3.413.

    Examples
    --------
    >>> first = SkyCoord([10.0], [0.0], unit="deg")
    >>> second = SkyCoord([10.0, 10.001], [0.0001, 0.0], unit="deg")
    >>> pairs = evaluate_matches(first, second, radius=5 * u.arcsec, first_error=1 * u.arcsec,
    ...     second_error=0.3 * u.arcsec, completeness=0.9, density=1e4 / u.deg**2)
    >>> pairs["best"].tolist(), pairs["probability"].round(3).tolist()
    ([True, False], [0.997, 0.003])
    """
    limit = check_radius("radius", radius)
    one, two = Sky.open("first", first), Sky.open("second", second, frame=first)
    errors = [
        _read_errors(name, given, len(coords))
        for name, given, coords in (
            ("first_error", first_error, first), ("second_error", second_error, second)
        )
    ]  # fmt: skip
    rate = _find_density(one, two, limit) if density is None else _read_density(density)
    row, partner, separation = find_pairs(one, two, limit)
    variance = errors[0][row] ** 2 + errors[1][partner] ** 2
    log_shape = -0.5 * separation**2 / variance - np.log(variance)
    log_ratio = log_shape - np.log(2 * np.pi * rate)
    if weight is not None:
        log_ratio = log_ratio + _read_weight(weight, len(second))[partner]
    if completeness is None:
        completeness = _find_completeness(row, log_ratio, one)
    else:
        check_real("completeness", completeness, at_least=0, at_most=1)
    share, none = _share_out(row, log_ratio, float(completeness), one.n_rows)
    table = QTable(
        {
            "first": row, "second": partner, "separation": (separation * u.rad).to(u.arcsec),
            "log_bayes_factor": (np.log(2) + log_shape) / np.log(10),
            "likelihood_ratio": np.exp(np.minimum(log_ratio, 700)), "probability": share,
            "probability_none": none[row], "best": _mark_best(row, share),
        }
    )  # fmt: skip
    typical = np.median(errors[0]) ** 2 + np.median(errors[1]) ** 2
    table.meta.update(
        completeness=float(completeness), density=rate / u.sr,
        share_outside=float(np.exp(-0.5 * limit**2 / typical)),
        n_first=one.n_rows, n_second=two.n_rows,
        n_without_position=(one.n_without_position, two.n_without_position),
    )  # fmt: skip
    return table


def _read_errors(name: str, error: Any, n: int) -> np.ndarray:
    try:
        values = np.atleast_1d(error.to_value("rad"))
    except (AttributeError, u.UnitConversionError):
        raise invalid(name, "an angle", repr(error), "Give it as 0.5 * u.arcsec.") from None
    check_real(name, values, above=0)
    if values.shape not in ((1,), (n,)):
        raise invalid(name, f"one angle or {n}, one per row", f"{values.shape[0]} of them")
    return np.broadcast_to(values, (n,))


def _read_density(density: Any) -> float:
    try:
        value = density.to_value("1 / sr")
    except (AttributeError, u.UnitConversionError):
        raise invalid(
            "density", "a number per solid angle", repr(density), "Give it as 5000 / u.deg**2."
        ) from None
    return float(check_real("density", value, above=0))


def _read_weight(weight: Any, n: int) -> np.ndarray:
    values = check_real("weight", np.asarray(weight, dtype=float), at_least=0)
    if values.shape != (n,):
        raise invalid("weight", f"of shape ({n},), one per row of second", values.shape)
    with np.errstate(divide="ignore"):
        return np.log(values)


def _find_density(one: Sky, two: Sky, limit: float) -> float:
    """Rows of the second list per steradian around those of the first, true pairs left out."""
    inner, outer = (min(limit * factor, np.pi) for factor in ANNULUS)
    inside, all_ = count_pairs(one, two, np.array([inner, outer]))
    if all_ == inside:
        raise ValueError(
            "density must be given where no row of second lies from one to four radii around "
            "those of first, got None. Count it in a wider field."
        )
    solid_angle = 2 * np.pi * (np.cos(inner) - np.cos(outer))
    return float((all_ - inside) / (len(one.rows) * solid_angle))


def _share_out(
    row: np.ndarray, log_ratio: np.ndarray, completeness: float, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each pair, and per row of the first list that of no counterpart."""
    top = np.zeros(n)  # the hypothesis of no counterpart has a ratio of 1
    np.maximum.at(top, row, log_ratio)
    own = completeness * np.exp(log_ratio - top[row])
    none = (1 - completeness) * np.exp(-top)
    total = none + np.bincount(row, own, n)
    total[total == 0] = 1.0  # certainly complete, and nothing near: no pair asks for it
    return own / total[row], none / total


def _find_completeness(row: np.ndarray, log_ratio: np.ndarray, one: Sky) -> float:
    """Most likely completeness, by expectation and maximisation: a mixture with known parts."""
    if not len(row):
        return 0.0
    value = 0.5
    for _ in range(MOST_STEPS):
        share, _ = _share_out(row, log_ratio, value, one.n_rows)
        following = min(float(share.sum() / len(one.rows)), 1.0)
        if abs(following - value) < 1e-9:
            break
        value = following
    return following


def _mark_best(row: np.ndarray, share: np.ndarray) -> np.ndarray:
    best = np.zeros(len(row), dtype=bool)
    order = np.lexsort((-share, row))
    begin = np.flatnonzero(np.diff(row[order], prepend=-1))
    best[order[begin]] = True
    return best
