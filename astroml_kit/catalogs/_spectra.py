"""Spectra of stars, galaxies and quasars, simple ones, and their magnitudes in ugriz."""

from __future__ import annotations

from functools import cache

import numpy as np

# Centres and full widths [Angstrom] of SDSS: Fukugita et al. 1996, doi:10.1086/117915, table 2.
CENTRES = {"u": 3557.0, "g": 4825.0, "r": 6261.0, "i": 7672.0, "z": 9097.0}
WIDTHS = {"u": 599.0, "g": 1379.0, "r": 1382.0, "i": 1535.0, "z": 1370.0}
GRID = np.geomspace(100.0, 12_000.0, 8000)  # rest-frame wavelengths
REDSHIFTS = np.linspace(0.0, 7.0, 701)
TEMPERATURES = np.geomspace(2800.0, 12_000.0, 60)
LIGHT, HCK = 2.998e18, 1.4388e8  # Angstrom/s; h c / k in Angstrom K
LYMAN_ALPHA, LYMAN_LIMIT, BALMER_BREAK = 1216.0, 912.0, 4000.0
# Emission lines: wavelength [Angstrom], equivalent width and full width [Angstrom].
QUASAR_LINES = ((1216, 90, 40), (1549, 35, 30), (1909, 20, 35), (2798, 35, 45), (4861, 45, 70),
                (5007, 15, 15), (6563, 190, 90))  # fmt: skip
NEBULAR_LINES = ((3727, 60, 8), (4861, 25, 8), (5007, 90, 8), (6563, 110, 8))
# Galaxies, early to late: temperature of old and young stars [K], share of the young at 5000
# Angstrom, depth of the 4000 Angstrom break, strength of the lines.
GALAXIES = ((4300, 9000, 0.0, 0.50, 0.0), (4600, 9000, 0.25, 0.36, 0.05),
            (4900, 12_000, 0.50, 0.24, 0.35), (5500, 25_000, 0.80, 0.10, 1.0))  # fmt: skip


def find_blackbody(temperature: float) -> np.ndarray:
    """Flux per wavelength on the grid, one at 5000 Angstrom."""
    with np.errstate(over="ignore"):
        shape = GRID**-5 / np.expm1(HCK / (GRID * temperature))
        at = 5000.0**-5 / np.expm1(HCK / (5000.0 * temperature))
    return shape / at


def find_lines(lines: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    """Emission lines as multiples of the continuum."""
    total = np.zeros_like(GRID)
    for centre, equivalent, width in lines:
        sigma = width / 2.355
        total += equivalent / (2.507 * sigma) * np.exp(-0.5 * ((GRID - centre) / sigma) ** 2)
    return total


def find_galaxy(kind: int) -> np.ndarray:
    """Flux per wavelength of an old and a young population with break and lines."""
    cool, hot, young, depth, lines = GALAXIES[kind]
    stars = (1 - young) * find_blackbody(cool) + young * find_blackbody(hot)
    step = 1 / (1 + np.exp((GRID - BALMER_BREAK) / 60))
    stars *= 1 - depth * step
    stars = stars * (1 + lines * find_lines(NEBULAR_LINES))
    return np.where(GRID < LYMAN_LIMIT, 0.0, stars)


def find_quasar(slope: float) -> np.ndarray:
    """Flux per wavelength of a power law, ``f_nu ~ nu^slope``, with broad lines."""
    return (GRID / 5000.0) ** (-2 - slope) * (1 + find_lines(QUASAR_LINES))


def measure_magnitudes(spectrum: np.ndarray, redshifts: np.ndarray, *, forest: bool) -> np.ndarray:
    """AB magnitudes up to a common constant, shape (n_redshifts, 5); counts photons.

    ``forest`` takes away what hydrogen between us and a quasar absorbs: a share of the light
    between 912 and 1216 Angstrom that grows with redshift (Madau 1995, doi:10.1086/175332,
    roughly), and all below.
    """
    out = np.empty((len(redshifts), len(CENTRES)))
    for row, z in enumerate(redshifts):
        light = spectrum
        if forest:
            depth = 0.0036 * ((1 + z) * GRID / LYMAN_ALPHA) ** 3.46
            light = np.where(GRID < LYMAN_ALPHA, spectrum * np.exp(-depth), spectrum)
            light = np.where(GRID < LYMAN_LIMIT, 1e-6 * spectrum, light)
        seen = GRID * (1 + z)
        for column, band in enumerate(CENTRES):
            through = np.exp(-((np.abs(seen - CENTRES[band]) / (0.55 * WIDTHS[band])) ** 6))
            photons = np.trapezoid(light * through * seen, seen) / (1 + z)
            flat = np.trapezoid(through / seen, seen) * LIGHT
            out[row, column] = -2.5 * np.log10(max(photons / flat, 1e-60))
    return out


@cache
def tabulate_galaxies() -> np.ndarray:
    """Magnitudes of the galaxy types, shape (n_types, n_redshifts, 5)."""
    return np.stack([measure_magnitudes(find_galaxy(k), REDSHIFTS[:201], forest=False)
                     for k in range(len(GALAXIES))])  # fmt: skip


@cache
def tabulate_quasars() -> np.ndarray:
    """Magnitudes of a red and a blue quasar, shape (2, n_redshifts, 5)."""
    return np.stack([measure_magnitudes(find_quasar(slope), REDSHIFTS, forest=True)
                     for slope in (-1.0, 0.0)])  # fmt: skip


@cache
def tabulate_stars() -> np.ndarray:
    """Magnitudes of black bodies, shape (n_temperatures, 5).

    The ultraviolet of stars is blocked by metals (cool) and the Balmer jump (hot): 0.9 mag at
    4000 K and below, 0.4 mag in hot ones.
    """
    local = np.zeros(1)
    table = np.concatenate([measure_magnitudes(find_blackbody(t), local, forest=False)
                            for t in TEMPERATURES])  # fmt: skip
    table[:, 0] += np.interp(TEMPERATURES, [4000.0, 9000.0], [0.9, 0.4])
    return table
