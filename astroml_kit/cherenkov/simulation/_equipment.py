"""Telescopes, cameras and the air above them, as the compiled loops want them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from scipy.spatial import cKDTree

from ..cameras import CameraGeometry
from ._physics import MIRROR_RADIUS, NOISE_PER_PE, NOISE_VARIANCE

NEAREST = 4000.0  # m: light from nearer mostly misses the camera and does not move its centre
CELLS_PER_PIXEL = 16  # across a pixel of the raster that finds them
# First impact bins of the zones in which light is bounded, closer where it falls faster.
ZONES = (0, 4, 8, 12, 16, 19, 22, 26, 31, 37, 45, 55, 66)


def make_array() -> QTable:
    """Positions of four telescopes on a square of 120 m, diagonals along the axes: H.E.S.S. I."""
    x = np.array([-85.0, 0.0, 85.0, 0.0]) * u.m
    y = np.array([0.0, 85.0, 0.0, -85.0]) * u.m
    return QTable({"tel_id": [1, 2, 3, 4], "x": x, "y": y})


def make_camera() -> CameraGeometry:
    """960 hexagonal pixels of 0.16 degree."""
    return CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960)


@lru_cache(maxsize=4)
def prepare_air(zenith: float) -> tuple[Any, Any]:
    """Atmosphere and photon table at a zenith angle, and room for a shower in it."""
    from ._atmosphere import make_atmosphere
    from ._cascades import make_shower, tabulate_profiles
    from ._light import Air
    from ._photon_table import AGES, IMPACT_BIN, N_STORED, OFFSET_STEP, make_photon_table

    air = make_atmosphere(zenith)
    table = make_photon_table(zenith)
    profiles, peak = tabulate_profiles(), find_peaks(table.density)
    arrays = Air(
        distance=air.distance,
        inverse=1 / np.maximum(air.distance, NEAREST),
        theta_max=air.theta_max,
        photons=air.photons,
        edges=air.edges,
        ring_start=find_ring_starts(air.edges, air.theta_max),
        grid=np.stack([air.depth_grid, air.distance_grid]),
        density=table.density,
        zone=np.repeat(np.arange(len(ZONES)), np.diff([*ZONES, len(table.density)])),
        peak=peak,
        soft=bound_soft_light(profiles, peak, AGES),
        offset=table.offset.reshape(-1, 2),
        ages=AGES,
        impact_bin=IMPACT_BIN,
        offset_step=OFFSET_STEP,
        n_stored=N_STORED,
        profiles=profiles,
    )
    return arrays, make_shower(len(air.distance), len(ZONES))


def find_peaks(density: np.ndarray) -> np.ndarray:
    """Largest photon density in each zone, shape (n_depths, n_ages, n_zones)."""
    ends = [*ZONES[1:], len(density)]
    # densities are interpolated up to the first bin of the next zone
    peaks = [density[start : end + 1].max(axis=0) for start, end in zip(ZONES, ends, strict=True)]
    return np.ascontiguousarray(np.stack(peaks, axis=-1))


def bound_soft_light(profiles: np.ndarray, peak: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """More photons per m2 and GeV than the average cascades of a pi0 can have in each zone."""
    from ._cascades import LOWEST_SPLIT, SOFT_DEPTH, SOFT_STEP, add_average
    from ._physics import NEUTRAL_ENERGY_MIN

    n_bins = len(peak)
    energies = NEUTRAL_ENERGY_MIN * np.exp(
        np.arange(0, np.log(LOWEST_SPLIT / NEUTRAL_ENERGY_MIN) + SOFT_STEP, 0.5 * SOFT_STEP)
    )
    starts = np.arange(0, n_bins + SOFT_DEPTH, 0.5 * SOFT_DEPTH)
    # either of the two ages around the one there is
    either = np.maximum(peak, np.roll(peak, -1, axis=1))
    light = np.zeros((len(energies), len(starts), peak.shape[2]))
    for e, energy in enumerate(energies):
        for s, start in enumerate(starts):
            for share in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.999):
                room = np.zeros((1, 2, n_bins))
                for part in (share * energy, (1 - share) * energy):
                    add_average(room, 0, 1.0, part, start, profiles)
                n, sums = room[0]
                age = np.divide(sums, n, out=np.zeros(n_bins), where=n > 0)
                lower = np.clip(
                    ((age - ages[0]) / (ages[1] - ages[0])).astype(int), 0, len(ages) - 2
                )
                found = n @ either[np.arange(n_bins), lower] / energy
                light[e, s] = np.maximum(light[e, s], found)
    # the largest at the ends and in the middle of each step, and a margin for what is between
    i_energy, i_start = (2 * np.arange((n - 1) // 2) for n in light.shape[:2])
    steps = [light[i_energy + i][:, i_start + k] for i in range(3) for k in range(3)]
    return 1.1 * np.max(steps, axis=0)


def find_ring_starts(edges: np.ndarray, theta_max: np.ndarray, step: float = 50.0) -> np.ndarray:
    """Where muons begin to light a mirror: lowest distance for each metre of impact.

    The ring of a muon at the speed of light is the widest one.
    """
    distance = np.arange(0.5 * step, edges[0], step)
    lowest = np.clip(len(edges) - 1 - np.searchsorted(edges[::-1], distance), 0, None)
    widest = np.maximum.accumulate(distance * theta_max[np.minimum(lowest, len(theta_max) - 1)])
    impact = np.arange(int(widest[-1] + MIRROR_RADIUS) + 1)
    first = np.searchsorted(widest, impact - MIRROR_RADIUS)
    return np.append(distance, np.inf)[first]


def prepare_optics(
    camera: CameraGeometry,
    positions: tuple[tuple[float, float], ...],
    mirror_areas: tuple[float, ...],
    efficiency: float,
) -> Any:
    """Arrays that the compiled loops read of the telescopes."""
    from ._light import Optics
    from ._random import EXPONENTIAL, NORMAL

    width = float(np.median(camera.pixel_width.to_value(u.deg)))
    centres = np.column_stack([camera.pixel_x.to_value(u.deg), camera.pixel_y.to_value(u.deg)])
    raster, corner = find_raster(centres.tobytes(), width, camera.pixel_shape)
    return Optics(
        telescopes=np.array(positions, dtype=float),
        pe_per_photon=np.array(mirror_areas, dtype=float) * efficiency,
        noise=np.array([NOISE_VARIANCE, NOISE_PER_PE]),
        neighbours=np.ascontiguousarray(camera.neighbour_table, dtype=np.int32),
        raster=raster,
        corner=corner,
        normals=NORMAL,
        exponentials=EXPONENTIAL,
    )


@lru_cache(maxsize=4)
def find_raster(pixels: bytes, width: float, shape: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixel at the centre of each cell of a fine grid; its lower left corner, cells per degree.

    Kept by content: every chunk that is handed to another process brings a copy of the camera.
    """
    centres = np.frombuffer(pixels).reshape(-1, 2)
    reach = width * {"hexagonal": 1 / np.sqrt(3), "square": np.sqrt(0.5), "circle": 0.5}[shape]
    cell = width / CELLS_PER_PIXEL
    low = centres.min(axis=0) - reach
    n_cells = np.ceil((centres.max(axis=0) + reach - low) / cell).astype(int)
    x, y = (low[i] + cell * (np.arange(n_cells[i]) + 0.5) for i in (0, 1))
    points = np.stack(np.meshgrid(x, y), axis=-1)
    _, pixel = cKDTree(centres).query(points, distance_upper_bound=reach)
    raster = np.where(pixel < len(centres), pixel, -1).astype(np.int16)
    return raster, np.array([*low, 1 / cell])


@lru_cache(maxsize=2)
def reserve_output(n_images: int, n_pixels: int) -> Any:
    """Room for the events of a chunk, used again by the next."""
    from ._imaging import Output

    return Output(
        np.empty((n_images, 8)), np.empty(n_images, np.int64), np.empty(n_images, np.int64),
        np.empty(n_images + 1, np.int64), np.empty(n_pixels, np.int32),
        np.empty(n_pixels, np.float32),
    )  # fmt: skip
