"""A run around one target in cells of energy and theta: all that a score likelihood looks at.

Published DL3 events carry no image shapes, so what tells a photon from background is how far
from the source and at what energy it was measured. Cells are fine enough for any score that
depends on the two; a score then is a table that sends each cell to a bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from scipy.stats import ncx2

from .._validation import check_real
from ..significance import OnOffCounts, ScoreBins
from ._regions import to_vector
from ._rings import measure_angle, to_unit_vectors
from ._rotations import find_rotated_discs
from .gradient import ZenithGradient, find_energy_scale, find_zenith_axis, measure_height
from .irfs import IRFs

RADIUS = 0.2  # deg, of the ON disc
ENERGY_EDGES = np.logspace(-0.8, 2.0, 57)  # TeV, 20 cells a decade
THETA_EDGES = np.linspace(0.0, RADIUS, 21)  # deg
SHAPE = (len(ENERGY_EDGES) - 1, len(THETA_EDGES) - 1)
N_CELLS = SHAPE[0] * SHAPE[1]
_TRUE_ENERGY = np.geomspace(0.05, 100.0, 133)  # TeV
_SMEAR_EDGES = np.linspace(0.0, 0.8, 161)  # deg


def find_cell(energy: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Index of the cell of each event; energies [TeV] outside the range go to the outer cells."""
    row = np.clip(np.searchsorted(ENERGY_EDGES, energy, side="right") - 1, 0, SHAPE[0] - 1)
    column = np.clip(np.searchsorted(THETA_EDGES, theta, side="right") - 1, 0, SHAPE[1] - 1)
    return row * SHAPE[1] + column


class SignalPredictor:
    """Signal that a source of stated spectrum and size leaves in each cell of one run.

    Parameters
    ----------
    irfs : IRFs
        Responses of the run.
    offset : float
        Distance of the source from the pointing [deg].

    Examples
    --------
    See ``tutorials/03_blind_reanalysis.py``.
    """

    def __init__(self, irfs: IRFs, *, offset: float):
        energy, away = _TRUE_ENERGY, np.full(len(_TRUE_ENERGY), float(offset))
        self._area = irfs.effective_area(energy, away) * 1e4  # cm2
        migra = ENERGY_EDGES[:, None] / energy
        self._energy_share = np.diff(irfs.edisp_containment(migra, energy, away), axis=0)
        self._psf = irfs.psf_containment(_SMEAR_EDGES[:, None], energy, away)

    def predict(self, *, index: float, extension: float = 0.0) -> np.ndarray:
        """Expected events per second in each cell, shape ``SHAPE``.

        For a differential flux of 1 cm-2 s-1 TeV-1 at 1 TeV.

        Parameters
        ----------
        index : float
            Photon index, dN/dE ~ E^-index.
        extension : float
            Standard deviation of a symmetric Gaussian source [deg]; 0 is a point.
        """
        check_real("index", index)
        check_real("extension", extension, at_least=0)
        rate = (
            self._area * _TRUE_ENERGY ** (1.0 - index) * np.log(_TRUE_ENERGY[1] / _TRUE_ENERGY[0])
        )
        if extension:
            weight = np.diff(self._psf, axis=0)
            middle = 0.5 * (_SMEAR_EDGES[1:] + _SMEAR_EDGES[:-1])
            inside = ncx2.cdf((THETA_EDGES[:, None] / extension) ** 2, 2, (middle / extension) ** 2)
            containment = inside @ weight
        else:
            containment = np.stack(
                [np.interp(THETA_EDGES, _SMEAR_EDGES, column) for column in self._psf.T], axis=1
            )
        return np.clip((self._energy_share * rate) @ np.diff(containment, axis=0).T, 0.0, None)


@dataclass(frozen=True, eq=False)
class TargetRun:
    """Events of one run in the ON disc and in its rotations.

    Parameters
    ----------
    obs_id : int
        Number of the run.
    offset, zenith : float
        Distance of the target from the pointing, and mean zenith angle [deg].
    muon_efficiency, live_time : float
        Optical efficiency, and dead-time corrected duration [s].
    n_rotations : int
        Rotations that are clear of the target and of known sources.
    on_energy, on_theta : ndarray, shape (n_on,)
        Energy [TeV] and distance from the target [deg] of events in the ON disc.
    off_event : ndarray of int, shape (n_pairs,)
        Which event each (event, rotation) pair holds, counted from 0.
    off_energy, off_theta : ndarray, shape (n_pairs,)
        Its energy [TeV], and its distance from the centre of the rotated disc [deg].
    off_weight : ndarray, shape (n_pairs,)
        Background rate at the same place of the ON disc over that in the rotated disc.
    """

    obs_id: int
    offset: float
    zenith: float
    muon_efficiency: float
    live_time: float
    n_rotations: int
    on_energy: np.ndarray
    on_theta: np.ndarray
    off_event: np.ndarray
    off_energy: np.ndarray
    off_theta: np.ndarray
    off_weight: np.ndarray

    def __str__(self) -> str:
        return (
            f"run {self.obs_id}: {len(self.on_energy)} on, "
            f"{self.background:.1f} expected "
            f"from {self.n_rotations} rotations at {self.offset:.2f} deg"
        )

    @property
    def background(self) -> float:
        """Expected background in the whole ON disc."""
        return float(self.off_weight.sum() / self.n_rotations)

    def fill_bins(self, table: np.ndarray, signal: np.ndarray, *, n_bins: int = 8) -> ScoreBins:
        """Count in score bins.

        Parameters
        ----------
        table : ndarray of int, shape (N_CELLS,)
            Bin of each cell, from 0, lowest score first.
        signal : ndarray of float, shape (N_CELLS,)
            Predicted signal of each cell.
        n_bins : int
            Number of bins, also those that no cell of this run reaches.
        """
        n_on = np.bincount(table[find_cell(self.on_energy, self.on_theta)], minlength=n_bins)
        column = table[find_cell(self.off_energy, self.off_theta)]
        n_events = int(self.off_event.max(initial=-1)) + 1
        off = np.bincount(
            self.off_event * n_bins + column, self.off_weight, minlength=n_events * n_bins
        )
        return ScoreBins(
            n_on,
            np.bincount(table, weights=signal, minlength=n_bins),
            off.reshape(n_events, n_bins) / self.n_rotations,
        )

    def count_box(self, *, energy_min: float, theta_max: float) -> OnOffCounts:
        """Count above an energy [TeV] and within a radius [deg].

        OFF counts are those that have the mean and variance of the rotated background:
        alpha = V / B and n_off = B / alpha.
        """
        on = (self.on_energy > energy_min) & (self.on_theta < theta_max)
        off = (self.off_energy > energy_min) & (self.off_theta < theta_max)
        times = np.bincount(self.off_event[off], self.off_weight[off]) / self.n_rotations
        background, variance = times.sum(), (times**2).sum()
        if background == 0:  # an empty box: one event of one rotation would be the first
            return OnOffCounts(int(on.sum()), 0.0, 1.0 / self.n_rotations)
        alpha = variance / background
        return OnOffCounts(int(on.sum()), background / alpha, alpha)


def select_target(
    observation: Any,
    target: SkyCoord,
    *,
    exclusions: Iterable[Any] = (),
    gradient: ZenithGradient | None = None,
    n_rotations: int = 180,
) -> TargetRun:
    """Pick the events of a run around a target and around its rotations about the pointing.

    Parameters
    ----------
    observation : Observation
        The run.
    target : SkyCoord
        Position to look at.
    exclusions : iterable of (SkyCoord, Quantity)
        Circles without OFF.
    gradient : ZenithGradient, optional
        Measured on other fields; corrects for the background rising toward the zenith. None:
        the background depends on the distance from the pointing only.
    n_rotations : int
        Equal steps of a full turn to try.

    Raises
    ------
    NoOffRegionError
        When no rotation is clear.
    """
    discs = find_rotated_discs(
        observation.pointing,
        target,
        radius=RADIUS * u.deg,
        exclusions=exclusions,
        n_rotations=n_rotations,
    )
    events = observation.events
    ra, dec = events["reco_ra"], events["reco_dec"]
    energy = np.asarray(events["reco_energy"].to_value(u.TeV), dtype=float)
    pairs = discs.match_events(ra, dec)
    theta = np.sqrt(discs.measure_theta_squared(ra, dec))
    on = theta < RADIUS
    zenith = float(observation.zenith.to_value(u.deg))
    weight = np.ones(len(pairs.event))
    if gradient is not None:
        vectors = to_unit_vectors(ra.to_value(u.deg), dec.to_value(u.deg))
        axis = to_vector("pointing", observation.pointing)
        offset = np.rad2deg(measure_angle(vectors, axis))
        relative = energy[pairs.event] / find_energy_scale(energy[~on], offset[~on])
        turned = rotate_about(
            vectors[pairs.event], axis, -discs.angles.to_value(u.rad)[pairs.rotation]
        )
        rise = [
            measure_height(v, observation.pointing, find_zenith_axis(observation))
            for v in (turned, vectors[pairs.event])
        ]
        weight = gradient.compare_rates(relative, rise[0] - rise[1], zenith=zenith)
    return TargetRun(
        obs_id=observation.obs_id,
        offset=float(observation.pointing.separation(target).to_value(u.deg)),
        zenith=zenith,
        muon_efficiency=float(observation.muon_efficiency),
        live_time=float(observation.live_time.to_value(u.s)),
        n_rotations=len(discs),
        on_energy=energy[on],
        on_theta=theta[on],
        off_event=np.unique(pairs.event, return_inverse=True)[1],
        off_energy=energy[pairs.event],
        off_theta=np.sqrt(pairs.theta_squared),
        off_weight=weight,
    )


def rotate_about(vectors: np.ndarray, axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn unit vectors about an axis, from north through east (Rodrigues' formula)."""
    cosine, sine = np.cos(angle)[:, None], -np.sin(angle)[:, None]
    along = (vectors @ axis)[:, None] * axis
    return cosine * (vectors - along) + sine * np.cross(axis, vectors) + along


def assign_bins(
    scores: Sequence[np.ndarray], signals: Sequence[np.ndarray], *, n_bins: int = 8
) -> list[np.ndarray]:
    """Cut the score into bins of equal predicted signal over all runs together.

    Parameters
    ----------
    scores, signals : sequence of ndarray, shape (N_CELLS,)
        Score and predicted signal of each cell, one array per run.
    n_bins : int
        Number of bins.

    Returns
    -------
    list of ndarray of int, shape (N_CELLS,)
        For each run, the bin of each cell, lowest score first.
    """
    score, signal = np.stack(scores), np.stack(signals)
    order = np.argsort(score, axis=None, kind="stable")
    below = np.cumsum(signal.ravel()[order])
    table = np.empty(score.size, dtype=int)
    table[order] = np.minimum(below / below[-1] * n_bins, n_bins - 1).astype(int)
    return list(table.reshape(score.shape))
