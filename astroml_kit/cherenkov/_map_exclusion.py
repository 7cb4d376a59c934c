"""Sources of a map, to be kept out of its own background: found in it, and excluded."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ._map_background import Exclusion
from ._map_grid import SkyGrid

# Pixels this significant belong to the region of a brighter one that they are connected with.
CONNECTED = 3.0
_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def make_exclusion(
    grid: SkyGrid, circles: tuple[np.ndarray, np.ndarray], found: np.ndarray
) -> Exclusion:
    """Join circles and the pixels found (of the map, without its margin)."""
    pixels = grid.cover(*circles) | grid.embed(found)
    if not pixels.any():
        return Exclusion(circles, pixels, np.full(grid.shape, np.inf))
    return Exclusion(circles, pixels, ndimage.distance_transform_edt(~pixels) * grid.pixel)


def find_regions(significance: np.ndarray, threshold: float, grow: float) -> np.ndarray:
    """Return the pixels of all regions that reach ``threshold``, grown by ``grow`` pixels.

    A region is what is connected above 3 sigma, so that the skirt of a bright source goes with it.
    """
    values = np.nan_to_num(significance, nan=-np.inf)
    labels, _ = ndimage.label(values > min(CONNECTED, threshold), structure=_NEIGHBOURS)
    wanted = np.unique(labels[values > threshold])
    seeds = np.isin(labels, wanted[wanted > 0])
    if not seeds.any():
        return seeds
    return ndimage.distance_transform_edt(~seeds) <= grow + 1e-9


def count_regions(pixels: np.ndarray) -> int:
    """Return the number of separate regions."""
    return int(ndimage.label(pixels, structure=_NEIGHBOURS)[1])
