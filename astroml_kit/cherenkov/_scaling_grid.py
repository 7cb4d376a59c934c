"""Mean and spread of image quantities on a grid of size, impact distance, offset and zenith."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

AXES = ("zenith", "offset", "impact", "log_size")
# Neighbours in impact and size come first, then those in offset, and only then other zeniths.
DISTANCES = (1e4, 2.0, 1.0, 1.0)
# How many images of its own outweigh what a node hears from the others about its slope.
PRIOR_IMAGES = 100.0


@dataclass(frozen=True)
class Grid:
    """Moments of several quantities at the nodes of a grid; interpolates between nodes.

    Attributes
    ----------
    nodes : tuple of ndarray
        Along zenith (rad), offset (rad), impact (m) and ln(size); each increasing.
    counts : ndarray of int, shape (n_zenith, n_offset, n_impact, n_size)
        Images at each node.
    served_by : ndarray of int, same shape
        Flat number of the node whose moments a node uses: its own, or that of the nearest node
        with enough images.
    means, spreads : dict of str to ndarray, same shape
        Moments per quantity.
    """

    nodes: tuple[np.ndarray, ...]
    counts: np.ndarray
    served_by: np.ndarray
    means: dict[str, np.ndarray]
    spreads: dict[str, np.ndarray]

    @property
    def n_sparse(self) -> int:
        """Nodes that use another's moments."""
        return int((self.served_by.ravel() != np.arange(self.served_by.size)).sum())

    def interpolate(self, coordinates: tuple[np.ndarray, ...]) -> Lookup:
        """Place images between the nodes; beyond the first and last node the end value holds."""
        return Lookup(self, _find_corners(self.nodes, coordinates))


@dataclass(frozen=True)
class Lookup:
    """The nodes around each image and their shares."""

    grid: Grid
    corners: list[tuple[np.ndarray, np.ndarray]]

    def _mix(self, values: np.ndarray) -> np.ndarray:
        flat = values.ravel()
        return np.sum([share * flat[node] for node, share in self.corners], axis=0)

    def mean(self, name: str) -> np.ndarray:
        """Expected value of a quantity per image."""
        return self._mix(self.grid.means[name])

    def spread(self, name: str) -> np.ndarray:
        """Standard deviation of a quantity per image."""
        return self._mix(self.grid.spreads[name])

    def is_sparse(self) -> np.ndarray:
        """Whether more than half of what an image gets comes from another place than its own."""
        own = self.grid.served_by.ravel() == np.arange(self.grid.served_by.size)
        return self._mix(own.astype(float)) < 0.5


def fill_grid(
    nodes: tuple[np.ndarray, ...],
    coordinates: tuple[np.ndarray, ...],
    quantities: dict[str, np.ndarray],
    *,
    min_count: int,
    slope_of: tuple[str, str] | None = None,
) -> Grid:
    """Sum up images at their nearest node; nodes with few images use the nearest full one's.

    With ``slope_of=(name, other)`` the means gain "slope", d name / d other within a node, and the
    spread of ``name`` is what is left about that line.
    """
    shape = tuple(len(axis) for axis in nodes)
    nearest = [
        np.searchsorted((axis[1:] + axis[:-1]) / 2, values)
        for axis, values in zip(nodes, coordinates, strict=True)
    ]
    flat = np.ravel_multi_index(tuple(nearest), shape)
    size = int(np.prod(shape))
    counts = np.bincount(flat, minlength=size)
    full = counts >= min_count
    if not full.any():
        raise ValueError(
            f"min_count must be reached by some bin, got {min_count} with at most "
            f"{counts.max(initial=0)} images in a bin. Simulate more showers or widen the bins."
        )
    indices: Any = distance_transform_edt(
        ~full.reshape(shape), sampling=DISTANCES, return_distances=False, return_indices=True
    )
    served_by = np.ravel_multi_index(tuple(indices), shape)
    means, spreads = {}, {}
    n = np.maximum(counts, 1)
    if slope_of is not None:
        name, other = slope_of
        means["slope"], spread = _find_slope(
            quantities[name], quantities[other], flat, np.asarray(nearest[2]), counts
        )
        means["slope"], spreads[name] = means["slope"][served_by], spread[served_by]
    for name, values in quantities.items():
        mean = np.bincount(flat, values, size) / n
        square = np.bincount(flat, (values - mean[flat]) ** 2, size) / np.maximum(counts - 1, 1)
        means[name] = mean[served_by]
        spreads.setdefault(name, np.sqrt(square)[served_by])
    return Grid(nodes, counts.reshape(shape), served_by, means, spreads)


def _find_slope(
    y: np.ndarray, x: np.ndarray, flat: np.ndarray, impact: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Slope of y against x within each node, drawn towards that of all nodes at its impact."""
    size, n = len(counts), np.maximum(counts, 1)
    dx = x - (np.bincount(flat, x, size) / n)[flat]
    dy = y - (np.bincount(flat, y, size) / n)[flat]
    tiny = np.finfo(float).tiny
    overall = np.sum(dx * dy) / max(np.sum(dx**2), tiny)
    variance = np.mean(dx**2)
    weight = PRIOR_IMAGES * variance
    common = (np.bincount(impact, dx * dy) + weight * overall) / (
        np.bincount(impact, dx**2) + weight + tiny
    )
    prior = np.full(size, overall)
    prior[flat] = common[impact]
    slope = (np.bincount(flat, dx * dy, size) + weight * prior) / (
        np.bincount(flat, dx**2, size) + weight + tiny
    )
    left = np.bincount(flat, (dy - slope[flat] * dx) ** 2, size)
    return slope, np.sqrt(left / np.maximum(counts - 1, 1))


def _find_corners(
    nodes: tuple[np.ndarray, ...], coordinates: tuple[np.ndarray, ...]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Flat numbers of the surrounding nodes and their shares, for multilinear interpolation."""
    corners = [(np.zeros(len(coordinates[0]), dtype=np.intp), np.ones(len(coordinates[0])))]
    for axis, values in zip(nodes, coordinates, strict=True):
        if len(axis) == 1:
            continue
        low = np.clip(np.searchsorted(axis, values) - 1, 0, len(axis) - 2)
        step = np.clip((values - axis[low]) / (axis[low + 1] - axis[low]), 0, 1)
        corners = [
            (node * len(axis) + low + up, share * (step if up else 1 - step))
            for node, share in corners
            for up in (0, 1)
        ]
    return corners
