"""An open cluster in a field of disc stars as an astrometric survey sees them, truth included."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from .._validation import check_choice, check_real, invalid
from ._astrometry import expect_errors, lift
from .matching import check_radius

KMS = 4.740470463  # of 1 mas/yr at 1 kpc
# The disc near the Sun: Oort's constants [km/s/kpc], the Sun's motion and dispersions [km/s].
_OORT_A, _OORT_B = 15.3, -11.9
_SUN = np.array([11.1, 12.2, 7.2])
_DISPERSION = np.array([33.0, 22.0, 16.0])
_DRIFT = 12.0  # km/s that disc stars lag behind the circular orbit
_CLUSTER_DISPERSION = 6.0  # km/s of clusters around it
_HEIGHT, _NEAR, _FAR = 0.3, 0.08, 8.0  # kpc
_EXTINCTION = 0.7  # mag in G per kpc; a bit more than half of it is reddening
_REDDENING = 0.55
_BRIGHTEST, _DIMMEST, _SLOPE = -1.0, 11.0, 0.12  # absolute magnitudes; log10 of their number
_ERROR_SCATTER = 0.15
_CORRELATION = 0.3


def simulate_open_cluster(
    n_members: int = 300,
    *,
    n_field: int = 3000,
    centre: SkyCoord | None = None,
    radius: u.Quantity = 0.4 * u.deg,
    distance: u.Quantity = 1 * u.kpc,
    half_radius: u.Quantity = 2.5 * u.pc,
    tidal_radius: u.Quantity = 12 * u.pc,
    dispersion: u.Quantity = 0.7 * u.km / u.s,
    profile: str = "plummer",
    motion: u.Quantity | None = None,
    magnitude_limit: float = 19.0,
    binaries: float = 0.3,
    rng: Any = None,
) -> QTable:
    """Simulate the stars of a cluster and of the disc in a circle on the sky, with Gaia's errors.

    Parameters
    ----------
    n_members, n_field : int
        Stars of the cluster and of the field inside the circle and above the limit.
    centre : SkyCoord, optional
        Of the circle and the cluster; Galactic longitude 120, latitude -3 degrees without it.
    radius : Quantity
        Of the circle, below 10 degrees.
    distance : Quantity
        Of the cluster.
    half_radius, tidal_radius : Quantity
        Projected radius of half of its members, and that beyond which there are none.
    dispersion : Quantity
        Of the members' velocities, along each axis.
    profile : {"plummer", "king"}
        Plummer (1911), doi:10.1093/mnras/71.5.460, cut at the tidal radius; or King (1962),
        doi:10.1086/108756, whose core radius then follows from both radii.
    motion : Quantity, shape (2,), optional
        Proper motion of the cluster, ``pmra`` and ``pmdec``; drawn around that of a circular orbit
        at its distance without it.
    magnitude_limit : float
        Faintest G.
    binaries : float in [0, 1]
        Share of stars with a companion that adds light, up to 0.75 mag.
    rng : Generator, int or None
        Same seed, same stars.

    Returns
    -------
    QTable
        A row per star, in random order, with Gaia's names: ``source_id``, ``coord``, ``ra``,
        ``dec``, ``pmra``, ``pmdec``, ``parallax``, their errors and correlations,
        ``phot_g_mean_mag``, ``bp_rp``; and the truth: ``true_member``, ``true_distance``,
        ``true_pmra``, ``true_pmdec``. ``meta["cluster"]`` has the motion, parallax and radius.

    Raises
    ------
    ValueError
        For negative numbers, or a tidal radius that is not above the half radius.

    Notes
    -----
    Field stars follow an exponential disc of 0.3 kpc scale height, turn with it as Oort's constants
    say (Bovy 2017, doi:10.1093/mnras/stx277) and have a velocity ellipsoid and a lag; the Sun moves
    as Schoenrich, Binney & Dehnen (2010), doi:10.1111/j.1365-2966.2010.16253.x, found. Their proper
    motions are no sum of a few Gaussians. Errors grow with G as `find_cluster` expects of Gaia DR3,
    with a scatter of 15 % and correlations. Main sequence, giants and extinction are rough: good
    for a picture, not for ages. No crowding, no zero point of the parallaxes.

    Examples
    --------
    >>> stars = simulate_open_cluster(100, n_field=500, rng=1)
    >>> len(stars), int(stars["true_member"].sum()), stars["parallax"].unit
    (600, 100, Unit("mas"))
    """
    for name, value in (("n_members", n_members), ("n_field", n_field)):
        if check_real(name, value, at_least=0) != np.floor(value):
            raise invalid(name, "a whole number", value)
    check_choice("profile", profile, ("plummer", "king"))
    check_real("binaries", binaries, at_least=0, at_most=1)
    field_radius = float(check_real("radius", np.degrees(check_radius("radius", radius)), below=10))
    far = float(check_real("distance", distance.to_value("kpc"), above=0))
    half = float(check_real("half_radius", half_radius.to_value("pc"), above=0))
    limit = float(check_real("tidal_radius", tidal_radius.to_value("pc"), above=1.5 * half,
                             next_step="Half of the members are within half_radius."))  # fmt: skip
    spread = float(check_real("dispersion", dispersion.to_value("km/s"), at_least=0))
    rng = np.random.default_rng(rng)
    if centre is None:
        centre = SkyCoord(120 * u.deg, -3 * u.deg, frame="galactic")
    centre = SkyCoord(centre.icrs.ra, centre.icrs.dec)

    place, depth = _draw_cluster(rng, int(n_members), far, half, limit, profile, field_radius)
    if motion is None:
        speed = rng.normal(0, _CLUSTER_DISPERSION, (1, 3))
        own = _find_motion(centre, np.array([far]), speed)[0]
    else:
        own = check_real("motion", motion.to_value("mas/yr"))
        if own.shape != (2,):
            raise invalid("motion", "two numbers, pmra and pmdec", own.shape)
    members = own + rng.normal(0, 1, (len(place), 2)) * spread / (KMS * far)
    g, colour = _draw_light(rng, depth, magnitude_limit, binaries)

    d, g_field, colour_field = _draw_field(rng, int(n_field), centre, magnitude_limit, binaries)
    angle, away = rng.uniform(0, 2 * np.pi, len(d)), field_radius * np.sqrt(rng.random(len(d)))
    everywhere = np.column_stack([away * np.sin(angle), away * np.cos(angle)])
    velocity = rng.normal(0, 1, (len(d), 3)) * _DISPERSION - [0, _DRIFT, 0]
    field = _find_motion(centre, d, velocity)

    table = _observe(
        rng, lift(np.concatenate([place, everywhere]), centre), np.concatenate([members, field]),
        np.concatenate([depth, d]), np.concatenate([g, g_field]),
        np.concatenate([colour, colour_field]),
    )  # fmt: skip
    table["true_member"] = np.arange(len(table)) < len(place)
    table = table[rng.permutation(len(table))]
    table.add_column(np.arange(len(table)), name="source_id", index=0)
    table.meta["cluster"] = {
        "pmra": own[0] * u.mas / u.yr, "pmdec": own[1] * u.mas / u.yr, "parallax": u.mas / far,
        "half_radius": np.degrees(half / far / 1000) * u.deg,
    }  # fmt: skip
    return table


def _draw_cluster(
    rng: np.random.Generator, n: int, far: float, half: float, limit: float, profile: str,
    field_radius: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Places [deg] inside the circle, shape (n, 2), and distances [kpc]."""
    r = np.linspace(0, min(limit, np.radians(field_radius) * far * 1000), 2000)
    share = np.cumsum(r * _measure_profile(r, half, limit, profile))
    away = np.interp(rng.random(n) * share[-1], share, r)
    angle = rng.uniform(0, 2 * np.pi, n)
    flat = np.degrees(away / far / 1000)
    depth = far + rng.normal(0, half, n) / 1000
    return np.column_stack([flat * np.sin(angle), flat * np.cos(angle)]), depth


def _measure_profile(r: np.ndarray, half: float, limit: float, profile: str) -> np.ndarray:
    """Surface density; the scale is such that half of it all is within ``half``."""
    grid = np.linspace(0, limit, 4000)

    def shape(r: np.ndarray, scale: float) -> np.ndarray:
        if profile == "plummer":
            return (1 + (r / scale) ** 2) ** -2.0
        edge = 1 / np.sqrt(1 + (limit / scale) ** 2)
        return np.maximum(1 / np.sqrt(1 + (r / scale) ** 2) - edge, 0) ** 2

    low, high = half / 50, 50 * half
    for _ in range(50):
        scale = np.sqrt(low * high)
        share = np.cumsum(grid * shape(grid, scale))
        inside = np.interp(half, grid, share) / share[-1]
        low, high = (scale, high) if inside > 0.5 else (low, scale)
    return shape(r, scale)


def _draw_light(
    rng: np.random.Generator, distance: np.ndarray, limit: float, binaries: float
) -> tuple[np.ndarray, np.ndarray]:
    """G and BP - RP of main-sequence stars above the limit at given distances [kpc]."""
    shift = 5 * np.log10(distance * 100) + _EXTINCTION * distance
    steep = np.log(10) * _SLOPE
    faintest = np.clip(limit - shift, _BRIGHTEST + 0.01, _DIMMEST)
    low, high = np.exp(steep * _BRIGHTEST), np.exp(steep * faintest)
    absolute = np.log(low + rng.random(len(distance)) * (high - low)) / steep
    colour = 0.55 + 0.2 * (absolute - 3.5) + 0.012 * np.clip(absolute - 3.5, -4, 0) ** 2
    light = -0.753 * rng.random(len(distance)) ** 2 * (rng.random(len(distance)) < binaries)
    noise = rng.normal(0, 0.02 + 0.03 * np.exp(np.clip(absolute + shift, 0, 21) - 20))
    return absolute + shift + light, colour + _REDDENING * _EXTINCTION * distance + noise


def _draw_field(
    rng: np.random.Generator, n: int, centre: SkyCoord, limit: float, binaries: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances [kpc], G and BP - RP of disc stars; one in twelve is a giant."""
    d = np.linspace(_NEAR, _FAR, 4000)
    shift = 5 * np.log10(d * 100) + _EXTINCTION * d
    steep = np.log(10) * _SLOPE
    low = np.exp(steep * _BRIGHTEST)
    seen = np.maximum(np.exp(steep * np.minimum(limit - shift, _DIMMEST)) - low, 0)
    disc = d**2 * np.exp(-d * abs(np.sin(centre.galactic.b.rad)) / _HEIGHT) * seen
    share = np.cumsum(disc)
    distance = np.interp(rng.random(n) * share[-1], share, d)
    g, colour = _draw_light(rng, distance, limit, binaries)
    giant = rng.normal(0.6, 0.6, n) + 5 * np.log10(distance * 100) + _EXTINCTION * distance
    red = (rng.random(n) < 1 / 12) & (giant < limit)
    g[red] = giant[red]
    colour[red] = (1.25 + rng.normal(0, 0.1, n) + _REDDENING * _EXTINCTION * distance)[red]
    return distance, g, colour


def _find_motion(centre: SkyCoord, distance: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Proper motions [mas/yr], ``pmra`` and ``pmdec``, of stars with velocities U, V, W [km/s].

    Velocities are relative to the circular orbit at the star; all stars are towards the centre.
    """
    lon, lat = centre.galactic.l.rad, centre.galactic.b.rad
    u_, v_, w_ = (velocity - _SUN).T
    along = -u_ * np.sin(lon) + v_ * np.cos(lon)
    radial = u_ * np.cos(lon) + v_ * np.sin(lon)
    up = -radial * np.sin(lat) + w_ * np.cos(lat)
    turn_l = (_OORT_A * np.cos(2 * lon) + _OORT_B) * np.cos(lat)
    turn_b = -_OORT_A * np.sin(2 * lon) * np.sin(lat) * np.cos(lat)
    pm_l, pm_b = along / (KMS * distance) + turn_l / KMS, up / (KMS * distance) + turn_b / KMS
    north = centre.directional_offset_by(0 * u.deg, 1 * u.arcsec).galactic
    angle = centre.galactic.position_angle(north).rad  # of north, in the Galactic frame
    return np.column_stack([
        pm_l * np.cos(angle) - pm_b * np.sin(angle), pm_l * np.sin(angle) + pm_b * np.cos(angle),
    ])  # fmt: skip


def _observe(
    rng: np.random.Generator, coord: SkyCoord, motion: np.ndarray, distance: np.ndarray,
    g: np.ndarray, colour: np.ndarray,
) -> QTable:  # fmt: skip
    n = len(g)
    sigma = expect_errors(g) * np.exp(rng.normal(0, _ERROR_SCATTER, (n, 1)))
    r = np.clip(rng.normal(0, _CORRELATION / 2, (n, 3)), -_CORRELATION, _CORRELATION)
    unit = np.ones((n, 3, 3))
    for k, (one, two) in enumerate(((0, 1), (0, 2), (1, 2))):
        unit[:, one, two] = unit[:, two, one] = r[:, k]
    noise = np.einsum("nij,nj->ni", np.linalg.cholesky(unit), rng.normal(0, 1, (n, 3))) * sigma
    seen = np.column_stack([motion, 1 / distance]) + noise
    rate = u.mas / u.yr
    return QTable({
        "coord": coord, "ra": coord.ra, "dec": coord.dec, "pmra": seen[:, 0] * rate,
        "pmdec": seen[:, 1] * rate, "parallax": seen[:, 2] * u.mas,
        "pmra_error": sigma[:, 0] * rate, "pmdec_error": sigma[:, 1] * rate,
        "parallax_error": sigma[:, 2] * u.mas, "pmra_pmdec_corr": r[:, 0],
        "parallax_pmra_corr": r[:, 1], "parallax_pmdec_corr": r[:, 2], "phot_g_mean_mag": g,
        "bp_rp": colour, "true_distance": distance * u.kpc, "true_pmra": motion[:, 0] * rate,
        "true_pmdec": motion[:, 1] * rate,
    })  # fmt: skip
