"""Counting one run: the plan that all runs share, on plain floats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_columns
from ._regions import say_full, say_inside, to_vector
from ._rings import (
    Ring,
    find_in_ring,
    find_rotation_alpha,
    place_regions,
    place_rotations,
    to_unit_vectors,
)

BACKGROUNDS = ("reflected", "rotated")
THRESHOLDS = ("none", "file", "aeff-max")
POSITIONS = ("reco_ra", "reco_dec")


@dataclass(frozen=True)
class CountingPlan:
    """What is the same for every run: checked arguments as floats (rad, TeV)."""

    radius: float
    exclusions: tuple[np.ndarray, np.ndarray]
    background: str
    placement: dict[str, Any]
    gap: float
    n_rotations: int
    energy_min: float
    energy_max: float
    threshold: str
    aeff_fraction: float
    max_offset: float

    def place(self, ring: Ring) -> np.ndarray:
        """Return the rotation angles of the OFF regions of one run."""
        if self.background == "reflected":
            return place_regions(
                ring, radius=self.radius, exclusions=self.exclusions, **self.placement
            )
        return place_rotations(
            ring,
            radius=self.radius,
            gap=self.gap,
            exclusions=self.exclusions,
            n_rotations=self.n_rotations,
        )

    def count(self, observation: Any, target: np.ndarray) -> dict[str, Any]:
        """Return one row of the table, or of the dropped runs (those have a reason)."""
        pointing = to_vector("pointing", observation.pointing)
        ring = Ring.through(pointing, target)
        row: dict[str, Any] = {
            "obs_id": int(observation.obs_id),
            "offset": np.rad2deg(ring.offset),
            "live_time": observation.live_time.to_value("s"),
        }
        if ring.offset > self.max_offset:
            limit = np.rad2deg(self.max_offset)
            return row | {"reason": f"the target is more than {limit:.4g} deg from the pointing"}
        if ring.offset <= self.radius:
            return row | {"reason": say_inside(ring.offset, self.radius)}
        angles = self.place(ring)
        if not len(angles):
            return row | {"reason": say_full(ring, self.radius, len(self.exclusions[1]))}
        low = find_threshold(
            observation, self.threshold, offset=ring.offset, fraction=self.aeff_fraction
        )
        if not np.isfinite(low):
            missing = {
                "file": "the file has no energy threshold (LO_THRES)",
                "aeff-max": "the effective area at the target's offset is 0",
            }[self.threshold]
            return row | {"reason": missing}
        low = max(low, self.energy_min)
        cosine = self.measure_cosines(observation.events, ring, angles, low)
        inside = cosine > np.cos(self.radius)
        n_on = int(np.count_nonzero(inside[:, 0]))
        n_found = int(np.count_nonzero(inside[:, 1:]))
        alpha, n_off = 1 / len(angles), float(n_found)
        if self.background == "rotated":
            alpha = find_rotation_alpha(ring, angles, self.radius)
            n_off = n_found / len(angles) / alpha
        return row | {
            "n_on": n_on,
            "n_off": n_off,
            "alpha": alpha,
            "n_regions": len(angles),
            "energy_min": low,
        }

    def measure_cosines(
        self, events: QTable, ring: Ring, angles: np.ndarray, energy_min: float
    ) -> np.ndarray:
        """Return cosines of the distance to ON (first column) and to every OFF centre.

        Only events in the energy range and near the ring make a row: the rest is in no region.
        """
        has_energies = energy_min > 0 or self.energy_max < np.inf
        needed = (*POSITIONS, *(("reco_energy",) if has_energies else ()))
        check_columns(events.colnames, needed, where="events")
        ra, dec = (np.asarray(events[name].to_value("deg"), float) for name in POSITIONS)
        # a cheap first look, in declination only
        middle, reach = np.arcsin(np.clip(ring.pointing[2], -1, 1)), ring.offset + self.radius
        near = np.abs(dec - np.rad2deg(middle)) <= np.rad2deg(reach) + 1e-6
        if has_energies:
            energy = events["reco_energy"].to_value("TeV")
            near &= (energy >= energy_min) & (energy < self.energy_max)
        vectors = to_unit_vectors(ra[near], dec[near])
        vectors = vectors[find_in_ring(vectors, ring, self.radius)]
        return vectors @ ring.locate(np.append(0.0, angles)).T


def find_threshold(observation: Any, threshold: str, *, offset: float, fraction: float) -> float:
    """Return a run's lowest usable energy in TeV (0: none asked for; NaN: it has none).

    ``aeff-max``: where the effective area at ``offset`` (rad) first reaches ``fraction`` of its
    maximum, linear in area and in the logarithm of the energy. A true energy, used as a limit on
    the reconstructed one, as gammapy's SafeMaskMaker does.
    """
    if threshold == "none":
        return 0.0
    if threshold == "file":
        return float(observation.energy_threshold.to_value("TeV"))
    irfs = observation.read_irfs()
    log_energy = irfs.aeff.get_nodes("ENERG")
    area = irfs.effective_area(10**log_energy, np.rad2deg(offset))
    level = fraction * area.max()
    if not level > 0:
        return float("nan")
    above = int(np.argmax(area >= level))
    if above == 0:
        return float(10 ** log_energy[0])
    part = (level - area[above - 1]) / (area[above] - area[above - 1])
    return float(10 ** (log_energy[above - 1] + part * (log_energy[above] - log_energy[above - 1])))
