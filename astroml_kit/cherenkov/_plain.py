"""Tables as plain arrays plus a description, and back: what our Parquet and HDF5 files hold.

Units, time scales, masks and ``meta`` go into a JSON description, so that a file written here
comes back as it was. Nothing in it is ever executed.
"""

from __future__ import annotations

import json
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, QTable
from astropy.time import Time
from astropy.utils.masked import Masked

from ._schema import EventFileError, check_scale

VERSION = 1
KEY = "astroml_kit"

Arrays = dict[str, np.ndarray]


def split_table(table: QTable) -> tuple[Arrays, str]:
    """Return name -> array (masked where the column is) and the description as JSON.

    A time takes two columns, ``<name>.jd1`` and ``<name>.jd2``: one float cannot hold a
    microsecond in a Julian date.
    """
    arrays: Arrays = {}
    columns = []
    for name in table.colnames:
        column = table[name]
        entry: dict[str, Any] = {"name": name}
        if isinstance(column, Time):
            entry |= {"time": column.scale, "format": column.format}
            for part in ("jd1", "jd2"):
                arrays[f"{name}.{part}"] = _get_plain(getattr(column, part))
            mask = np.asarray(column.mask)
            if mask.any():
                arrays[f"{name}.jd1"] = np.ma.array(arrays[f"{name}.jd1"], mask=mask)
        elif isinstance(column, (u.Quantity, Column)):
            if column.dtype.kind not in "biufSU":
                raise ValueError(
                    f"column {name} must hold numbers, booleans or text, got {column.dtype}. "
                    "Convert it or leave it out."
                )
            if column.unit is not None:
                entry["unit"] = column.unit.to_string()
            arrays[name] = _get_plain(column)
        else:
            raise ValueError(
                f"column {name} must be a number, a quantity, a time or text, got "
                f"{type(column).__name__}. Split it into columns of those."
            )
        if getattr(column.info, "description", None):
            entry["description"] = str(column.info.description)
        columns.append(entry)
    spec = {"version": VERSION, "columns": columns, "meta": _encode(dict(table.meta), "meta")}
    return arrays, json.dumps(spec, allow_nan=True)


def _get_plain(column: Any) -> np.ndarray:
    if isinstance(column, (Masked, MaskedColumn, np.ma.MaskedArray)):
        mask = np.array(column.mask)
        data = getattr(column, "unmasked", getattr(column, "data", column))
        data = getattr(data, "value", data)
        return np.ma.array(np.ma.getdata(data), mask=mask)
    return np.asarray(getattr(column, "value", column))


def join_table(arrays: Arrays, spec_text: str, *, where: str) -> QTable:
    """Rebuild the table that :func:`split_table` took apart."""
    spec = read_spec(spec_text, where=where)
    data: dict[str, Any] = {}
    descriptions = {}
    for entry in spec["columns"]:
        name = entry["name"]
        if "time" in entry:
            jd1, jd2 = arrays[f"{name}.jd1"], arrays[f"{name}.jd2"]
            mask = np.ma.getmaskarray(jd1)
            scale = check_scale(entry["time"], where=f"{where}, {name}")
            time = Time(np.ma.getdata(jd1), np.ma.getdata(jd2), format="jd", scale=scale)
            time.format = entry["format"]
            if mask.any():
                time[mask] = np.ma.masked
            data[name] = time
        else:
            data[name] = _attach(arrays[name], entry.get("unit"))
        descriptions[name] = entry.get("description")
    table = QTable(data, meta=_decode(spec["meta"]), copy=False)
    for name, text in descriptions.items():
        if text:
            table[name].info.description = text
    return table


def _attach(array: np.ndarray, unit: str | None) -> Any:
    masked = isinstance(array, np.ma.MaskedArray)
    if unit is None:
        return MaskedColumn(array) if masked else array
    if masked:
        return Masked(np.ma.getdata(array), np.ma.getmaskarray(array)) << u.Unit(unit)
    return u.Quantity(array, u.Unit(unit), dtype=array.dtype, copy=False)


def read_spec(text: str, *, where: str) -> dict[str, Any]:
    """Parse and check a description."""
    try:
        spec = json.loads(text)
        names = [entry["name"] for entry in spec["columns"]]
        version = int(spec["version"])
    except (ValueError, KeyError, TypeError) as error:
        raise EventFileError(
            f"{where} must have a readable description of its columns, got: {error}. "
            "The file is damaged: fetch it again."
        ) from error
    if version > VERSION or not all(isinstance(name, str) for name in names):
        raise EventFileError(
            f"{where} must be of version {VERSION} or older, got {version}. Update astroml_kit."
        )
    return spec


def _encode(value: Any, where: str) -> Any:
    """Turn a meta value into JSON; what cannot be stored is named, not dropped."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {str(key): _encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, Time):
        parts = {"jd1": np.asarray(value.jd1).tolist(), "jd2": np.asarray(value.jd2).tolist()}
        return {"__time__": parts | {"scale": value.scale, "format": value.format}}
    if isinstance(value, u.Quantity):
        return {"__quantity__": {"value": value.value.tolist(), "unit": value.unit.to_string()}}
    if isinstance(value, SkyCoord):
        icrs = value.icrs
        return {"__icrs__": {"ra": icrs.ra.deg.tolist(), "dec": icrs.dec.deg.tolist()}}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return value.tolist()
    raise ValueError(
        f"{where} must be a number, text, list, dict, Quantity, Time or SkyCoord, got "
        f"{type(value).__name__}. Convert it or remove it from meta."
    )


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"__time__"}:
        parts = value["__time__"]
        scale = check_scale(parts["scale"], where="meta")
        time = Time(parts["jd1"], parts["jd2"], format="jd", scale=scale)
        time.format = parts["format"]
        return time
    if set(value) == {"__quantity__"}:
        return u.Quantity(value["__quantity__"]["value"], value["__quantity__"]["unit"])
    if set(value) == {"__icrs__"}:
        return SkyCoord(value["__icrs__"]["ra"], value["__icrs__"]["dec"], unit="deg")
    return {key: _decode(item) for key, item in value.items()}
