"""Transits: a box search over periods, candidates measured, and reasons to doubt each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from .._validation import check_choice, check_real, invalid
from ._transits.candidates import LEAST, search_star
from ._transits.search import find_trend, find_used, read_flux
from .curves import LightCurve, LightCurves

UNITS = {
    "period": u.day, "period_error": u.day, "duration": u.hour, "period_of_star": u.day,
}  # fmt: skip
COLUMNS = (
    "name", "planet", "period", "period_error", "epoch", "duration", "depth", "depth_error", "snr",
    "significance", "n_trials", "n_transits", "odd_even", "secondary_depth", "secondary_snr",
    "secondary_phase", "ingress", "depth_chi2", "dominance", "weakest", "asymmetry", "shoulder",
    "duration_ratio", "sine_share", "noise_factor", "depth_over_scatter", "contrast", "bump",
    "period_of_star", "aliases",
)  # fmt: skip


def join_lightcurves(curves: Sequence[LightCurve] | LightCurves, *, name: str = "") -> LightCurve:
    """Join the quarters or sectors of one star, each divided by its own median.

    Parameters
    ----------
    curves : sequence of LightCurve, or LightCurves
        Flux, in one time scale.
    name : str, optional
        Of the star; that of the first without it.

    Returns
    -------
    LightCurve
        Relative flux in time order; ``meta["n_joined"]`` says of how many.

    Raises
    ------
    ValueError
        For magnitudes, time scales that differ, or a median that is not above 0.

    Examples
    --------
    >>> from astropy.time import Time
    >>> quarters = [LightCurve(Time([day, day + 1], format="mjd", scale="tdb"), [flux] * 2 * u.ct)
    ...             for day, flux in ((55_100, 200.0), (55_000, 300.0))]
    >>> joined = join_lightcurves(quarters, name="star")
    >>> joined.time.mjd.tolist(), joined.value.value.tolist()
    ([55000.0, 55001.0, 55100.0, 55101.0], [1.0, 1.0, 1.0, 1.0])
    """
    parts = list(curves)
    if not parts:
        raise invalid("curves", "at least one light curve", "none")
    scales = sorted({part.time.scale for part in parts})
    if len(scales) > 1:
        raise ValueError(f"curves must have times of one scale, got {scales}. Convert them.")
    values, errors = [], []
    for part in parts:
        if part.value.unit == u.mag:
            raise invalid("curves", "in flux", "magnitudes", "Convert them to flux.")
        used = find_used(part)
        middle = np.median(part.value.value[used]) if used.any() else np.nan
        if not middle > 0:
            raise invalid("curves", "of a median flux above 0", f"{middle} in {part.name!r}")
        values.append(part.value.value / middle)
        errors.append(None if part.error is None else part.error.value / middle)
    jd1, jd2 = (np.concatenate([getattr(p.time, x) for p in parts]) for x in ("jd1", "jd2"))
    order = np.argsort(jd1 - jd1.min() + jd2, kind="stable")
    time = Time(jd1[order], jd2[order], format="jd", scale=scales[0])
    time.format = parts[0].time.format
    known = [error for error in errors if error is not None]
    return LightCurve(
        time,
        np.concatenate(values)[order] * u.dimensionless_unscaled,
        np.concatenate(known)[order] * u.dimensionless_unscaled
        if len(known) == len(parts)
        else None,
        mask=np.concatenate([np.asarray(part.mask) for part in parts])[order],
        name=name or parts[0].name,
        meta={**parts[0].meta, "n_joined": len(parts)},
    )


def mask_transits(curve: LightCurve, candidates: QTable, *, width: float = 1.6) -> LightCurve:
    """Mask the points of known planets, to look at the rest of a star or to inject others.

    Parameters
    ----------
    curve : LightCurve
    candidates : QTable
        Rows of `find_transits`, or any with ``period`` (NaN for a single event), ``epoch`` and
        ``duration``.
    width : float
        Durations to mask around each mid-transit.

    Returns
    -------
    LightCurve
    """
    check_real("width", width, above=0)
    inside = _find_inside(curve, candidates, width / 2)
    return replace(curve, mask=np.asarray(curve.mask) | inside)


def flatten_transits(
    curve: LightCurve, candidates: QTable, *, window: float | None = None
) -> LightCurve:
    """Divide by a running biweight that never bends at the points of transits, for plots and fits.

    Parameters
    ----------
    curve : LightCurve
        Flux or magnitudes.
    candidates : QTable
        Rows of `find_transits`.
    window : float, optional
        Days; six of the longest durations without it, at least 1.

    Returns
    -------
    LightCurve
        Relative flux about 1; steps that are masked, not finite or in runs of zeros are left out.
    """
    longest = candidates["duration"].to_value("day").max() if len(candidates) else 0.0
    span = window or max(1.0, 6 * float(longest))
    check_real("window", span, above=0)
    curve = curve.select(find_used(curve))
    time, flux, error = read_flux(curve)
    trend = find_trend(time, flux, _find_inside(curve, candidates, 0.75), span)
    seen = trend > 0
    curve, flux, error = curve.select(seen), flux[seen], error[seen]
    known, one = curve.error is not None, u.dimensionless_unscaled / trend[seen]
    return replace(curve, value=flux * one, error=error * one if known else None)


def _find_inside(curve: LightCurve, candidates: QTable, half: float) -> np.ndarray:
    inside = np.zeros(len(curve), dtype=bool)
    for row in candidates:
        days = (curve.time - row["epoch"]).to_value("day")
        period = row["period"].to_value("day")
        if np.isfinite(period):
            days = days - period * np.round(days / period)
        inside |= np.abs(days) < half * row["duration"].to_value("day")
    return inside


def find_transits(
    curve: LightCurve | LightCurves,
    *,
    period_min: float = 0.5,
    period_max: float | None = None,
    n_planets: int = 1,
    method: str = "bls",
    snr_min: float = 7.1,
    single_transits: bool = False,
    star_radius: float = 1.0,
    star_mass: float = 1.0,
    window: float | None = None,
) -> QTable:
    """Search light curves for planets, one after the other.

    A running biweight takes the trend out, never bending at points of planets found before; a box
    is tried at all periods, epochs and durations that the star allows; a trapezoid is fitted to the
    points of the best one; its points are put aside for the next planet.

    Parameters
    ----------
    curve : LightCurve or LightCurves
        Flux (not necessarily flat) or magnitudes. Quarters are joined by `join_lightcurves`.
    period_min, period_max : float
        Days; to the baseline without ``period_max``. At least two events are asked for.
    n_planets : int
        Most candidates per star.
    method : {"bls", "tls"}
        Box, or transit least squares (Hippke & Heller 2019, doi:10.1051/0004-6361/201834672) for
        the period; all else is measured alike. "tls" takes some ten times as long.
    snr_min : float
        Signal to noise below which to stop; 0 returns the best of noise as well.
    single_transits : bool
        Report an event that nothing repeats, with a period of NaN, if it was seen from before to
        after. Unless ``snr_min`` is 0 it is
        put aside in any case: what comes back is looked for behind it.
    star_radius, star_mass : float
        Of the Sun's; their mean density sets the durations.
    window : float, optional
        Days of the running biweight; three central transits of the longest period without it, at
        least 1.

    Returns
    -------
    QTable
        A row per candidate: ``name``, ``planet`` (1 is the first found), ``period`` and
        ``period_error``, ``epoch`` (mid-transit near the middle of the data), ``duration``
        (first to last contact, and an exposure), ``depth`` and ``depth_error`` (relative), ``snr``
        (with the noise of boxes as long, not of points), ``significance`` (of the box that was
        tried, in standard deviations, after ``n_trials`` of them), ``n_transits`` (with data), and
        to judge it by:

        - ``odd_even``: difference of odd and even events, in standard deviations;
        - ``secondary_depth``, ``secondary_snr``, ``secondary_phase``: deepest other box;
        - ``ingress``: 0 is a box, 1 a V;
        - ``depth_chi2``: per degree of freedom, of one depth for all events; ``dominance``: the
          strongest event's share; ``weakest``: signal to noise of the weakest;
        - ``asymmetry``, ``shoulder``: difference of the halves, and light missing just outside,
          in standard deviations;
        - ``duration_ratio``: to a central transit of the star; ``sine_share``: of chi-squared that
          a wave of the period would take away as well;
        - ``noise_factor``: of boxes over white noise; ``depth_over_scatter``;
        - ``contrast``: best peak over the best that is no harmonic; ``bump``: strongest
          brightening over the transit;
        - ``period_of_star``: on which an orbit of impact 0.4 has this duration;
        - ``aliases``: fractions of the period that gaps leave open, in days; the one nearest to
          ``period_of_star`` is the period.

        ``meta["too_short"]`` names curves with fewer than 50 steps that can be used,
        ``meta["n_unused"]`` counts steps that are masked or not finite.

    Raises
    ------
    ValueError
        For a flux whose median is not above 0, steps out of time order, or options outside of
        their range.
    ImportError
        When transitleastsquares is not installed and asked for.

    Notes
    -----
    Box search: Kovacs, Zucker & Mazeh 2002, doi:10.1051/0004-6361:20020802; frequencies: Ofir
    2014, doi:10.1051/0004-6361/201220860. ``n_trials`` counts all boxes, which overlap: for
    white noise ``significance`` errs on the safe side. ``snr`` does not: pure noise
    reaches 5, and 6 in one curve of a hundred. Outliers in the tails of real noise are not normal:
    a significance here is as good as they are few, and `inject_transits` says how good.

    Examples
    --------
    >>> from astroml_kit.lightcurves import inject_transits, simulate_lightcurves
    >>> star = simulate_lightcurves("constant", n=1, survey="kepler", random_state=1)
    >>> star = inject_transits(star, period=7.3, radius_ratio=0.05, random_state=1)
    >>> planet = find_transits(star, period_min=1.0)[0]
    >>> print(f"{planet['period']:.2f}, aliases: {planet['aliases'] or 'none'}")
    7.30 d, aliases: none
    """
    check_choice("method", method, ("bls", "tls"))
    for key, value in (("star_radius", star_radius), ("star_mass", star_mass)):
        check_real(key, value, above=0)
    check_real("n_planets", n_planets, at_least=1)
    check_real("snr_min", snr_min, at_least=0)
    if window is not None:
        check_real("window", window, above=0)
    rows: list[dict[str, Any]] = []
    too_short, n_unused = [], 0
    for one in [curve] if isinstance(curve, LightCurve) else curve:
        used = find_used(one)
        n_unused += int((~used).sum())
        if used.sum() < LEAST:
            too_short.append(one.name)
            continue
        found = search_star(
            *read_flux(one), periods=(period_min, period_max), n_planets=int(n_planets),
            method=method, snr_min=snr_min, single_transits=single_transits,
            star=(star_radius, star_mass), window=window,
        )  # fmt: skip
        for number, row in enumerate(found, 1):
            rows.append({"name": one.name, "planet": number, "start": one.time[0], **row})
    table = _make_table(rows)
    table.meta.update(too_short=too_short, n_unused=n_unused)
    return table


def _make_table(rows: list[dict[str, Any]]) -> QTable:
    table = QTable()
    for key in COLUMNS:
        if key == "epoch":
            start = [row["start"] for row in rows]
            days = np.array([row["epoch"] for row in rows])
            scale = start[0].scale if start else "tdb"
            time = Time(
                np.array([s.jd1 for s in start]), np.array([s.jd2 for s in start]) + days,
                format="jd", scale=scale,
            )  # fmt: skip
            if start:
                time.format = start[0].format
            table[key] = time
            continue
        kind: Any = {"name": "U32", "aliases": "U64", "planet": int, "n_transits": int}.get(key)
        if kind == "U32" or kind == "U64":
            table[key] = np.array([row[key] for row in rows], dtype=str if rows else kind)
        else:
            column = np.array([row[key] for row in rows], dtype=kind or float)
            table[key] = column * UNITS[key] if key in UNITS else column
    return table
