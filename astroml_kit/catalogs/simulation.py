"""Clustered galaxies as a redshift survey sees them, with the groups they truly belong to."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_real, invalid
from .matching import check_radius

SPEED_OF_LIGHT = 299_792.458  # km/s
# A group of 30 galaxies has a dispersion of 500 km/s, and mass ~ dispersion^3 ~ galaxies.
_RICHNESS, _DISPERSION = 30, 500.0
_FIELD_DISPERSION = 200.0  # km/s of galaxies outside groups
_CONCENTRATION = 4.0


def simulate_galaxies(
    n_groups: int = 40,
    *,
    n_field: int = 1000,
    centre: SkyCoord | None = None,
    radius: u.Quantity = 10 * u.deg,
    redshift_min: float = 0.01,
    redshift_max: float = 0.1,
    richness_min: int = 5,
    richness_max: int = 200,
    richness_index: float = 2.0,
    cosmology: Any = None,
    rng: Any = None,
) -> QTable:
    """Simulate groups of galaxies with Fingers of God, in a field of single galaxies.

    Parameters
    ----------
    n_groups, n_field : int
        Groups, and galaxies outside of them.
    centre : SkyCoord, optional
        Of the field, a disc on the sky; (0, 0) without it, where right ascension wraps.
    radius : Quantity
        Of the field, up to 180 degrees, the whole sky. Members of a group near the rim may lie
        beyond it.
    redshift_min, redshift_max : float
        Groups and single galaxies are even in comoving volume between these.
    richness_min, richness_max : int
        Fewest and most members of a group.
    richness_index : float
        The number of groups falls with their richness to the power of minus this.
    cosmology : astropy.cosmology.FLRW, optional
        Planck18 without it.
    rng : Generator, int or None
        Same seed, same galaxies.

    Returns
    -------
    QTable
        A row per galaxy, in random order: ``coord``, ``redshift`` (with peculiar velocity),
        ``true_group`` (number, -1 for the field), ``true_redshift`` (that of the distance),
        ``true_dispersion`` (km/s along the line of sight) and ``true_radius`` (Mpc, r200) of its
        group, NaN in the field.

    Raises
    ------
    ValueError
        For negative numbers, or ranges that do not rise.

    Notes
    -----
    A group's dispersion grows with the cube root of its richness, 500 km/s at 30 members; its
    r200 is ``sqrt(3) sigma / (10 H(z))`` (Carlberg et al. 1997, doi:10.1086/303805). Members follow
    the profile of Navarro et al. (1997), doi:10.1086/304888, of concentration 4 out to r200,
    stretched along the line of sight by Gaussian velocities of the group's dispersion. Single
    galaxies have 200 km/s. There are no infall, filaments or limit in brightness.

    Examples
    --------
    >>> galaxies = simulate_galaxies(5, n_field=100, rng=1)
    >>> int(galaxies["true_group"].max()), int((galaxies["true_group"] == -1).sum())
    (4, 100)
    """
    n_groups, n_field = (_check_whole(*pair) for pair in
                         (("n_groups", n_groups), ("n_field", n_field)))  # fmt: skip
    field = check_radius("radius", radius)
    low, high = _check_rising("redshift", redshift_min, redshift_max, above=0)
    fewest, most = _check_rising("richness", richness_min, richness_max, at_least=1)
    index = float(check_real("richness_index", richness_index, at_least=0))
    if cosmology is None:
        from astropy.cosmology import Planck18

        cosmology = Planck18
    centre = SkyCoord(0 * u.deg, 0 * u.deg) if centre is None else centre
    rng = np.random.default_rng(rng)

    grid = np.linspace(low, high, 512)
    distance = cosmology.comoving_distance(grid).to_value("Mpc")

    def draw_redshifts(n: int) -> np.ndarray:
        volume = rng.uniform(distance[0] ** 3, distance[-1] ** 3, n)
        return np.interp(np.cbrt(volume), distance, grid)

    counts = np.arange(int(fewest), int(most) + 1)
    weight = counts**-index
    richness = rng.choice(counts, size=n_groups, p=weight / weight.sum())
    z_group, where = draw_redshifts(n_groups), _draw_cap(rng, n_groups, field)
    sigma = _DISPERSION * np.cbrt(richness / _RICHNESS)
    r200 = np.sqrt(3) * sigma / (10 * cosmology.H(z_group).to_value("km / (s Mpc)"))
    group = np.repeat(np.arange(n_groups), richness)
    offsets = _draw_halo(rng, len(group)) * r200[group, None]
    z_field = draw_redshifts(n_field)

    far = np.interp(z_group, grid, distance)[group]
    position = where[group] * far[:, None] + offsets * (1 + z_group[group, None])
    direction = np.concatenate([position, _draw_cap(rng, n_field, field)])
    true = np.concatenate([z_group[group], z_field])
    spread = np.concatenate([sigma[group], np.full(n_field, _FIELD_DISPERSION)])
    velocity = rng.normal(0, 1, len(true)) * spread
    lone = np.full(n_field, np.nan)
    table = QTable(
        {
            "coord": _open_disc(direction, centre),
            "redshift": true + (1 + true) * velocity / SPEED_OF_LIGHT,
            "true_group": np.concatenate([group, np.full(n_field, -1)]), "true_redshift": true,
            "true_dispersion": np.concatenate([sigma[group], lone]) * u.km / u.s,
            "true_radius": np.concatenate([r200[group], lone]) * u.Mpc,
        },
        meta={"n_groups": n_groups, "n_field": n_field},
    )  # fmt: skip
    return table[rng.permutation(len(table))]


def _check_whole(name: str, value: int) -> int:
    if check_real(name, value, at_least=0) != np.floor(value):
        raise invalid(name, "a whole number", value)
    return int(value)


def _check_rising(name: str, low: float, high: float, **bounds: Any) -> tuple[float, float]:
    check_real(f"{name}_min", low, **bounds)
    check_real(f"{name}_max", high, **bounds)
    if not low <= high or (low == high and "above" in bounds):
        raise invalid(f"{name}_max", f"above {name}_min, {low:g}", high)
    return low, high


def _draw_cap(rng: np.random.Generator, n: int, radius: float) -> np.ndarray:
    """Unit vectors, even in a cap of ``radius`` [rad] around the z axis."""
    cosine, angle = rng.uniform(np.cos(radius), 1, n), rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    return np.column_stack([sine * np.cos(angle), sine * np.sin(angle), cosine])


def _draw_halo(rng: np.random.Generator, n: int) -> np.ndarray:
    """Places of members in units of r200: a profile of Navarro, Frenk & White, even in angle."""
    x = np.linspace(0, 1, 512) * _CONCENTRATION
    mass = np.log1p(x) - x / (1 + x)
    r = np.interp(rng.random(n) * mass[-1], mass, x) / _CONCENTRATION
    return r[:, None] * _draw_cap(rng, n, np.pi)


def _open_disc(direction: np.ndarray, centre: SkyCoord) -> SkyCoord:
    """Positions of vectors whose z axis points at ``centre``."""
    off = np.arctan2(np.hypot(direction[:, 0], direction[:, 1]), direction[:, 2])
    angle = np.arctan2(direction[:, 1], direction[:, 0])
    moved = centre.directional_offset_by(angle * u.rad, off * u.rad)
    return SkyCoord(moved, frame=centre.frame.replicate_without_data())
