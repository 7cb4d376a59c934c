"""Background spectra from the empty parts of other fields, for fields that must stay blind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from .._validation import invalid
from ._regions import to_vector
from ._rings import flatten_exclusions, measure_angle, to_unit_vectors
from .cells import ENERGY_EDGES, SHAPE, THETA_EDGES
from .gradient import (
    ZenithGradient,
    find_energy_scale,
    find_zenith_axis,
    fit_gradient,
    measure_height,
)

# Widths within which the shape of the background spectrum hardly changes.
_COS_ZENITH_WIDTH = 0.06
_EFFICIENCY_WIDTH = 0.08
_OFFSET_HALF_WIDTH = 0.3  # deg
_FIELD = np.radians(6.0)  # sources farther than this from the pointing leave no events
_SMOOTH = np.exp(-0.5 * (np.arange(-4, 5) / 1.2) ** 2)


@dataclass(frozen=True, eq=False)
class OffRun:
    """Background events of one run, clear of known sources and of what was observed.

    Parameters
    ----------
    obs_id : int
        Number of the run.
    pointing : SkyCoord
        Pointing position.
    zenith, muon_efficiency : float
        Mean zenith angle [deg] and optical efficiency.
    energy, offset, height : ndarray, shape (n_events,)
        Energy [TeV], distance from the pointing, and its part toward the zenith [deg].
    balanced : ndarray of bool, shape (n_events,)
        Whether the place mirrored at the pointing is as clear.
    """

    obs_id: int
    pointing: SkyCoord
    zenith: float
    muon_efficiency: float
    energy: np.ndarray
    offset: np.ndarray
    height: np.ndarray
    balanced: np.ndarray

    @cached_property
    def energy_scale(self) -> float:
        """Energy [TeV] that 10 % of the events lie below."""
        return find_energy_scale(self.energy, self.offset)

    def count_energies(self, offset: float) -> np.ndarray:
        """Counts per energy cell of events near an offset [deg]."""
        near = np.abs(self.offset - offset) < _OFFSET_HALF_WIDTH
        return np.histogram(self.energy[near], ENERGY_EDGES)[0]


@dataclass(frozen=True, eq=False)
class OffLibrary:
    """Background events of many runs.

    Parameters
    ----------
    runs : tuple of OffRun
        The runs.
    """

    runs: tuple[OffRun, ...]

    def __len__(self) -> int:
        return len(self.runs)

    def __str__(self) -> str:
        return f"{len(self)} runs, {sum(len(run.energy) for run in self.runs)} background events"

    @cached_property
    def gradient(self) -> ZenithGradient:
        """Change of the background rate toward the zenith."""
        return fit_gradient(self.runs)

    def leave_out(self, position: SkyCoord, *, radius: u.Quantity = 4 * u.deg) -> OffLibrary:
        """Return the library without runs that point within ``radius`` of a position."""
        axes = np.stack([to_vector("pointing", run.pointing) for run in self.runs])
        distance = measure_angle(axes, to_vector("position", position))
        kept = np.flatnonzero(distance > radius.to_value(u.rad))
        if not len(kept):
            raise invalid(
                "position",
                f"farther than {radius} from some runs of the library",
                position.to_string(),
                "The background must come from other fields: add runs.",
            )
        return OffLibrary(tuple(self.runs[i] for i in kept))

    def predict_background(
        self, *, zenith: float, muon_efficiency: float, offset: float
    ) -> np.ndarray:
        """Share of the background in each cell of energy and theta, shape ``SHAPE``, sum 1.

        The energy spectrum is that of runs at like zenith angle and optical efficiency, at like
        offset, smoothed over neighbouring cells; within the ON disc events are uniform.
        """
        spectrum = np.full(SHAPE[0], 1e-6)
        for run in self.runs:
            cosines = np.cos(np.radians(zenith)) - np.cos(np.radians(run.zenith))
            distance = cosines / _COS_ZENITH_WIDTH
            efficiency = (muon_efficiency - run.muon_efficiency) / _EFFICIENCY_WIDTH
            if np.isfinite(efficiency):  # runs that do not say are compared by zenith alone
                distance = np.hypot(distance, efficiency)
            if abs(distance) < 4:
                spectrum += np.exp(-0.5 * distance**2) * run.count_energies(offset)
        spectrum = np.convolve(spectrum, _SMOOTH, mode="same")
        area = np.diff(THETA_EDGES**2)
        return np.outer(spectrum / spectrum.sum(), area / area.sum())


def collect_off(
    observations: Iterable[Any],
    *,
    exclusions: Iterable[tuple[SkyCoord, u.Quantity]] = (),
    margin: u.Quantity = 0.1 * u.deg,
    around_object: u.Quantity = 0.3 * u.deg,
) -> OffLibrary:
    """Keep the events of each run that are clear of sources.

    Parameters
    ----------
    observations : iterable of Observation
        Runs.
    exclusions : iterable of (SkyCoord, Quantity)
        Known sources and their radii.
    margin : Quantity
        Kept free around each of them in addition.
    around_object : Quantity
        Kept free around what the run was taken for, source or not.

    Returns
    -------
    OffLibrary
    """
    centres, radii = flatten_exclusions(exclusions)
    radii = radii + margin.to_value(u.rad)
    runs = []
    for observation in observations:
        events, pointing = observation.events, observation.pointing
        vectors = to_unit_vectors(
            events["reco_ra"].to_value(u.deg), events["reco_dec"].to_value(u.deg)
        )
        axis = to_vector("pointing", pointing)
        near = measure_angle(centres, axis) < _FIELD
        circles = list(zip(centres[near], radii[near], strict=True))
        if "RA_OBJ" in events.meta:
            taken_for = to_unit_vectors(events.meta["RA_OBJ"], events.meta["DEC_OBJ"])
            circles.append((taken_for, around_object.to_value(u.rad)))
        mirrored = 2 * (vectors @ axis)[:, None] * axis - vectors
        clear, balanced = np.ones((2, len(events)), dtype=bool)
        for centre, size in circles:
            clear &= measure_angle(vectors, centre) > size
            balanced &= measure_angle(mirrored, centre) > size
        height = measure_height(vectors, pointing, find_zenith_axis(observation))
        runs.append(
            OffRun(
                obs_id=observation.obs_id,
                pointing=pointing,
                zenith=float(observation.zenith.to_value(u.deg)),
                muon_efficiency=float(observation.muon_efficiency),
                energy=np.asarray(events["reco_energy"].to_value(u.TeV), dtype=float)[clear],
                offset=np.rad2deg(measure_angle(vectors[clear], axis)),
                height=height[clear],
                balanced=balanced[clear],
            )
        )
    return OffLibrary(tuple(runs))
