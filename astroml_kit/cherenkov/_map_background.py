"""ON and OFF of every pixel, summed over runs: counts and the acceptance they were taken with.

Each run's acceptance is scaled to its own counts outside the exclusions, so that it is the number
of background events expected there. ON and OFF counts are then sums of Poisson numbers, and alpha,
the ratio of the summed acceptances, is that of the sums: Li & Ma's formula holds as it stands. It
is also the mean of the runs' alphas weighted with their (expected) OFF counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ._map_grid import KernelSums, SkyGrid, make_disc, make_ring
from ._map_runs import MapRun, PolarCells
from ._map_shapes import Shape

ShapeOf = Callable[[MapRun], Shape]


class OnOffSums(NamedTuple):
    """Arrays over the full grid; acceptances are expected background counts."""

    n_on: np.ndarray
    n_off: np.ndarray
    on: np.ndarray
    off: np.ndarray
    density: np.ndarray
    """Expected background in each single pixel."""


@dataclass(frozen=True, eq=False)
class Exclusion:
    """Where no OFF counts come from: circles, and pixels of the map.

    Attributes
    ----------
    circles : tuple of ndarray
        Unit vectors (n, 3) and radii (n,) in rad.
    pixels : ndarray of bool
        Of the full grid, the circles included.
    distance : ndarray
        Of each pixel from the nearest excluded one [deg].
    """

    circles: tuple[np.ndarray, np.ndarray]
    pixels: np.ndarray
    distance: np.ndarray

    def find_clear(self, grid: SkyGrid, cells: PolarCells, basis: np.ndarray) -> np.ndarray:
        """Tell which polar cells about a pointing lie clear of it."""
        vectors = cells.local @ basis
        where = grid.find_pixels(vectors)
        clear = np.ones(len(cells), dtype=bool)
        known = where >= 0
        # a pixel's circle around its centre: nothing of the cell may reach it
        reach = cells.reach[known] + 2 * grid.half_diagonal
        clear[known] = self.distance.ravel()[where[known]] > reach
        for centre, size in zip(*self.circles, strict=True):
            far = ~known
            clear[far] &= vectors[far] @ centre < np.cos(np.deg2rad(cells.reach[far]) + size)
        return clear


def normalise_runs(
    runs: Sequence[MapRun],
    cells: PolarCells,
    clear: dict[bytes, np.ndarray],
    shape_of: ShapeOf,
) -> np.ndarray:
    """Return the factor from each run's shape to its expected background per deg^2."""
    norms = np.zeros(len(runs))
    for number, run in enumerate(runs):
        free = clear[run.place]
        expected = cells.solid_angle * shape_of(run).evaluate(cells.local, run.lever)
        total = expected[free].sum()
        norms[number] = np.count_nonzero(free[run.cells]) / total if total > 0 else 0.0
    return norms


def sum_density(
    runs: Sequence[MapRun],
    norms: np.ndarray,
    places: Callable[[MapRun], tuple[np.ndarray, np.ndarray]],
    shape_of: ShapeOf,
    out: np.ndarray,
) -> np.ndarray:
    """Add every run's expected background per deg^2 to ``out`` at the places it can see.

    ``places`` gives the entries of ``out`` and their local unit vectors for a run; it is called
    once for a pointing. Runs that share pointing, shape and gradient are summed beforehand.
    """
    alike: dict[tuple[bytes, int, bytes], list[int]] = {}
    for number, run in enumerate(runs):
        key = (run.place, id(shape_of(run)), run.lever.tobytes())
        alike.setdefault(key, []).append(number)
    place, found = b"", (np.empty(0, int), np.empty((0, 3)))
    for key in sorted(alike):
        run = runs[alike[key][0]]
        if key[0] != place:
            place, found = key[0], places(run)
        entries, local = found
        out[entries] += norms[alike[key]].sum() * shape_of(run).evaluate(local, run.lever)
    return out


def locate_pixels(grid: SkyGrid, run: MapRun, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels within ``reach`` deg of a pointing, and their local unit vectors."""
    near = np.flatnonzero(grid.vectors @ run.basis[2] >= np.cos(np.deg2rad(reach)))
    return near, grid.vectors[near] @ run.basis.T


@dataclass(frozen=True, eq=False)
class RingSums:
    """OFF from a ring around each pixel, outside the exclusions.

    Summed over the runs before the ring is laid: two sums over the map for any number of runs.
    """

    grid: SkyGrid
    sums: KernelSums
    max_offset: float

    @classmethod
    def make(
        cls, grid: SkyGrid, *, radius: float, inner: float, outer: float, max_offset: float
    ) -> RingSums:
        """Prepare the sums (radii in deg)."""
        disc = make_disc(radius / grid.pixel)
        ring = make_ring(inner / grid.pixel, outer / grid.pixel)
        return cls(grid, KernelSums(grid.shape, disc=disc, ring=ring), max_offset)

    def add_up(
        self,
        runs: Sequence[MapRun],
        norms: np.ndarray,
        counts: np.ndarray,
        exclusion: Exclusion,
        clear: dict[bytes, np.ndarray],
        shape_of: ShapeOf,
    ) -> OnOffSums:
        """Return ON and OFF of every pixel."""
        density = sum_density(
            runs,
            norms,
            lambda run: locate_pixels(self.grid, run, self.max_offset),
            shape_of,
            np.zeros(len(self.grid.vectors)),
        )
        density = (density * self.grid.solid_angle).reshape(self.grid.shape)
        free = ~exclusion.pixels
        return OnOffSums(
            self.sums.count(counts, "disc"),
            self.sums.count(counts * free, "ring"),
            self.sums.measure(density, "disc"),
            self.sums.measure(density * free, "ring"),
            density,
        )


@dataclass(frozen=True, eq=False)
class AnnulusSums:
    """OFF from all azimuths at a pixel's own offset from the pointing, run by run.

    The limit of ever more reflected discs: the whole annulus as wide as the ON disc, without a
    sector around the pixel and without what is excluded. Pixels too near a pointing have no such
    OFF; for that run their ON counts are left out too.
    """

    grid: SkyGrid
    sums: KernelSums
    cells: PolarCells
    radius: float
    gap: float
    max_offset: float

    @classmethod
    def make(
        cls, grid: SkyGrid, cells: PolarCells, *, radius: float, gap: float, max_offset: float
    ) -> AnnulusSums:
        """Prepare the sums (angles in deg)."""
        disc = make_disc(radius / grid.pixel)
        return cls(grid, KernelSums(grid.shape, disc=disc), cells, radius, gap, max_offset)

    def add_up(
        self,
        runs: Sequence[MapRun],
        norms: np.ndarray,
        counts: np.ndarray,
        exclusion: Exclusion,
        clear: dict[bytes, np.ndarray],
        shape_of: ShapeOf,
    ) -> OnOffSums:
        """Return ON and OFF of every pixel."""
        size = len(self.grid.vectors)
        n_on, n_off, on, off, density = np.zeros((5, size))
        for group in group_by_pointing(runs):
            members = [runs[i] for i in group]
            near, local = locate_pixels(self.grid, members[0], self.max_offset + self.radius)
            seen = np.bincount(
                np.concatenate([run.pixels[run.pixels >= 0] for run in members]), minlength=size
            )
            inside = local[:, 2] >= np.cos(np.deg2rad(self.max_offset))
            expected = self._expect(members, norms[group], shape_of, near[inside], local[inside])
            density += expected
            group_off, group_accepted = self._sum_annuli(
                members, norms[group], clear[members[0].place], shape_of, local
            )
            valid = group_accepted > 0
            group_on = self.sums.count(seen, "disc").ravel()[near]
            group_expected = self.sums.measure(expected, "disc").ravel()[near]
            for total, part in (
                (n_on, group_on), (n_off, group_off), (on, group_expected), (off, group_accepted),
            ):  # fmt: skip
                total[near] += np.where(valid, part, 0.0)
        shaped = [array.reshape(self.grid.shape) for array in (n_on, n_off, on, off, density)]
        return OnOffSums(*shaped)

    def _expect(
        self,
        runs: Sequence[MapRun],
        norms: np.ndarray,
        shape_of: ShapeOf,
        pixels: np.ndarray,
        local: np.ndarray,
    ) -> np.ndarray:
        """Return the background expected in each pixel from runs of one pointing."""
        density = np.zeros(len(self.grid.vectors))
        sum_density(runs, norms, lambda run: (pixels, local), shape_of, density)
        return density * self.grid.solid_angle

    def _sum_annuli(
        self,
        runs: Sequence[MapRun],
        norms: np.ndarray,
        clear: np.ndarray,
        shape_of: ShapeOf,
        local: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return OFF counts and acceptance at local unit vectors, for runs of one pointing."""
        cells = self.cells
        seen = sum(np.bincount(run.cells, minlength=len(cells)) for run in runs) * clear
        everywhere = np.arange(len(cells))
        expected = sum_density(
            runs, norms, lambda run: (everywhere, cells.local), shape_of, np.zeros(len(cells))
        )
        expected = expected * cells.solid_angle * clear
        rows, columns = self._choose(local)
        return self._lay(seen, rows, columns), self._lay(expected, rows, columns)

    def _choose(self, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return row (offset) and column (azimuth) of the nearest cell centre."""
        offset = np.rad2deg(np.arctan2(np.hypot(local[:, 0], local[:, 1]), local[:, 2]))
        return (offset / self.cells.step).astype(int), self.cells.find_angle(local)

    def _lay(self, image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Sum an image of the cells over the annulus around each place, less its own sector."""
        cells, half = self.cells, max(1, round(self.radius / self.cells.step))
        n_rows = int(rows.max(initial=0)) + 1
        image = image.reshape(cells.n_offsets, cells.n_angles)
        cumulative = np.concatenate([np.zeros((1, cells.n_angles)), np.cumsum(image, axis=0)])
        middle = np.arange(n_rows)
        low = np.clip(middle - half, 0, cells.n_offsets)
        high = np.clip(middle + half + 1, 0, cells.n_offsets)
        annulus = cumulative[high] - cumulative[low]
        # two full turns, so that a sector across north is one stretch
        turns = np.concatenate([np.zeros((n_rows, 1)), np.cumsum(np.tile(annulus, 3), 1)], axis=1)
        width, blocked = self._find_sectors(n_rows)
        first = columns + cells.n_angles - width[rows]
        last = columns + cells.n_angles + width[rows] + 1
        rest = turns[rows, first + cells.n_angles] - turns[rows, last]
        return np.where(blocked[rows], 0.0, np.where(rest > 1e-9 * turns[rows, -1], rest, 0.0))

    def _find_sectors(self, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Return half the width, in cells, of the sector to leave out in every row of offsets.

        A place at an angle beyond it is at least radius + gap away from ON's centre, whatever
        its offset; the second array tells the rows where no such place exists.
        """
        offset = self.cells.step * np.maximum(np.arange(n_rows), 1e-6)
        ratio = np.sin(np.deg2rad(self.radius + self.gap)) / np.sin(np.deg2rad(offset))
        angle = np.arcsin(np.minimum(ratio, 1.0)) * self.cells.n_angles / (2 * np.pi)
        return np.ceil(angle).astype(int) + 1, ratio >= 1.0


def group_by_pointing(runs: Sequence[MapRun]) -> list[list[int]]:
    """Return the numbers of the runs of each pointing."""
    groups: dict[bytes, list[int]] = {}
    for number, run in enumerate(runs):
        groups.setdefault(run.place, []).append(number)
    return list(groups.values())
