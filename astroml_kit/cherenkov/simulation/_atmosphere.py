"""The atmosphere along the line of sight: what a bin of slant depth means for light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._physics import (
    AEROSOL,
    AEROSOL_HEIGHT,
    ALTITUDE,
    RADIATION_LENGTH,
    RAYLEIGH,
    REFRACTIVITY,
    WAVELENGTHS,
)

# US standard atmosphere in Linsley's parametrisation, X = a + b exp(-h / c), as in CORSIKA:
# Heck et al. 1998, FZKA 6019, table D1. Heights in m, X in g/cm2.
_LAYERS = (0.0, 4e3, 1e4, 4e4)
_A = (-186.5562, -94.919, 0.61289, 0.0)
_B = (1222.6562, 1144.9069, 1305.5948, 540.1778)
_C = (9941.8638, 8781.5355, 6361.4304, 7721.7016)
BIN = 1.0  # radiation lengths
ELECTRON_MASS = 0.511e-3  # GeV
FINE_STRUCTURE = 1 / 137.036


def calculate_depth(height: np.ndarray | float) -> np.ndarray:
    """Vertical depth [g/cm2] at a height [m] above the sea."""
    height = np.asarray(height, dtype=float)
    layer = np.searchsorted(_LAYERS[1:], height, side="right")
    a, b, c = (np.array(v)[layer] for v in (_A, _B, _C))
    return a + b * np.exp(-height / c)


def calculate_height(depth: np.ndarray | float) -> np.ndarray:
    """Height [m] of a vertical depth [g/cm2]; inverse of `calculate_depth`."""
    depth = np.asarray(depth, dtype=float)
    layer = np.searchsorted(-calculate_depth(np.array(_LAYERS[1:])), -depth, side="right")
    a, b, c = (np.array(v)[layer] for v in (_A, _B, _C))
    return -c * np.log((depth - a) / b)


@dataclass(frozen=True, eq=False)
class Atmosphere:
    """Bins of one radiation length along an axis at a zenith angle, from the top down.

    Parameters
    ----------
    zenith : float
        Degrees.
    distance : ndarray, shape (n_bins,)
        From the array along the axis [m], at the middle of the bins.
    density : ndarray, shape (n_bins,)
        g/cm3.
    theta_max : ndarray, shape (n_bins,)
        Cherenkov angle at the speed of light [rad].
    photons : ndarray, shape (n_bins,)
        Photons that reach the ground per fast electron that crosses the bin.
    edges : ndarray, shape (n_bins + 1,)
        Distances of the borders of the bins [m].
    depth_grid, distance_grid : ndarray
        Slant depth [radiation lengths] and distance [m], fine, for tracking.
    """

    zenith: float
    distance: np.ndarray
    density: np.ndarray
    theta_max: np.ndarray
    photons: np.ndarray
    edges: np.ndarray
    depth_grid: np.ndarray
    distance_grid: np.ndarray

    @property
    def threshold(self) -> np.ndarray:
        """Energy above which electrons radiate [GeV]."""
        return ELECTRON_MASS / self.theta_max


def make_atmosphere(zenith: float) -> Atmosphere:
    """Make the bins for a zenith angle [deg]."""
    cosine = float(np.cos(np.deg2rad(zenith)))
    ground = float(calculate_depth(ALTITUDE)) / cosine / RADIATION_LENGTH
    middle = (np.arange(int(ground / BIN)) + 0.5) * BIN
    height = calculate_height(middle * RADIATION_LENGTH * cosine)
    layer = np.searchsorted(_LAYERS[1:], height, side="right")
    b, c = (np.array(v)[layer] for v in (_B, _C))
    density = b / (100 * c) * np.exp(-height / c)  # g/cm3
    sea_level = _B[0] / (100 * _C[0])
    theta_max = np.sqrt(2 * REFRACTIVITY * density / sea_level)
    length = BIN * RADIATION_LENGTH / density / 100  # m
    per_metre = 2 * np.pi * FINE_STRUCTURE * (1 / WAVELENGTHS[0] - 1 / WAVELENGTHS[1])
    slant_below = (ground - middle) * RADIATION_LENGTH
    aerosol = AEROSOL * (1 - np.exp(-(height - ALTITUDE) / AEROSOL_HEIGHT)) / cosine
    transmission = np.exp(-slant_below / RAYLEIGH - aerosol)

    def find_distance(depth):
        vertical = np.maximum(depth * RADIATION_LENGTH * cosine, 3.0)
        return (calculate_height(vertical) - ALTITUDE) / cosine

    grid = np.linspace(0.0, ground, 2048)
    return Atmosphere(
        zenith=zenith,
        distance=(height - ALTITUDE) / cosine,
        density=density,
        theta_max=theta_max,
        photons=per_metre * theta_max**2 * length * transmission,
        edges=find_distance(np.arange(len(middle) + 1) * BIN),
        depth_grid=grid,
        distance_grid=find_distance(grid),
    )
