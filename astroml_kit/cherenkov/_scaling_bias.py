"""Energy as it should be read: what look-up tables make too large or too small, taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt

from .._validation import check_real

# An estimate that hardly grows with the energy cannot be inverted.
LEAST_SLOPE = 0.3
N_STEPS_PER_E = 4
ARRAYS = ("zenith", "offset", "log_energy", "bias", "counts")


@dataclass(frozen=True)
class EnergyBias:
    """Median of ln(estimate / truth) against true energy, per offset and zenith node.

    Attributes
    ----------
    zenith, offset : ndarray
        Nodes in rad.
    log_energy : ndarray, shape (n_energy,)
        ln(true energy / TeV) of the nodes.
    bias : ndarray, shape (n_zenith, n_offset, n_energy)
    counts : ndarray of int, same shape
        Events at each node; where there are too few, the bias is that of the nearest node.
    scale : float
        What the predicted spread is multiplied by so that it holds 68 % of the truths.
    """

    zenith: np.ndarray
    offset: np.ndarray
    log_energy: np.ndarray
    bias: np.ndarray
    counts: np.ndarray
    scale: float

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, ready for JSON."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else float(value)
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EnergyBias:
        """Inverse of `to_dict`, for values that a file claims to hold."""
        arrays = {name: np.array(values[name], dtype=float) for name in ARRAYS}
        axes = [arrays[name] for name in ARRAYS[:3]]
        shape = tuple(axis.size for axis in axes)
        for axis in axes:
            if axis.ndim != 1 or not axis.size or np.any(np.diff(axis) <= 0):
                raise ValueError("the nodes of the energy correction must increase")
        if arrays["bias"].shape != shape or arrays["counts"].shape != shape:
            raise ValueError("the energy correction must have one value per node")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("the energy correction must be finite")
        scale = float(check_real("scale", values["scale"], at_least=0))
        return cls(**(arrays | {"counts": arrays["counts"].astype(int)}), scale=scale)

    def correct(
        self, log_energy: np.ndarray, offset: np.ndarray, zenith: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ln of the corrected energy, and by how much its spread grows.

        The curve of the median estimate against truth is read backwards, so that the result has
        no bias at a given true energy, whatever the spectrum was.
        """
        total, stretch = np.zeros(len(log_energy)), np.zeros(len(log_energy))
        for i, share_zenith in _share(self.zenith, zenith):
            for k, share_offset in _share(self.offset, offset):
                share = share_zenith * share_offset
                curve = _make_curve(self.log_energy, self.bias[i, k])
                value, slope = _invert(curve, self.log_energy, log_energy)
                total += share * value
                stretch += share * slope
        return total, stretch


def _share(nodes: np.ndarray, values: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Share of each node in a linear interpolation."""
    if len(nodes) == 1:
        return [(0, np.ones(len(values)))]
    return [(k, np.interp(values, nodes, row)) for k, row in enumerate(np.eye(len(nodes)))]


def _make_curve(truth: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Estimate against truth, growing everywhere: from the middle outwards."""
    curve = truth + bias
    step = LEAST_SLOPE * np.diff(truth)
    middle = len(truth) // 2
    for k in range(middle, len(truth) - 1):
        curve[k + 1] = max(curve[k + 1], curve[k] + step[k])
    for k in range(middle, 0, -1):
        curve[k - 1] = min(curve[k - 1], curve[k] - step[k - 1])
    return curve


def _invert(
    curve: np.ndarray, truth: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Truth that belongs to an estimate, and d truth / d estimate; slope 1 beyond the ends."""
    inside = np.clip(values, curve[0], curve[-1])
    found = np.interp(inside, curve, truth) + (values - inside)
    if len(curve) == 1:
        return found, np.ones(len(values))
    low = np.clip(np.searchsorted(curve, values) - 1, 0, len(curve) - 2)
    slope = np.diff(truth)[low] / np.diff(curve)[low]
    return found, np.where(values == inside, slope, 1.0)


def fit_bias(
    estimate: np.ndarray,
    truth: np.ndarray,
    spread: np.ndarray,
    *,
    offset: np.ndarray,
    zenith: np.ndarray,
    offset_nodes: np.ndarray,
    zenith_nodes: np.ndarray,
    min_count: int,
) -> EnergyBias:
    """Fit the bias of ``estimate``, ln(E / TeV), on events of known energy."""
    low, high = np.quantile(truth, [0.002, 0.998])
    n_nodes = max(int(np.ceil((high - low) * N_STEPS_PER_E)), 1) + 1
    nodes = np.linspace(low, max(high, low + 1e-3), n_nodes)
    i = np.searchsorted((zenith_nodes[1:] + zenith_nodes[:-1]) / 2, zenith)
    k = np.searchsorted((offset_nodes[1:] + offset_nodes[:-1]) / 2, offset)
    j = np.searchsorted((nodes[1:] + nodes[:-1]) / 2, truth)
    shape = (len(zenith_nodes), len(offset_nodes), n_nodes)
    flat = np.ravel_multi_index((i, k, j), shape)
    order = np.argsort(flat, kind="stable")
    counts = np.bincount(flat, minlength=int(np.prod(shape)))
    parts = np.split((estimate - truth)[order], np.cumsum(counts)[:-1])
    medians = np.array([np.median(part) if len(part) else np.nan for part in parts])
    medians[counts < min_count] = np.nan
    if np.isnan(medians).all():
        medians[:] = np.median(estimate - truth)
    bias = _fill_nearest(medians.reshape(shape))
    unscaled = EnergyBias(zenith_nodes, offset_nodes, nodes, bias, counts.reshape(shape), 1.0)
    corrected, stretch = unscaled.correct(estimate, offset, zenith)
    scale = float(np.quantile(np.abs(corrected - truth) / (stretch * spread), 0.6827))
    return EnergyBias(zenith_nodes, offset_nodes, nodes, bias, unscaled.counts, scale)


def _fill_nearest(values: np.ndarray) -> np.ndarray:
    """Give undefined nodes the value of the nearest one, along energy first."""
    rows = distance_transform_edt(
        np.isnan(values), sampling=(1e4, 1e2, 1.0), return_distances=False, return_indices=True
    )
    return values[tuple(rows)]
