"""Friends of friends among galaxies with redshifts, cut where two dense cores merely touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike

from .._validation import check_real, invalid
from ._friend_pairs import SPEED_OF_LIGHT, Links, label_friends
from ._sphere import Sky
from .groups import Groups, add_columns, build_groups, find_vectors, number_by_size

# Bluest galaxies of the Virgo cluster: -0.0025. Beyond this it is a mistake.
_LOWEST, _HIGHEST = -0.01, 20.0


def find_friends(
    coords: SkyCoord,
    redshift: ArrayLike,
    *,
    separation: u.Quantity,
    velocity: u.Quantity,
    min_angle: u.Quantity = 0 * u.deg,
    redshift_floor: float = 0.002,
    scaling: Callable[[np.ndarray], ArrayLike] | ArrayLike | None = None,
    min_prominence: float | None = None,
    smoothing: float = 0.5,
    min_members: int = 2,
    cosmology: Any = None,
    randoms: SkyCoord | None = None,
    n_resamples: int = 0,
    drop: float = 0.1,
    rng: Any = None,
) -> Groups:
    """Find groups in a redshift survey by friends of friends.

    Two galaxies are friends when they are within the linking length of each other in projection
    and within the linking velocity along the line of sight (Huchra & Geller 1982,
    doi:10.1086/160000); friends of friends are one group.

    Parameters
    ----------
    coords : SkyCoord, shape (n,)
        In any frame.
    redshift : array_like of float, shape (n,)
        Rows without a finite position or redshift are in no group, and counted. Of nearby
        galaxies it may be slightly negative.
    separation : Quantity
        Linking length across the line of sight, such as 0.5 Mpc, comoving, at the distance that
        the redshift says.
    velocity : Quantity
        Linking length along it, such as 1000 km/s, in the rest frame of the pair.
    min_angle : Quantity
        Galaxies nearer than this on the sky are near however distant: for surveys that thin out
        with distance, or groups that were defined on the sky.
    redshift_floor : float
        Redshifts below are taken as this one where they stand for a distance: they are mostly
        peculiar velocity, 600 km/s at 0.002, and may be negative.
    scaling : callable or array_like of float, optional
        Factor of both linking lengths for each galaxy, or a function of the redshifts that gives
        it: ``lambda z: 1 + a * np.arctan(z / b)`` (Tempel et al. 2014,
        doi:10.1051/0004-6361/201423585), or the density to the power -1/3 (Eke et al. 2004,
        doi:10.1111/j.1365-2966.2004.07408.x). A pair has the mean of its two linking lengths.
    min_prominence : float, optional
        Cut a group between two peaks of its density where the lower one stands this many standard
        deviations above the saddle, both taken as Poisson counts. None never cuts: plain friends
        of friends. 1.2 to 2 keeps close clusters of galaxies apart.
    smoothing : float in (0, 1]
        Radius in which the density is counted, in linking lengths.
    min_members : int
        Smaller groups are none.
    cosmology : astropy.cosmology.FLRW, optional
        Planck18 without it.
    randoms : SkyCoord, optional
    n_resamples : int
    drop : float
    rng : Generator, int or None
        As for `find_groups`. ``randoms`` fill the field on the sky; that along the line of sight
        is that of the galaxies.

    Returns
    -------
    Groups
        With ``velocity_dispersion`` (gapper estimate of Beers, Flynn & Gebhardt 1990,
        doi:10.1086/115487, rest frame; NaN below three members), ``redshift`` and ``distance``.
        ``significance`` is of what is near the peak, the galaxy with most friends, among the
        galaxies within the linking velocity of it.

    Raises
    ------
    ValueError
        For lengths of 0 or in other units, redshifts below -0.01 or beyond 20, or not one per
        position.

    Notes
    -----
    With ``min_prominence`` the galaxies are taken from the densest surroundings to the thinnest,
    and each joins its nearest friend among those before it. One that joins two groups makes them
    one, unless both have a peak that stands out above it: the mode analysis by persistence of
    Chazal et al. (2013), doi:10.1145/2535927, on the graph of friends. Memory grows with the pairs
    of friends.

    Examples
    --------
    Two groups in one direction at different distances, and a galaxy without a redshift:

    >>> coords = SkyCoord([0.0, 0.1, 359.9, 0.05, 0.0], [10.0, 10.0, 10.1, 10.1, 10.0], unit="deg")
    >>> z = [0.020, 0.021, 0.040, 0.0405, np.nan]
    >>> groups = find_friends(coords, z, separation=0.5 * u.Mpc, velocity=500 * u.km / u.s)
    >>> groups.labels.tolist(), groups.n_dropped
    ([0, 0, 1, 1, -1], 1)
    """
    sky = Sky.open("coords", coords)
    z = _check_redshift(redshift, len(coords))
    rows = np.flatnonzero(sky.finite & np.isfinite(z))
    check_real("min_members", min_members, at_least=1)
    check_real("smoothing", smoothing, above=0, at_most=1)
    prominence = np.inf if min_prominence is None else min_prominence
    check_real("min_prominence", prominence, at_least=0, finite=False)
    angle, speed = _find_lengths(
        z[rows], separation=separation, velocity=velocity, min_angle=min_angle,
        redshift_floor=redshift_floor, scaling=_find_scaling(scaling, z, rows), cosmology=cosmology,
    )  # fmt: skip
    links = Links(find_vectors(coords)[rows], z[rows], angle, speed)

    def search(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, n_friends = label_friends(
            links.select(chosen), smoothing=smoothing, min_prominence=float(prominence)
        )
        return number_by_size(labels, min_members=int(min_members)), n_friends

    found = build_groups(
        coords, rows, search, radii=angle, values=z[rows],
        margins=speed / SPEED_OF_LIGHT * (1 + z[rows]), randoms=randoms, n_resamples=n_resamples,
        drop=drop, rng=rng,
    )  # fmt: skip
    found.table.meta.update(
        method="friends of friends", separation=separation, velocity=velocity, min_angle=min_angle,
        redshift_floor=redshift_floor, min_prominence=min_prominence, smoothing=smoothing,
        min_members=min_members,
    )  # fmt: skip
    return add_columns(found, _describe_groups(found, z, redshift_floor, cosmology))


def _check_redshift(redshift: ArrayLike, n: int) -> np.ndarray:
    z = np.asarray(getattr(redshift, "value", redshift))
    z = np.ma.filled(np.ma.asarray(z, dtype=float), np.nan)
    if z.shape != (n,):
        raise invalid("redshift", f"one for each of the {n} positions", f"shape {z.shape}")
    known = z[np.isfinite(z)]
    check_real("redshift", known, at_least=_LOWEST, at_most=_HIGHEST,
               next_step="Velocities in km/s are divided by 299792.458 first.")  # fmt: skip
    return z


def _find_scaling(scaling: Any, z: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if scaling is None:
        return np.ones(len(rows))
    factor = np.asarray(scaling(z[rows]) if callable(scaling) else scaling, dtype=float)
    whole = (len(rows),) if callable(scaling) else (len(z),)
    if factor.shape != whole:
        raise invalid("scaling", f"one factor for each of {whole[0]} galaxies",
                      f"shape {factor.shape}")  # fmt: skip
    factor = factor if callable(scaling) else factor[rows]
    return check_real("scaling", factor, above=0)


def _find_lengths(
    z: np.ndarray,
    *,
    separation: u.Quantity,
    velocity: u.Quantity,
    min_angle: u.Quantity,
    redshift_floor: float,
    scaling: np.ndarray,
    cosmology: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Linking angle [rad] and velocity [km/s] of each galaxy."""
    across = _read_length("separation", separation, "Mpc", above=0)
    along = _read_length("velocity", velocity, "km/s", above=0)
    least = _read_length("min_angle", min_angle, "rad", at_least=0)
    check_real("redshift_floor", redshift_floor, above=0)
    angle = np.maximum(across / _find_distance(np.maximum(z, redshift_floor), cosmology), least)
    return np.minimum(angle * scaling, np.pi), along * scaling


def _read_length(name: str, value: Any, unit: str, **bounds: Any) -> float:
    try:
        number = value.to_value(unit)
    except (AttributeError, u.UnitConversionError):
        raise invalid(name, f"a quantity in a unit like {unit}", repr(value),
                      f"Give it as 1 * u.Unit({unit!r}).") from None  # fmt: skip
    return float(check_real(f"{name} [{unit}]", number, **bounds))


def _find_distance(z: np.ndarray, cosmology: Any) -> np.ndarray:
    """Comoving distance [Mpc], read off a grid of redshifts."""
    if not len(z):
        return np.zeros(0)
    if cosmology is None:
        from astropy.cosmology import Planck18

        cosmology = Planck18
    # evenly in log(1 + z), from 0 on: the curve is all but straight between 256 of them
    grid = np.expm1(np.linspace(0, np.log1p(z.max()), 256))
    return np.interp(z, grid, cosmology.comoving_distance(grid).to_value("Mpc"))


def _describe_groups(
    groups: Groups, z: np.ndarray, redshift_floor: float, cosmology: Any
) -> dict[str, Any]:
    """Redshift, velocity dispersion and distance of each group."""
    members = np.flatnonzero(groups.labels >= 0)
    order = members[np.lexsort((z[members], groups.labels[members]))]
    ends = np.cumsum(groups.table["n_members"])
    median, sigma = np.full(len(groups), np.nan), np.full(len(groups), np.nan)
    for number, values in enumerate(np.split(z[order], ends[:-1]) if len(groups) else []):
        median[number] = values[len(values) // 2] if len(values) % 2 else (
            values[len(values) // 2 - 1 : len(values) // 2 + 1].mean()
        )  # fmt: skip
        n = len(values)
        if n > 2:
            weight = np.arange(1, n) * np.arange(n - 1, 0, -1)
            gapper = np.sqrt(np.pi) / (n * (n - 1)) * np.sum(weight * np.diff(values))
            sigma[number] = SPEED_OF_LIGHT * gapper / (1 + median[number])
    distance = _find_distance(np.maximum(median, redshift_floor), cosmology)
    return {
        "redshift": median, "velocity_dispersion": sigma * u.km / u.s, "distance": distance * u.Mpc,
    }  # fmt: skip
