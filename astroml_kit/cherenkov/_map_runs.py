"""The runs of a sky map: each is read once and kept as two small numbers per event."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._validation import check_columns
from ._map_grid import SkyGrid, find_basis
from ._map_shapes import TabulatedShape, tabulate_background
from ._regions import to_vector
from ._rings import FULL_TURN, measure_angle, to_unit_vectors
from .gradient import find_zenith_axis


@dataclass(frozen=True, eq=False)
class PolarCells:
    """Cells of offset and azimuth about a pointing: the same for every run.

    Attributes
    ----------
    step : float
        Width in offset [deg].
    n_offsets, n_angles : int
        Number of cells in offset and in azimuth (north through east); cell = row * n_angles + k.
    """

    step: float
    n_offsets: int
    n_angles: int

    def __len__(self) -> int:
        return self.n_offsets * self.n_angles

    @cached_property
    def offset(self) -> np.ndarray:
        """Distance of the centres from the pointing [deg], shape (n_cells,)."""
        return np.repeat(self.step * (np.arange(self.n_offsets) + 0.5), self.n_angles)

    @cached_property
    def local(self) -> np.ndarray:
        """Centres as unit vectors (east, north, pointing), shape (n_cells, 3)."""
        angle = FULL_TURN * (np.arange(self.n_angles) + 0.5) / self.n_angles
        angle = np.tile(angle, self.n_offsets)
        offset = np.deg2rad(self.offset)
        sine = np.sin(offset)
        return np.stack([sine * np.sin(angle), sine * np.cos(angle), np.cos(offset)], axis=-1)

    @cached_property
    def solid_angle(self) -> np.ndarray:
        """Solid angle of each cell [deg^2]."""
        edges = np.cos(np.deg2rad(self.step * np.arange(self.n_offsets + 1)))
        rows = -np.diff(edges) * FULL_TURN / self.n_angles * np.rad2deg(1.0) ** 2
        return np.repeat(rows, self.n_angles)

    @cached_property
    def reach(self) -> np.ndarray:
        """Distance from each centre to the farthest point of its cell [deg]."""
        half_arc = np.pi / self.n_angles * (self.offset + self.step / 2)
        return np.hypot(self.step / 2, half_arc)

    def find(self, local: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the cell of each local vector at an offset [deg]."""
        row = np.minimum((offset / self.step).astype(np.int32), self.n_offsets - 1)
        return row * self.n_angles + self.find_angle(local)

    def find_angle(self, local: np.ndarray) -> np.ndarray:
        """Return the number of the azimuth cell of each local vector."""
        angle = np.arctan2(local[:, 0], local[:, 1]) % FULL_TURN
        return (angle * (self.n_angles / FULL_TURN)).astype(np.int32) % self.n_angles


@dataclass(frozen=True, eq=False)
class MapRun:
    """What a map needs of one run.

    Attributes
    ----------
    basis : ndarray, shape (3, 3)
        East, north and the pointing.
    cells, pixels : ndarray of int32, shape (n_events,)
        Polar cell and map pixel (-1: outside the map) of each event.
    up : ndarray, shape (2,)
        Direction to the zenith (east, north), 0 where not known.
    shape : TabulatedShape or None
        Background of the instrument response, when that is the acceptance.
    """

    obs_id: int
    live_time: float
    zenith: float
    basis: np.ndarray
    cells: np.ndarray
    pixels: np.ndarray
    up: np.ndarray
    shape: TabulatedShape | None
    n_invalid: int

    @cached_property
    def lever(self) -> np.ndarray:
        """Tangent of the zenith angle along the direction to the zenith (east, north)."""
        tangent = np.tan(np.deg2rad(self.zenith)) if np.isfinite(self.zenith) else 0.0
        return tangent * self.up

    @cached_property
    def place(self) -> bytes:
        """Equal for runs with one pointing, which share their geometry."""
        return np.round(self.basis[2], 9).tobytes()


@dataclass(frozen=True)
class RunReader:
    """What is selected of every run: offsets in deg, energies in TeV."""

    grid: SkyGrid | None
    cells: PolarCells
    max_offset: float
    energy_min: float
    energy_max: float
    responses: bool

    def read_all(self, observations: Iterable[Any], *, progress: bool = False) -> list[MapRun]:
        """Read every run once; only what `MapRun` keeps stays in memory."""
        if progress:
            from tqdm import tqdm

            total = len(observations) if isinstance(observations, Sized) else None
            observations = tqdm(observations, total=total, unit="run", desc="mapping")
        return [self.read(observation) for observation in observations]

    def read(self, observation: Any) -> MapRun:
        """Read one run."""
        pointing = to_vector("pointing", observation.pointing)
        basis = find_basis(pointing)
        vectors, n_invalid = self.select(observation)
        local = vectors @ basis.T
        # accurate from 0 on, where the cosine is not
        offset = np.rad2deg(np.arctan2(np.hypot(local[:, 0], local[:, 1]), local[:, 2]))
        inside = offset < self.max_offset
        vectors, local, offset = vectors[inside], local[inside], offset[inside]
        zenith = find_zenith_axis(observation)
        up = np.zeros(2)
        if zenith is not None:
            east, north, _ = basis @ zenith
            up = np.array([east, north]) / max(np.hypot(east, north), 1e-12)
        shape = None
        if self.responses:
            shape = tabulate_background(
                observation.read_irfs(), self.energy_min, self.energy_max, self.max_offset
            )
        outside = np.full(len(vectors), -1, dtype=np.int32)
        return MapRun(
            obs_id=int(observation.obs_id),
            live_time=float(observation.live_time.to_value("s")),
            zenith=float(observation.zenith.to_value("deg")),
            basis=basis,
            cells=self.cells.find(local, offset),
            pixels=outside if self.grid is None else self.grid.find_pixels(vectors),
            up=up,
            shape=shape,
            n_invalid=n_invalid,
        )

    def select(self, observation: Any) -> tuple[np.ndarray, int]:
        """Return unit vectors of the events in the energy range, and how many have no position."""
        events = observation.events
        ranged = self.energy_min > 0 or np.isfinite(self.energy_max)
        needed = ("reco_ra", "reco_dec", *(("reco_energy",) if ranged else ()))
        check_columns(events.colnames, needed, where=f"events of run {observation.obs_id}")
        ra, dec = (np.asarray(events[name].to_value("deg"), float) for name in needed[:2])
        good = np.isfinite(ra) & np.isfinite(dec)
        wanted = good
        if ranged:
            energy = events["reco_energy"].to_value("TeV")
            good = good & ~np.isnan(energy)
            wanted = good & (energy >= self.energy_min) & (energy < self.energy_max)
        return to_unit_vectors(ra[wanted], dec[wanted]), int(np.count_nonzero(~good))


def find_centre(runs_pointing: np.ndarray) -> np.ndarray:
    """Return the middle of several pointings, shape (n, 3) -> (3,)."""
    total = runs_pointing.sum(axis=0)
    length = np.linalg.norm(total)
    return total / length if length > 1e-6 else runs_pointing[0]


def measure_spread(centre: np.ndarray, vectors: np.ndarray) -> float:
    """Return the largest distance [deg] of some vectors from a centre."""
    return float(np.rad2deg(measure_angle(vectors, centre).max(initial=0.0)))
