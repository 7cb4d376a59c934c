"""The zenith gradient of the background: nearer the zenith, fainter showers pass the threshold.

Across one field the rate of background changes along the direction to the zenith. Close to the
threshold of a run it changes by tens of per cent per degree, far above it hardly at all. In units
of the run's own energy scale, and divided by the tangent of its zenith angle, the slope is the
same for all runs of an instrument; so it is measured on other fields and applied to the one that
must stay blind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import erfa
import numpy as np

from ._regions import to_vector
from ._rings import to_unit_vectors

SCALE_QUANTILE = 0.1  # of the energies of a run's background
SCALE_OFFSET = 1.1  # deg, within which they are taken
_EDGES = np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 2.0, 3.0, 6.0])  # E / scale
_PRIOR = 10.0  # deg^2: pulls slopes that no events constrain to 0, as if +-0.3 / deg were known
_LIMIT = np.log(5.0)


def find_zenith_axis(observation: Any) -> np.ndarray | None:
    """Direction to the zenith on the sky at the middle of a run, as a unit vector.

    None when the events carry no times or their header no site (``GEOLON``, ``GEOLAT``).
    """
    events = observation.events
    site = [events.meta.get(name) for name in ("GEOLON", "GEOLAT")]
    if None in site or "time" not in events.colnames or not len(events):
        return None
    time = events["time"][len(events) // 2].utc
    longitude, latitude = (float(value) for value in site)
    # UT1 - UTC is below 0.9 s, 14 arcsec on the sky
    sidereal = np.rad2deg(erfa.gmst82(time.jd1, time.jd2)) + longitude
    return to_unit_vectors(sidereal, latitude)


def measure_height(vectors: np.ndarray, pointing: Any, zenith: np.ndarray | None) -> np.ndarray:
    """Distance from the pointing toward the zenith [deg], NaN where that is not known.

    Parameters
    ----------
    vectors : ndarray, shape (..., 3)
        Directions within a few degrees of the pointing.
    pointing : SkyCoord
        Pointing position.
    zenith : ndarray, shape (3,), or None
        From `find_zenith_axis`.
    """
    if zenith is None:
        return np.full(vectors.shape[:-1], np.nan)
    axis = to_vector("pointing", pointing)
    up = zenith - (zenith @ axis) * axis
    return np.rad2deg(np.arcsin(np.clip(vectors @ up / np.linalg.norm(up), -1, 1)))


def find_energy_scale(energy: np.ndarray, offset: np.ndarray) -> float:
    """Energy [TeV] that 10 % of a run's background events lie below."""
    inner = energy[offset < SCALE_OFFSET]
    return float(np.quantile(inner, SCALE_QUANTILE)) if len(inner) else float("nan")


@dataclass(frozen=True, eq=False)
class ZenithGradient:
    """Relative change of the background rate per degree toward the zenith.

    Parameters
    ----------
    slope, error : ndarray, shape (n_bins,)
        d ln(rate) / d(height in deg) / tan(zenith angle) per bin of energy / energy scale.
    """

    slope: np.ndarray
    error: np.ndarray

    def __str__(self) -> str:
        return (
            f"background gradient {self.slope[0]:+.2f} +- {self.error[0]:.2f} /deg/tan(z) "
            f"at threshold, {self.slope[-1]:+.2f} +- {self.error[-1]:.2f} far above"
        )

    def compare_rates(
        self, relative_energy: np.ndarray, rise: np.ndarray, *, zenith: float
    ) -> np.ndarray:
        """Rate at a place over the rate ``rise`` degrees farther from the zenith.

        Parameters
        ----------
        relative_energy : ndarray
            Energy over the energy scale of the run.
        rise : ndarray
            Height difference [deg]; NaN, not known, gives 1.
        zenith : float
            Zenith angle of the run [deg].
        """
        slope = self.slope[np.digitize(relative_energy, _EDGES)]
        change = slope * np.tan(np.radians(zenith)) * rise
        return np.exp(np.clip(np.nan_to_num(change), -_LIMIT, _LIMIT))


def fit_gradient(runs: Iterable[Any]) -> ZenithGradient:
    """Measure the gradient on background events whose mirror image is as clear of sources.

    Parameters
    ----------
    runs : iterable of OffRun
        With ``energy``, ``height``, ``balanced``, ``zenith`` and ``energy_scale``.

    Returns
    -------
    ZenithGradient
    """
    first, second = np.zeros(len(_EDGES) + 1), np.zeros(len(_EDGES) + 1)
    for run in runs:
        lever = run.height * np.tan(np.radians(run.zenith))
        used = run.balanced & np.isfinite(lever) & (run.offset < SCALE_OFFSET)
        column = np.digitize(run.energy[used] / run.energy_scale, _EDGES)
        first += np.bincount(column, weights=lever[used], minlength=len(first))
        second += np.bincount(column, weights=lever[used] ** 2, minlength=len(first))
    return ZenithGradient(first / (second + _PRIOR), 1 / np.sqrt(second + _PRIOR))
