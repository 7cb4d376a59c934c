"""What a reconstruction is worth: bias, resolution and honest errors per bin of true energy."""

from __future__ import annotations

import itertools
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable

from .._validation import check_columns, check_real, check_same_length, invalid
from ..evaluation import evaluate_regressor
from ._derived import read_column

# The share of a normal distribution within one standard deviation.
ONE_SIGMA = 0.682689
ENERGY_EDGES = np.array([0.1, 0.2, 0.5, 1.0, 5.0, 50.0])
# What was replaced by a learned estimate is measured beside it.
ENERGIES = {"": "reco_energy", "table_": "table_energy"}
DIRECTIONS = {"": "reco", "geometry_": "geometry"}


def evaluate_reconstruction(
    events: QTable, *, energy_edges: Any = ENERGY_EDGES, weights: Any = None
) -> QTable:
    """Measure reconstructed showers against the truth.

    Parameters
    ----------
    events : `~astropy.table.QTable`
        From `reconstruct_stereo` on simulated gammas that no table or model was trained on, with
        ``true_energy``, ``true_fov_lon`` and ``true_fov_lat``.
    energy_edges : Quantity or array_like in TeV, increasing
        Bins of true energy.
    weights : array_like of float, one per event, optional
        To turn the simulated spectrum into another.

    Returns
    -------
    `~astropy.table.QTable`
        A row per bin and a last one over all of them: ``energy_low``, ``energy_high``,
        ``n_events``, ``n_valid``; ``angular_resolution`` (deg, radius that holds 68 % of the
        valid events), ``angular_coverage`` (share within the predicted error; 0.68 when honest),
        ``core_resolution`` (m) and ``core_coverage`` where the truth is known; ``energy_bias``
        (median of E / E_true - 1), ``energy_resolution`` (half the width of its central 68 %) and
        ``energy_coverage``. After a learned estimate, ``table_energy_...`` and
        ``geometry_angular_...`` are what it replaced. NaN in bins without events.

    Examples
    --------
    >>> events = QTable({"true_energy": [1.0, 2] * u.TeV, "is_valid": [True, True],
    ...     "true_fov_lon": [0.0, 0] * u.deg, "true_fov_lat": [0.0, 0] * u.deg,
    ...     "reco_fov_lon": [0.1, 0] * u.deg, "reco_fov_lat": [0, 0.1] * u.deg})
    >>> print(evaluate_reconstruction(events, energy_edges=[1, 5])["angular_resolution"][0])
    0.1 deg
    """
    need = ("true_energy", "true_fov_lon", "true_fov_lat", "reco_fov_lon", "reco_fov_lat",
            "is_valid")  # fmt: skip
    check_columns(events.colnames, need, where="events")
    plain = energy_edges.to_value(u.TeV) if isinstance(energy_edges, u.Quantity) else energy_edges
    edges = check_real("energy_edges", plain, above=0)
    if edges.ndim != 1 or len(edges) < 2 or np.any(np.diff(edges) <= 0):
        raise invalid("energy_edges", "two or more increasing energies", edges)
    weight = np.ones(len(events)) if weights is None else check_real("weights", weights, at_least=0)
    check_same_length(events=events, weights=weight)
    energy = read_column(events, "true_energy")
    valid = np.asarray(events["is_valid"]).astype(bool)
    bins = [*itertools.pairwise(edges), (edges[0], edges[-1])]
    rows = []
    for low, high in bins:
        inside = (energy >= low) & (energy < high)
        row = {
            "energy_low": low * u.TeV,
            "energy_high": high * u.TeV,
            "n_events": int(inside.sum()),
            "n_valid": int((inside & valid).sum()),
        }
        rows.append(row | _measure(events, inside & valid, weight))
    return QTable({name: [row[name] for row in rows] for name in rows[0]})


def _measure(events: QTable, rows: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for start, name in DIRECTIONS.items():
        if f"{name}_fov_lon" in events.colnames:
            error = _read(events, f"{name}_direction_error")
            distance = _find_distance(events, (f"{name}_fov_lon", f"{name}_fov_lat"),
                                      ("true_fov_lon", "true_fov_lat"))  # fmt: skip
            measured |= _contain(f"{start}angular", distance, error, rows, weight, u.deg)
    if {"reco_core_x", "true_core_x"} <= set(events.colnames):
        distance = _find_distance(events, ("reco_core_x", "reco_core_y"),
                                  ("true_core_x", "true_core_y"))  # fmt: skip
        measured |= _contain("core", distance, _read(events, "reco_core_error"), rows, weight, u.m)
    truth = read_column(events, "true_energy")
    for start, name in ENERGIES.items():
        if name not in events.colnames:
            continue
        estimate, error = read_column(events, name), _read(events, f"{name}_error")
        good = rows & np.isfinite(estimate) & (weight > 0)
        bias = resolution = coverage = np.nan
        if good.any():
            result = evaluate_regressor(
                truth[good], estimate[good], weights=weight[good], relative=True, n_bootstrap=0
            )
            bias, resolution = result.bias, result.resolution
            coverage = _average(np.abs(estimate - truth) < error, good, weight)
        measured |= {
            f"{start}energy_bias": bias,
            f"{start}energy_resolution": resolution,
            f"{start}energy_coverage": coverage,
        }
    return measured


def _contain(
    name: str,
    distance: np.ndarray,
    error: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray,
    unit: u.UnitBase,
) -> dict[str, Any]:
    good = rows & np.isfinite(distance) & (weight > 0)
    radius = np.nan
    if good.any():
        order = np.argsort(distance[good])
        share = np.cumsum(weight[good][order]) / weight[good].sum()
        last = np.searchsorted(share, ONE_SIGMA * (1 - 1e-12))
        radius = distance[good][order][min(last, len(order) - 1)]
    return {
        f"{name}_resolution": radius * unit,
        f"{name}_coverage": _average(distance < error, good, weight),
    }


def _average(values: np.ndarray, rows: np.ndarray, weight: np.ndarray) -> float:
    return float(np.average(values[rows], weights=weight[rows])) if rows.any() else np.nan


def _find_distance(events: QTable, names: tuple[str, str], truth: tuple[str, str]) -> np.ndarray:
    x, y = (
        read_column(events, name) - read_column(events, true)
        for name, true in zip(names, truth, strict=True)
    )
    return np.hypot(x, y)


def _read(events: QTable, name: str) -> np.ndarray:
    if name in events.colnames:
        return read_column(events, name)
    return np.full(len(events), np.nan)
