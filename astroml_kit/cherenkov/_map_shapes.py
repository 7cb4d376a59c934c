"""How the background of one run is spread over its field: tabulated, or radial with a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.ndimage import map_coordinates

from .._validation import invalid

_ENERGIES_PER_DECADE = 24
_TINY = 1e-300


class Shape(Protocol):
    """Background per solid angle, up to a factor, at places in the field of a run."""

    def evaluate(self, local: np.ndarray, lever: np.ndarray) -> np.ndarray:
        """Return it at local unit vectors (east, north, pointing), shape (n, 3) -> (n,)."""


@dataclass(frozen=True, eq=False)
class TabulatedShape:
    """A background rate tabulated over the field, integrated over energy.

    Attributes
    ----------
    log_rate : ndarray, shape (n_lon, n_lat) or (n_offset,)
        Logarithm of the rate at the nodes.
    first, step : float
        Place of the first node and distance of the nodes [deg], the same in both directions.
    """

    log_rate: np.ndarray
    first: tuple[float, ...]
    step: tuple[float, ...]
    limit: float

    def evaluate(self, local: np.ndarray, lever: np.ndarray) -> np.ndarray:
        """Interpolate; the gradient of the zenith angle is in the table, if anywhere."""
        east, north = np.rad2deg(local[:, 0]), np.rad2deg(local[:, 1])
        places = (east, north) if self.log_rate.ndim == 2 else (np.hypot(east, north),)
        steps = [
            (place - first) / step
            for place, first, step in zip(places, self.first, self.step, strict=True)
        ]
        log_rate = map_coordinates(self.log_rate, steps, order=1, mode="nearest")
        outside = np.max(np.abs(places), axis=0) > self.limit
        return np.where(outside | (log_rate < np.log(_TINY) / 2), 0.0, np.exp(log_rate))


def tabulate_background(
    irfs: Any, energy_min: float, energy_max: float, max_offset: float
) -> TabulatedShape | None:
    """Integrate the background of a run over an energy range; None when it has none.

    Linear in the logarithms of rate and energy, as GADF says of backgrounds.
    """
    table = irfs.bkg
    if table is None:
        return None
    bounds = table.edges["ENERG"]
    low, high = max(energy_min, bounds.min()), min(energy_max, bounds.max())
    if not low < high:
        raise invalid(
            "energy_min and energy_max",
            f"within the {bounds.min():g} to {bounds.max():g} TeV of the background table",
            [energy_min, energy_max],
        )
    n_energies = 2 + int(np.ceil(_ENERGIES_PER_DECADE * np.log10(high / low)))
    energy = np.geomspace(low, high, n_energies)
    below, weight = table.find_weights("ENERG", np.log10(energy))
    logs = np.log(np.clip(table.values, _TINY, None))
    above = np.minimum(below + 1, len(logs) - 1)
    upper, lower = logs[above], logs[below]
    weight = weight.reshape(-1, *(1,) * (logs.ndim - 1))
    rate = np.exp((1 - weight) * lower + weight * upper)
    total = np.trapezoid(rate * energy.reshape(weight.shape), np.log(energy), axis=0)
    axes = [axis for axis in table.edges if axis != "ENERG"]
    nodes = [table.get_nodes(axis) for axis in axes]
    limit = min(float(np.abs(table.edges[axis]).max()) for axis in axes)
    return TabulatedShape(
        np.log(np.clip(total, _TINY, None)),
        tuple(float(node[0]) for node in nodes),
        tuple(float(node[1] - node[0]) for node in nodes),
        limit,
    )
