"""Positions, motions and parallaxes of stars with their covariances: what a cluster is found in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from scipy.spatial import cKDTree

from .._validation import check_columns, check_real, invalid
from ._sphere import Sky

MOTIONS = {"pmra": u.mas / u.yr, "pmdec": u.mas / u.yr, "parallax": u.mas}
MAGNITUDE = "phot_g_mean_mag"
# sky averages of Gaia DR3, motion in right ascension and declination as shares of the parallax's
_MOTION_SHARES = (1.03, 0.89)
_BRIGHT_FLOOR = 13.0
_GRID = 2500  # points that fill the footprint
_REACH = 2.5  # mean distances between stars from which a place is outside


@dataclass(frozen=True)
class Astrometry:
    """The usable stars of a table.

    ``place`` [deg], shape (n, 2), is east and north of ``middle``; ``motion``, shape (n, 3), the
    proper motions [mas/yr] and the parallax [mas] with ``covariance``, shape (n, 3, 3).
    ``brightness`` orders the stars from bright to faint. ``grid`` [deg], shape (m, 2), are points
    that fill the observed field evenly, each for ``cell`` [deg^2].
    """

    rows: np.ndarray
    place: np.ndarray
    motion: np.ndarray
    covariance: np.ndarray
    brightness: np.ndarray
    middle: SkyCoord
    grid: np.ndarray
    cell: float
    n_incomplete: int
    n_faint: int
    errors: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def area(self) -> float:
        """Of the observed field [deg^2]."""
        return self.cell * len(self.grid)


def read_astrometry(
    stars: Any, *, columns: Mapping[str, str] | None, magnitude_max: float | None
) -> Astrometry:
    """Take positions, motions, parallaxes and errors out of a table with Gaia's column names."""
    names = {name: (columns or {}).get(name, name) for name in _list_names()}
    have = set(stars.colnames)
    check_columns(stars.colnames, [names[key] for key in MOTIONS], where="stars")
    coords = _read_coords(stars, names)
    sky = Sky.open("coord", coords)
    motion = np.column_stack([_read(stars, names[key], unit) for key, unit in MOTIONS.items()])
    magnitude = None
    if names[MAGNITUDE] in have:
        magnitude = _read(stars, names[MAGNITUDE], u.mag)
    elif magnitude_max is not None:
        check_columns(stars.colnames, [names[MAGNITUDE]], where="stars")
    covariance, errors = _read_covariance(stars, names, magnitude)
    good = sky.finite & np.all(np.isfinite(motion), axis=1)
    good &= np.all(np.isfinite(covariance), axis=(1, 2))
    faint = np.zeros(len(good), dtype=bool)
    if magnitude_max is not None and magnitude is not None:
        limit = float(check_real("magnitude_max", magnitude_max))
        good &= np.isfinite(magnitude)
        faint = good & (magnitude > limit)
    rows = np.flatnonzero(good & ~faint)
    order = magnitude if magnitude is not None else covariance[:, 0, 0]
    if not sky.finite.any():
        raise invalid("coord", "finite in some rows", "NaN in all of them")
    middle = find_middle(coords[sky.finite])
    place = lay_flat(coords, middle)
    grid, cell = _fill_footprint(place[sky.finite])
    return Astrometry(
        rows, place[rows], motion[rows], covariance[rows], order[rows], middle, grid, cell,
        int(np.sum(~good)), int(np.sum(faint)), errors,
    )  # fmt: skip


def expect_errors(magnitude: np.ndarray) -> np.ndarray:
    """Median errors of Gaia DR3 from G: two motions [mas/yr] and parallax [mas], shape (n, 3).

    The formula of ESA's page of science performance for the sky as a whole; in places that were
    seen more often they are three quarters of it.
    """
    z = 10 ** (0.4 * (np.maximum(magnitude, _BRIGHT_FLOOR) - 15))
    parallax = np.sqrt(40 + 800 * z + 30 * z**2) / 1000
    return np.column_stack([share * parallax for share in (*_MOTION_SHARES, 1.0)])


def find_middle(coords: SkyCoord) -> SkyCoord:
    """Direction of the mean unit vector."""
    mean = coords.cartesian.xyz.value.mean(axis=1)
    lon, lat = np.arctan2(mean[1], mean[0]), np.arctan2(mean[2], np.hypot(*mean[:2]))
    return SkyCoord(lon % (2 * np.pi), lat, unit="rad", frame=coords.frame.name)


def lay_flat(coords: SkyCoord, middle: SkyCoord) -> np.ndarray:
    """Degrees to the east and north of the middle, at true distance and position angle."""
    away, angle = middle.separation(coords).deg, middle.position_angle(coords).rad
    return np.column_stack([away * np.sin(angle), away * np.cos(angle)])


def lift(place: np.ndarray, middle: SkyCoord) -> SkyCoord:
    """Undo `lay_flat` for one place or many."""
    east, north = np.moveaxis(np.asarray(place), -1, 0)
    moved = middle.directional_offset_by(
        np.arctan2(east, north) * u.rad, np.hypot(east, north) * u.deg
    )
    return SkyCoord(moved.spherical.lon, moved.spherical.lat, frame=middle.frame.name)


def _list_names() -> list[str]:
    pairs = ("pmra_pmdec_corr", "parallax_pmra_corr", "parallax_pmdec_corr")
    return ["coord", "ra", "dec", *MOTIONS, *(f"{key}_error" for key in MOTIONS), *pairs, MAGNITUDE]


def _read(stars: Any, name: str, unit: u.Unit) -> np.ndarray:
    """Numbers in a unit, NaN where masked; a column without a unit has it already."""
    column = stars[name]
    if isinstance(column, u.Quantity):
        return np.asarray(column.to_value(unit), dtype=float)
    try:
        values: np.ndarray = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    except (TypeError, ValueError) as error:
        raise invalid(name, "a column of numbers", f"type {column.dtype}") from error
    given = getattr(column, "unit", None)
    return values if given is None else np.asarray((values * given).to_value(unit))


def _read_coords(stars: Any, names: Mapping[str, str]) -> SkyCoord:
    if names["coord"] in stars.colnames:
        coords = stars[names["coord"]]
        if isinstance(coords, SkyCoord):
            return SkyCoord(coords.icrs.ra, coords.icrs.dec)
        raise invalid("coord", "a column of SkyCoord", type(coords).__name__)
    check_columns(stars.colnames, [names["ra"], names["dec"]], where="stars")
    dec = _read(stars, names["dec"], u.deg)
    check_real("dec", dec[np.isfinite(dec)], at_least=-90, at_most=90)
    return SkyCoord(_read(stars, names["ra"], u.deg) * u.deg, dec * u.deg)


def _read_covariance(
    stars: Any, names: Mapping[str, str], magnitude: np.ndarray | None
) -> tuple[np.ndarray, str]:
    """Covariances, shape (n, 3, 3), and where they come from."""
    wanted = [names[f"{key}_error"] for key in MOTIONS]
    there = [name in stars.colnames for name in wanted]
    if all(there):
        pairs = zip(wanted, MOTIONS.values(), strict=True)
        sigma = np.column_stack([_read(stars, name, unit) for name, unit in pairs])
        finite = np.isfinite(sigma)
        check_real("errors", sigma[finite], above=0, next_step="An error of 0 is no measurement.")
        errors = "given"
    elif any(there) or magnitude is None:
        check_columns(stars.colnames, wanted, where="stars")
        raise AssertionError  # check_columns has raised
    else:
        sigma, errors = expect_errors(magnitude), "from G"
    covariance = sigma[:, :, None] * sigma[:, None, :]
    for one, two, key in ((0, 1, "pmra_pmdec"), (2, 0, "parallax_pmra"), (2, 1, "parallax_pmdec")):
        name, correlation = names[f"{key}_corr"], np.zeros(len(sigma))
        if errors == "given" and name in stars.colnames:
            correlation = _read(stars, name, u.one)
            check_real(name, correlation[np.isfinite(correlation)], above=-1, below=1)
        covariance[:, one, two] *= correlation
        covariance[:, two, one] *= correlation
    return covariance, errors


def _fill_footprint(place: np.ndarray) -> tuple[np.ndarray, float]:
    """Points that fill what was observed, and the area of each; a field may have any outline.

    A place was observed where some star, of any brightness, is near.
    """
    low, high = place.min(axis=0), place.max(axis=0)
    size = np.maximum(high - low, 1e-6)
    tree, area, share = cKDTree(place), float(size.prod()), 1.0
    for _ in range(2):  # the second time with what the outline has left of the box
        step = np.sqrt(area * share / _GRID)
        x, y = (np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True))
        box = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        reach = _REACH * np.sqrt(area * share / len(place) / np.pi)
        grid = box[tree.query(box)[0] <= reach] if len(box) else box
        share = max(len(grid) / max(len(box), 1), 1 / _GRID)
    if not len(grid):
        return place.mean(axis=0, keepdims=True), area
    return grid, step**2
