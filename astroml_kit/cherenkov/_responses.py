"""Numbers tabulated over energy, offset and more: interpolated, integrated and drawn from.

Linear in log energy and in offset. A probability density between four tabulated ones is their
mixture, so drawing from one of the four at random, with the weights of the interpolation, draws
from exactly the interpolated density.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ._schema import EventFileError


@dataclass(frozen=True, eq=False)
class ResponseTable:
    """Values on a grid, with the edges of every axis.

    Parameters
    ----------
    values : ndarray
        One axis per entry of ``edges``, in that order.
    edges : mapping of str to ndarray, shape (n, 2)
        Axis name (``THETA``, ``ENERG``, ``MIGRA``, ``RAD``, ``DETX``, ``DETY``) -> lower and
        upper edge of each bin; the same twice where a table is given at points.
    """

    values: np.ndarray
    edges: Mapping[str, np.ndarray]

    def get_nodes(self, axis: str) -> np.ndarray:
        """Return the points the values belong to: bin centres, for energies those of the log."""
        low, high = self.edges[axis].T
        if axis == "ENERG":
            return 0.5 * (np.log10(low) + np.log10(high))
        return 0.5 * (low + high)

    def get_bounds(self, axis: str) -> np.ndarray:
        """Return the edges of an axis of adjoining bins as one array, shape (n + 1,)."""
        low, high = self.edges[axis].T
        return np.append(low, high[-1])

    def find_weights(self, axis: str, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the index of the node below and the weight of the node above."""
        nodes = self.get_nodes(axis)
        if len(nodes) == 1:
            return np.zeros(position.shape, dtype=int), np.zeros(position.shape)
        below = np.clip(np.searchsorted(nodes, position, side="right") - 1, 0, len(nodes) - 2)
        weight = (position - nodes[below]) / (nodes[below + 1] - nodes[below])
        return below, np.clip(weight, 0.0, 1.0)

    def interpolate(self, **positions: np.ndarray) -> np.ndarray:
        """Interpolate linearly in every axis; beyond the outermost nodes their value holds."""
        arrays = np.broadcast_arrays(*positions.values())
        result = np.zeros(arrays[0].shape)
        pairs = [self.find_weights(axis, x) for axis, x in zip(positions, arrays, strict=True)]
        order = [list(positions).index(axis) for axis in self.edges]
        for corner in np.ndindex(*(2,) * len(pairs)):
            weight = np.ones(arrays[0].shape)
            rows: list[np.ndarray] = []
            for step, (below, above) in zip(corner, pairs, strict=True):
                weight = weight * (above if step else 1.0 - above)
                rows.append(below + (step & (above > 0)))
            result += weight * self.values[tuple(rows[i] for i in order)]
        return result

    def contains(self, axis: str, position: np.ndarray) -> np.ndarray:
        """Tell which positions lie within the tabulated range."""
        edges = self.edges[axis]
        return (position >= edges.min()) & (position <= edges.max())


@dataclass(frozen=True, eq=False)
class CumulativeTable:
    """Cumulative probability along the last axis of densities tabulated in offset and energy.

    Energies without Monte Carlo (all values zero) take the table of the nearest energy that has
    some, at the same offset; ``n_filled`` counts them.
    """

    table: ResponseTable
    axis: str
    cumulative: np.ndarray
    n_filled: int

    @classmethod
    def from_density(cls, table: ResponseTable, axis: str, *, disc: bool) -> CumulativeTable:
        """Integrate a density over its bins, in solid angle when ``disc`` is true."""
        low, high = table.edges[axis].T
        width = np.pi * np.deg2rad(1.0) ** 2 * (high**2 - low**2) if disc else high - low
        content = np.clip(np.nan_to_num(table.values), 0.0, None) * width
        total = content.sum(axis=-1)
        empty = total <= 0
        if empty.all(axis=1).any():
            raise EventFileError(
                f"the response over {axis} must hold some probability at every offset, got none. "
                "The file is damaged."
            )
        for i, j in np.argwhere(empty):
            filled = np.flatnonzero(~empty[i])
            content[i, j] = content[i, filled[np.argmin(np.abs(filled - j))]]
        cumulative = np.cumsum(content, axis=-1)
        cumulative /= cumulative[..., -1:]
        start = np.zeros((*cumulative.shape[:-1], 1))
        return cls(table, axis, np.concatenate([start, cumulative], axis=-1), int(empty.sum()))

    def evaluate(self, x: np.ndarray, energy: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Cumulative probability at ``x``, interpolated in log energy and offset."""
        x, energy, offset = np.broadcast_arrays(x, energy, offset)
        result = np.zeros(x.shape)
        for weight, i, j in self._corners(energy, offset):
            result += weight * self._interpolate_rows(x, i, j)
        return result

    def sample(
        self, energy: np.ndarray, offset: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw one value per energy and offset from the interpolated density."""
        energy, offset = np.broadcast_arrays(energy, offset)
        t_below, t_weight = self.table.find_weights("THETA", offset)
        e_below, e_weight = self.table.find_weights("ENERG", np.log10(energy))
        i = t_below + (rng.random(offset.shape) < t_weight)
        j = e_below + (rng.random(energy.shape) < e_weight)
        return self._invert_rows(rng.random(energy.shape), i, j)

    def _corners(
        self, energy: np.ndarray, offset: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        t_below, t_weight = self.table.find_weights("THETA", offset)
        e_below, e_weight = self.table.find_weights("ENERG", np.log10(energy))
        for t in (0, 1):
            for e in (0, 1):
                weight = (t_weight if t else 1 - t_weight) * (e_weight if e else 1 - e_weight)
                yield weight, t_below + (t & (t_weight > 0)), e_below + (e & (e_weight > 0))

    def _interpolate_rows(self, x: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        bounds = self.table.get_bounds(self.axis)
        bins = np.clip(np.searchsorted(bounds, x, side="right") - 1, 0, len(bounds) - 2)
        inside = np.clip((x - bounds[bins]) / (bounds[bins + 1] - bounds[bins]), 0.0, 1.0)
        low, high = self.cumulative[i, j, bins], self.cumulative[i, j, bins + 1]
        return low + self._to_content(inside, bounds, bins) * (high - low)

    def _invert_rows(self, p: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        bounds = self.table.get_bounds(self.axis)
        n = self.cumulative.shape[-1]
        # Rows rise from 0 to 1: adding the row's number makes one rising array to search in.
        row = i * self.cumulative.shape[1] + j
        flat = (self.cumulative + np.arange(self.cumulative[..., 0].size).reshape(
            *self.cumulative.shape[:2], 1)).ravel()  # fmt: skip
        bins = np.clip(np.searchsorted(flat, row + p, side="right") - 1 - row * n, 0, n - 2)
        low, high = self.cumulative[i, j, bins], self.cumulative[i, j, bins + 1]
        share = np.clip((p - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
        return bounds[bins] + self._to_width(share, bounds, bins) * (
            bounds[bins + 1] - bounds[bins]
        )

    def _to_content(self, share: np.ndarray, bounds: np.ndarray, bins: np.ndarray) -> np.ndarray:
        """Share of a bin's width -> share of its content: a disc holds r^2, a line holds x."""
        if self.axis != "RAD":
            return share
        low, high = bounds[bins], bounds[bins + 1]
        return ((low + share * (high - low)) ** 2 - low**2) / (high**2 - low**2)

    def _to_width(self, share: np.ndarray, bounds: np.ndarray, bins: np.ndarray) -> np.ndarray:
        if self.axis != "RAD":
            return share
        low, high = bounds[bins], bounds[bins + 1]
        return (np.sqrt(low**2 + share * (high**2 - low**2)) - low) / (high - low)
