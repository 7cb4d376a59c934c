"""Where the light of a shower's electrons lands, tabulated once for each zenith angle.

The average shower of Hillas (1982, doi:10.1088/0305-4616/8/10/016): energies and angles of the
electrons depend on the age alone. For each bin of depth, age and impact distance the table keeps
the density of photons on the ground and some of the places that photons landing there come from:
the light that a telescope sees is a selected part of the shower, and must stay so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ._physics import CRITICAL_ENERGY, LATERAL_SCALE, RADIATION_LENGTH

AGES = np.linspace(0.4, 1.8, 8)
IMPACT_BIN, N_IMPACT, N_STORED = 7.5, 80, 64  # m
OFFSET_STEP = 0.05  # m
N_PHOTONS = 60_000
_ENERGIES = np.geomspace(5.0, 1e5, 512)  # MeV


class PhotonTable(NamedTuple):
    """Light of one electron in each bin of depth and age.

    Parameters
    ----------
    density : ndarray of float32, shape (n_impacts, n_depths, n_ages)
        Photons per m2.
    offset : ndarray of int16, shape (n_impacts, n_depths, n_ages, n_stored, 2)
        Where they come from in a plane across the axis, in `OFFSET_STEP` (small tables are fast
        tables): away from the axis towards the telescope, and perpendicular to that.
    """

    density: np.ndarray
    offset: np.ndarray


@lru_cache(maxsize=4)
def make_photon_table(zenith: float, lateral_scale: float = LATERAL_SCALE) -> PhotonTable:
    """Make the table; a few seconds. The same numbers every time."""
    from ._atmosphere import make_atmosphere
    from ._photon_kernels import fill_table

    air = make_atmosphere(zenith)
    shape = (len(air.distance), len(AGES), N_IMPACT)
    density = np.zeros(shape, dtype=np.float32)
    offset = np.zeros((*shape, N_STORED, 2), dtype=np.int16)
    spectra = np.stack([fraction_above(_ENERGIES, age) for age in AGES])
    angles = np.stack([tabulate_angles(False), tabulate_angles(True)])
    shift, scatter = follow_scattering(_ENERGIES)
    radiation_length = RADIATION_LENGTH / air.density / 100 * lateral_scale  # m
    fill_table(
        density, offset, air.distance, air.theta_max, air.threshold * 1e3, air.photons,
        radiation_length, AGES, _ENERGIES, spectra, angles, shift, scatter, N_PHOTONS, IMPACT_BIN,
        OFFSET_STEP,
    )  # fmt: skip
    # What an axis asks for lies at one impact distance: close together in memory.
    return PhotonTable(*(np.ascontiguousarray(np.moveaxis(v, 2, 0)) for v in (density, offset)))


def fraction_above(energy: np.ndarray, age: float) -> np.ndarray:
    """Fraction of the electrons above an energy [MeV]; eq. 1 of Hillas (1982)."""
    e0 = 44 - 17 * (age - 1.46) ** 2 if age >= 0.4 else 26.0
    shape = np.maximum((0.89 * e0 - 1.2) / (e0 + energy), 1e-30) ** age
    return shape / (1 + 1e-4 * age * energy) ** 2


def tabulate_angles(fast: bool, n: int = 1024) -> np.ndarray:
    """Quantiles of sqrt(w / <w>), w = 2 (1 - cos theta) (E / 21 MeV)^2; Hillas (1982), eq. 5.

    Parameters
    ----------
    fast : bool
        Above 350 MeV.
    """
    z0, inner, outer = (0.37, 0.413, 0.380) if fast else (0.59, 0.478, 0.380)
    z = np.linspace(0, 6, 6001)
    pdf = z * np.exp(-(z - z0) / np.where(z < z0, inner, outer))
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (pdf[1:] + pdf[:-1]))])
    return np.interp((np.arange(n) + 0.5) / n, cdf / cdf[-1], z)


def follow_scattering(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far an electron is from the axis for its angle: multiple scattering, losing energy.

    Fermi-Eyges with E'(t) = (E + Ec) exp(0.96 t) - Ec looking back along the track.

    Returns
    -------
    shift, scatter : ndarray
        Displacement per angle in radiation lengths: what follows from the angle, and the rest.
    """
    t = np.linspace(0, 8, 4001)
    critical = 1e3 * CRITICAL_ENERGY
    before = (energy[:, None] + critical) * np.exp(0.96 * t) - critical
    moments = [np.asarray(np.trapezoid(t**n / before**2, t, axis=1)) for n in range(3)]
    shift = moments[1] / moments[0]
    return shift, np.sqrt(np.maximum(moments[2] / moments[0] - shift**2, 0))
