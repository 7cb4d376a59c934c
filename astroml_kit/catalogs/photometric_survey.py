"""A photometric survey of stars, galaxies and quasars, with the truth beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from scipy.ndimage import map_coordinates

from .._validation import check_real, invalid
from ._spectra import (
    CENTRES,
    REDSHIFTS,
    TEMPERATURES,
    tabulate_galaxies,
    tabulate_quasars,
    tabulate_stars,
)

CLASSES = ("star", "galaxy", "qso")
# Magnitudes of 5 sigma, of SDSS: York et al. 2000, doi:10.1086/301513.
DEPTH = {"u": 22.3, "g": 23.3, "r": 23.1, "i": 22.3, "z": 20.8}
GAMMA = 0.039  # of the errors of Ivezic et al. 2019, doi:10.3847/1538-4357/ab042c, eq. 5
SYSTEMATIC = 0.01  # mag
LOSS = 3.0  # signal to noise below which a source is not seen in a band


def simulate_photometry(
    n_sources: int = 10_000,
    *,
    shares: Mapping[str, float] | None = None,
    magnitude_min: float = 15.0,
    magnitude_max: float = 21.0,
    depth: Mapping[str, float] | None = None,
    missing: float = 0.02,
    rng: Any = None,
) -> QTable:
    """Simulate ugriz magnitudes of stars, galaxies and quasars.

    Parameters
    ----------
    n_sources : int
        Rows.
    shares : mapping of {"star", "galaxy", "qso"} to float, optional
        How common the classes are; 0.4, 0.55 and 0.05 without it.
    magnitude_min, magnitude_max : float
        Range of the true r magnitude; sources become more common by 10^0.3 for each.
    depth : mapping of band to float, optional
        Magnitude of 5 sigma; that of SDSS for bands not named.
    missing : float
        Share of the sources that a band has not covered, for each band by itself.
    rng : Generator, int or None
        Same seed, same sources.

    Returns
    -------
    QTable
        ``id``; ``u``, ``g``, ``r``, ``i``, ``z`` and ``u_err`` ... [mag], NaN where a band has not
        covered the source or has it below 3 sigma; ``true_class``, ``true_redshift`` (0 for
        stars), ``true_type`` (galaxies from early, 0, to late, 3; stars their temperature [K];
        quasars the slope of their spectrum) and ``true_r`` [mag]. ``meta`` has ``n_not_covered``
        and ``n_below`` by band.

    Raises
    ------
    ValueError
        For numbers out of range, and classes or bands that there are not.

    Notes
    -----
    Galaxies are mixtures of an old and a young population with a break and lines; their redshifts
    follow the magnitude (Smail et al. 1994's form). Quasars are power laws with broad lines and
    intergalactic absorption, to z = 6. Stars are black bodies. This is no model of the sky to fit
    templates with, but it has what makes photometric redshifts hard: types that resemble each
    other at different redshifts, errors that grow, and bands that are not there.

    Examples
    --------
    >>> table = simulate_photometry(200, rng=1)
    >>> sorted(set(table["true_class"].tolist())), table["u"].unit
    (['galaxy', 'qso', 'star'], Unit("mag"))
    """
    n = check_real("n_sources", n_sources, at_least=1)
    if n != np.floor(n):
        raise invalid("n_sources", "a whole number", n_sources)
    low, high = float(check_real("magnitude_min", magnitude_min)), magnitude_max
    check_real("magnitude_max", high, above=low)
    check_real("missing", missing, at_least=0, below=1)
    share = _read_mapping("shares", shares or {"star": 0.4, "galaxy": 0.55, "qso": 0.05}, CLASSES)
    limits = DEPTH | _read_mapping("depth", depth or {}, tuple(CENTRES))
    weight = np.array([share.get(name, 0.0) for name in CLASSES])
    check_real("shares", weight, at_least=0)
    if not weight.sum() > 0:
        raise invalid("shares", "above zero for some class", shares)
    rng = np.random.default_rng(rng)

    size = int(n)
    kind = rng.choice(len(CLASSES), size=size, p=weight / weight.sum())
    grow = 0.3 * np.log(10)
    r = low + np.log1p(rng.random(size) * np.expm1(grow * (high - low))) / grow
    z, kinds = np.zeros(size), np.zeros(size)
    shape = np.zeros((size, len(CENTRES)))
    for number, draw in enumerate((_draw_stars, _draw_galaxies, _draw_quasars)):
        mine = kind == number
        z[mine], kinds[mine], shape[mine] = draw(r[mine], rng)
    true = shape - shape[:, [2]] + r[:, None]
    table = QTable({"id": np.arange(size)})
    table.meta = {"n_not_covered": {}, "n_below": {}}
    seen = {band: _observe(true[:, k], limits[band], rng) for k, band in enumerate(CENTRES)}
    for band, (magnitude, error) in seen.items():
        away = rng.random(size) < float(missing)
        table.meta["n_below"][band] = int((np.isnan(magnitude) & ~away).sum())
        table.meta["n_not_covered"][band] = int(away.sum())
        table[band] = np.where(away, np.nan, magnitude) * u.mag
        table[f"{band}_err"] = np.where(away, np.nan, error) * u.mag
    table["true_class"] = np.array(CLASSES)[kind]
    table["true_redshift"], table["true_type"], table["true_r"] = z, kinds, r * u.mag
    return table


def _read_mapping(
    name: str, given: Mapping[str, float], known: tuple[str, ...]
) -> dict[str, float]:
    if strange := [key for key in given if key not in known]:
        raise ValueError(f"{name} must be of {list(known)}, got {strange}.")
    return {key: float(check_real(f"{name}[{key!r}]", value)) for key, value in given.items()}


def _draw_stars(r: np.ndarray, rng: np.random.Generator) -> Any:
    """Mostly cool ones; metals scatter the ultraviolet."""
    share = rng.beta(1.3, 2.6, len(r))
    temperature = TEMPERATURES[0] * (TEMPERATURES[-1] / TEMPERATURES[0]) ** share
    place = share * (len(TEMPERATURES) - 1)
    table = tabulate_stars()
    shape = np.column_stack([np.interp(place, np.arange(len(table)), band) for band in table.T])
    shape[:, 0] += rng.normal(0, 0.12, len(r))
    return np.zeros(len(r)), temperature, shape


def _draw_galaxies(r: np.ndarray, rng: np.random.Generator) -> Any:
    """Redshifts ``~ z^2 exp(-(z / z0)^1.5)`` with a z0 that grows with magnitude."""
    scale = 0.055 * 10 ** (0.16 * np.clip(r - 16, -2, 8))
    z = np.clip(scale * rng.gamma(2.0, size=len(r)) ** (1 / 1.5), 0.002, 1.99)
    kind = 3 * rng.beta(0.8, 1.1, len(r))
    table = tabulate_galaxies()
    shape = _look_up(table, kind, z)
    # dust, stars of other ages and metals: a little grey scatter, redder in the blue
    tilt = rng.normal(0, 0.05, len(r))
    return z, kind, shape + tilt[:, None] * np.array([1.0, 0.6, 0.2, 0.0, -0.1])


def _draw_quasars(r: np.ndarray, rng: np.random.Generator) -> Any:
    z = np.clip(rng.gamma(4.0, 0.42, len(r)), 0.1, 6.0)
    slope = np.clip(rng.normal(-0.5, 0.2, len(r)), -1.0, 0.0)
    shape = _look_up(tabulate_quasars(), slope + 1.0, z)
    return z, slope, shape + rng.normal(0, 0.04, shape.shape)


def _look_up(table: np.ndarray, kind: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Magnitudes between the types and redshifts of a table, linearly in both."""
    place = np.stack([kind, z / (REDSHIFTS[1] - REDSHIFTS[0])])
    return np.column_stack(
        [map_coordinates(table[:, :, k], place, order=1, mode="nearest")
         for k in range(table.shape[2])]
    )  # fmt: skip


def _observe(
    true: np.ndarray, limit: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Measured magnitudes and errors; the noise is that of a flux, so faint ones may vanish."""
    x = 10 ** (0.4 * np.minimum(true - limit, 10.0))
    relative = np.sqrt((0.04 - GAMMA) * x + GAMMA * x**2 + SYSTEMATIC**2)
    flux = 1 + relative * rng.normal(size=len(true))  # in units of the true one
    seen = flux > LOSS * relative
    magnitude = np.where(seen, true - 2.5 * np.log10(np.where(seen, flux, 1.0)), np.nan)
    error = np.where(seen, 2.5 / np.log(10) * relative / np.where(seen, flux, 1.0), np.nan)
    return magnitude, error
