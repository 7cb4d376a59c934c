"""Columns of a table of stamps as plain arrays for a file, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, QTable
from astropy.time import Time

RESERVED = {"image", "images", "mask", "uncertainty"}


def split_table(table: QTable) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """Arrays by name, masked where values are missing, and what an array does not say."""
    taken = sorted(RESERVED & set(table.colnames))
    if taken:
        raise ValueError(
            f"table must leave the names {sorted(RESERVED)} to the pixels, got {taken}. "
            "Rename these columns."
        )
    columns: dict[str, np.ndarray] = {}
    notes: dict[str, dict[str, Any]] = {}
    for name in table.colnames:
        column = table[name]
        if isinstance(column, SkyCoord):
            sky = column.icrs.spherical
            parts = {"ra": sky.lon.deg, "dec": sky.lat.deg}
            if name != "coord" or {"ra", "dec"} & set(table.colnames):
                parts = {f"{name}_{part}": values for part, values in parts.items()}
            notes[name] = {"coord": list(parts)}
            columns |= {part: np.asarray(values, dtype=float) for part, values in parts.items()}
            continue
        note: dict[str, Any] = {}
        if isinstance(column, Time):
            columns[name] = np.asarray(column.isot)
            note["time"] = column.scale
        elif isinstance(column, u.Quantity):
            values = np.asarray(getattr(column, "unmasked", column).value)
            columns[name] = np.ma.MaskedArray(values, getattr(column, "mask", False))
            note["unit"] = column.unit.to_string()
        else:
            columns[name] = np.ma.asarray(np.ma.MaskedArray(column))
            if column.unit is not None:
                note["unit"] = str(column.unit)
        if columns[name].dtype.kind == "O":
            columns[name] = np.array([str(value) for value in column])
        if column.info.description:
            note["description"] = column.info.description
        if note:
            notes[name] = note
    return columns, notes


def join_table(columns: Mapping[str, Any], notes: Mapping[str, Mapping[str, Any]]) -> QTable:
    """Inverse of `split_table`; columns ra and dec of others become ``coord``."""
    columns = dict(columns)
    table = QTable()
    coords = {name: note["coord"] for name, note in notes.items() if "coord" in note}
    if not coords and "coord" not in columns and {"ra", "dec"} <= set(columns):
        angles: list[np.ndarray] = [np.ma.filled(np.ma.asarray(columns[name], dtype=float), np.nan)
                  for name in ("ra", "dec")]  # fmt: skip
        if not np.any(np.abs(angles[1]) > 90):
            table["coord"] = SkyCoord(*angles, unit="deg")
    for name, parts in coords.items():
        table[name] = SkyCoord(*(columns.pop(part) for part in parts), unit="deg")
    for name, values in columns.items():
        note = notes.get(name, {})
        if "time" in note:
            table[name] = Time(np.asarray(values, dtype=str), format="isot", scale=note["time"])
        elif (
            "unit" in note
            and np.asarray(values).dtype.kind == "f"
            and not np.any(np.ma.getmaskarray(values))
        ):
            table[name] = np.asarray(values) * u.Unit(note["unit"])
        elif np.any(np.ma.getmaskarray(values)):
            table[name] = MaskedColumn(values, unit=note.get("unit"))
        else:
            table[name] = Column(np.asarray(values), unit=note.get("unit"))
        if "description" in note:
            table[name].info.description = note["description"]
    front = [name for name in ("id", "coord") if name in table.colnames]
    return table[[*front, *(name for name in table.colnames if name not in front)]]


def keep_plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold of meta."""
    kept = {}
    for key, value in meta.items():
        try:
            kept[str(key)] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            kept[str(key)] = str(value)
    return kept
