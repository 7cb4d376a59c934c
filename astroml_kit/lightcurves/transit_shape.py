"""How a planet dims its star: the geometry of an orbit and a star darker towards its limb."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._validation import check_real, invalid

# G times the mean density of the Sun (1.408 g/cm3), per day squared
G_DENSITY = 6.674_30e-8 * 1.408 * 86_400.0**2
N_NODES = 32
N_EXPOSURE = 7
LIMB = (0.40, 0.26)  # Sun-like star in the Kepler band, Claret & Bloemen 2011


def scaled_axis(period: Any, density: Any = 1.0) -> Any:
    """Semi-major axis in stellar radii by Kepler's third law.

    Parameters
    ----------
    period : array_like of float
        Days.
    density : array_like of float
        Mean density of the star, in that of the Sun.
    """
    return (G_DENSITY * np.asarray(density) * np.asarray(period) ** 2 / (3 * np.pi)) ** (1 / 3)


def transit_duration(period: Any, *, radius_ratio: Any, impact: Any, density: Any = 1.0) -> Any:
    """Time from first to last contact, in days; eq. 3 of Seager & Mallen-Ornelas (2003).

    Parameters
    ----------
    period : array_like of float
        Days.
    radius_ratio, impact : array_like of float
        Radius of the planet and smallest distance of the centres, in stellar radii.
    density : array_like of float
        Of the star, in that of the Sun. The orbit is a circle.

    Returns
    -------
    float or ndarray
        0 where the planet misses the star.

    Notes
    -----
    doi:10.1086/346105.

    Examples
    --------
    >>> round(24 * float(transit_duration(365.25, radius_ratio=0.0092, impact=0.0)), 1)
    13.1
    """
    axis = scaled_axis(period, density)
    chord = np.maximum((1 + np.asarray(radius_ratio)) ** 2 - np.asarray(impact) ** 2, 0)
    inclination = np.sqrt(np.maximum(1 - (np.asarray(impact) / axis) ** 2, 1e-12))
    return period / np.pi * np.arcsin(np.minimum(np.sqrt(chord) / (axis * inclination), 1))


def covered_light(
    distance: Any, radius_ratio: Any, *, limb_darkening: tuple[float, float] = LIMB
) -> np.ndarray:
    """Share of a star's light behind a dark disc, for quadratic limb darkening.

    The integral over rings of the star of Mandel & Agol (2002) done by quadrature, so that one
    rule serves every case; right to 1e-6.

    Parameters
    ----------
    distance, radius_ratio : array_like of float, broadcastable
        Of the centres, and of the planet, in stellar radii.
    limb_darkening : (float, float)
        Coefficients of ``1 - a (1 - mu) - b (1 - mu)^2``.

    Notes
    -----
    doi:10.1086/345520.
    """
    first, second = limb_darkening
    z, p = np.broadcast_arrays(np.abs(np.asarray(distance, float)), np.asarray(radius_ratio, float))
    share = np.zeros(z.shape)
    near = z < 1 + p
    z, p = z[near][:, None], p[near][:, None]
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)

    def shine(r: np.ndarray) -> np.ndarray:
        mu = np.sqrt(np.maximum(1 - r**2, 0))
        return 1 - first * (1 - mu) - second * (1 - mu) ** 2

    # rings wholly behind the planet, then those that its edge cuts; sines tame the square roots
    whole = np.clip(p - z, 0, 1)
    r = whole * (nodes + 1) / 2
    dark = np.sum(weights * shine(r) * 2 * np.pi * r, axis=1) * whole[:, 0] / 2
    low, high = np.minimum(np.abs(z - p), 1), np.minimum(z + p, 1)
    angle = nodes * np.pi / 2
    r = (low + high) / 2 + (high - low) / 2 * np.sin(angle)
    step = (high - low) / 2 * np.cos(angle) * np.pi / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.where(r * z > 0, (r**2 + z**2 - p**2) / (2 * r * z), np.sign(z - p))
    dark = dark + np.sum(weights * shine(r) * 2 * r * np.arccos(np.clip(cosine, -1, 1)) * step, 1)
    share[near] = dark / (np.pi * (1 - first / 3 - second / 6))
    return share


def transit_flux(
    time: Any,
    *,
    period: Any,
    epoch: Any,
    radius_ratio: Any,
    impact: Any = 0.0,
    density: Any = 1.0,
    limb_darkening: tuple[float, float] = LIMB,
    exposure: float = 0.0,
) -> np.ndarray:
    """Relative flux of a star with a transiting planet on a circular orbit.

    Parameters
    ----------
    time : array_like of float, shape (n,)
        Days.
    period, epoch : array_like of float, broadcastable to ``time``
        Days; mid-transit, in the days of ``time``.
    radius_ratio, impact : array_like of float, broadcastable to ``time``
        Radius of the planet and smallest distance of the centres, in stellar radii.
    density : array_like of float, broadcastable to ``time``
        Of the star, in that of the Sun.
    limb_darkening : (float, float)
        Quadratic coefficients; (0, 0) is a uniform disc.
    exposure : float
        Days over which each point averages: half-hour Kepler cadences blur the ingress.

    Returns
    -------
    ndarray of float, shape (n,)
        1 out of transit.

    Raises
    ------
    ValueError
        For periods, radii or densities that are not above 0.

    Examples
    --------
    >>> flux = transit_flux([0.0, 1.0], period=3.0, epoch=0.0, radius_ratio=0.1,
    ...                     limb_darkening=(0.0, 0.0))
    >>> flux.round(4).tolist()
    [0.99, 1.0]
    """
    for name, value in (("period", period), ("radius_ratio", radius_ratio), ("density", density)):
        check_real(name, value, above=0)
    if not exposure >= 0:
        raise invalid("exposure", "a number of days >= 0", exposure)
    days = np.asarray(time, dtype=float)
    parts = (period, epoch, radius_ratio, impact, density)
    period, epoch, ratio, b, rho = (
        np.broadcast_to(np.asarray(x, float), days.shape) for x in parts
    )
    axis = scaled_axis(period, rho)
    # away from the transit there is nothing to integrate
    cycle = (days - epoch) / period
    away = np.abs(cycle - np.round(cycle)) * period
    half = transit_duration(period, radius_ratio=ratio, impact=b, density=rho) / 2
    near = away <= half + exposure / 2
    flux = np.ones(days.shape)
    steps = np.array([0.0])
    if exposure > 0:
        steps = ((np.arange(N_EXPOSURE) + 0.5) / N_EXPOSURE - 0.5) * exposure
    rows = np.flatnonzero(near)
    angle = 2 * np.pi * ((days[rows] - epoch[rows])[:, None] + steps) / period[rows][:, None]
    distance = np.hypot(axis[rows][:, None] * np.sin(angle), b[rows][:, None] * np.cos(angle))
    wide = np.broadcast_to(ratio[rows][:, None], distance.shape)
    flux[rows] = 1 - covered_light(distance, wide, limb_darkening=limb_darkening).mean(axis=1)
    return flux
