"""Simulated events sorted into the bins of a response: where they came from, how far they moved."""

from __future__ import annotations

import warnings
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import angular_separation
from astropy.table import QTable

from .._validation import check_columns, check_real, invalid
from ._schema import EventDataWarning

# Names of the two axes of a direction, the simulation's plane first.
PLANE = ("fov_lon", "fov_lat")
FRAMES = (PLANE, ("ra", "dec"), ("az", "alt"))


def read_angle(table: QTable, first: str, second: str, *, where: str) -> np.ndarray:
    """Return the angle [deg] between two directions (true, reco, pointing) of every event.

    Taken from ``*_fov_lon`` and ``*_fov_lat`` (small angles about the pointing position), else
    from ``*_ra`` and ``*_dec`` or ``*_az`` and ``*_alt``.
    """
    needed = {frame: _list_columns(frame, first, second) for frame in FRAMES}
    found = (frame for frame, names in needed.items() if set(names) <= set(table.colnames))
    frame = next(found, PLANE)
    check_columns(table.colnames, needed[frame], where=where)
    angles = [read_values(table, name, u.deg, where=where) for name in needed[frame]]
    if frame == PLANE:
        x, y = angles[:2] if len(angles) == 2 else np.subtract(angles[:2], angles[2:])
        return np.hypot(x, y)
    return np.rad2deg(angular_separation(*(np.deg2rad(angle) for angle in angles)))


def _list_columns(frame: tuple[str, str], first: str, second: str) -> list[str]:
    # in the plane the pointing position is the origin
    kinds = (first,) if frame == PLANE and second == "pointing" else (first, second)
    return [f"{kind}_{axis}" for kind in kinds for axis in frame]


def read_values(table: QTable, name: str, unit: u.UnitBase, *, where: str) -> np.ndarray:
    """Return a column as floats in ``unit``; masked entries become NaN."""
    check_columns(table.colnames, [name], where=where)
    column: Any = table[name]
    if hasattr(column, "filled") and hasattr(column, "mask"):
        column = column.filled(np.nan)
    if getattr(column, "unit", None) is None:
        raise ValueError(
            f"{where}: {name} must have a unit convertible to {unit}, got none. "
            f"Attach it: table[{name!r}] = table[{name!r}] * u.Unit('{unit}')."
        )
    try:
        return np.asarray(u.Quantity(column).to_value(unit), dtype=float)
    except u.UnitConversionError as error:
        raise ValueError(
            f"{where}: {name} must have a unit convertible to {unit}, got {column.unit}."
        ) from error


def read_quantity(name: str, value: Any, unit: u.UnitBase) -> np.ndarray:
    """Return a Quantity as floats in ``unit``; a bare number is refused."""
    if not isinstance(value, u.Quantity) or not value.unit.is_equivalent(unit):
        raise invalid(name, f"a Quantity in {unit}", value)
    return np.asarray(value.to_value(unit), dtype=float)


def read_edges(name: str, edges: Any, unit: u.UnitBase, *, positive: bool = False) -> np.ndarray:
    """Return the edges of an axis as floats in ``unit`` after checking that they rise."""
    values = edges if unit is u.one else read_quantity(name, edges, unit)
    values = check_real(name, values, above=0 if positive else None, at_least=0)
    if values.ndim != 1 or len(values) < 2 or not np.all(np.diff(values) > 0):
        raise invalid(name, "rising, at least two", values)
    return values


def drop_unusable(columns: dict[str, u.Quantity], *, where: str) -> tuple[QTable, int]:
    """Keep the events with finite values and energies > 0; say how many are lost."""
    good = np.all([np.isfinite(values) for values in columns.values()], axis=0)
    for name, values in columns.items():
        if name.endswith("energy"):
            good &= np.nan_to_num(values.value) > 0
    n_dropped = int((~good).sum())
    if n_dropped == good.size:
        raise ValueError(
            f"{where} must hold usable events, got {good.size} of which none has finite "
            f"{list(columns)}. Loosen the cuts."
        )
    if n_dropped:
        warnings.warn(
            f"{where}: {n_dropped} of {good.size} events have an energy that is not > 0 or a "
            "direction that is not finite; they were left out.",
            EventDataWarning,
            stacklevel=4,
        )
    return QTable({name: values[good] for name, values in columns.items()}), n_dropped


def borrow_nearest(content: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Give each energy bin that is not valid the content of the nearest that is, same offset.

    ``content`` has shape (n_offsets, n_energies, ...), ``valid`` (n_offsets, n_energies); every
    offset must have a valid energy. Of two equally near the lower energy gives.
    """
    result = content.copy()
    for i, j in np.argwhere(~valid):
        known = np.flatnonzero(valid[i])
        result[i, j] = content[i, known[np.argmin(np.abs(known - j))]]
    return result
