"""Which column of a table is time, value, error or band, and what its values say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import astropy.units as u
import numpy as np
from astropy.time import Time

from ..._validation import check_columns
from ..curves import OFFSETS
from .steps import (
    FileSteps,
    ReadOptions,
    drop_rows_without_time,
    settle_scale,
    settle_unit,
    zero_point,
)

ROLES = ("name", "time", "value", "error", "band", "mask", "limit", "quality")
# What columns are called, by role, the surer name first. A time's name may say its zero point.
TIMES = {
    "time": None, "mjd": "mjd", "jd": "jd", "hjd": "jd", "bjd": "jd", "btjd": "btjd",
    "bkjd": "bkjd", "hjd-2450000": "jd-2450000", "jd-2450000": "jd-2450000", "obsmjd": "mjd",
}  # fmt: skip
NAMES = ("name", "obj_id", "oid", "object", "objectid", "object_id", "id")
BANDS = ("band", "filter", "filtercode", "passband")
QUALITIES = ("quality", "catflags", "sap_quality")
# A value and the errors that belong to it, so that no flux gets the error of a magnitude.
VALUES = {
    "value": ("error", "err", "value_err"),
    "mag": ("magerr", "mag_err", "e_mag", "error", "err"),
    "magnitude": ("magerr", "mag_err", "magnitude_err", "error", "err"),
    "flux": ("fluxerr", "flux_err", "e_flux", "error", "err"),
}
MAGNITUDES = ("mag", "magnitude")
REFERENCES = {"hjd": "heliocentric", "bjd": "barycentric", "btjd": "barycentric",
              "bkjd": "barycentric", "hjd-2450000": "heliocentric"}  # fmt: skip
# What belongs to an object and not to a step, where a table has it in each row.
OBJECT_COLUMNS = ("ra", "dec", "period", "label", "redshift", "target", "mission")
# A ZTF epoch with this bit is not usable: ZTF Science Data System Explanatory Supplement, 10.3.
ZTF_BAD = 32768
# What stands in a table where there is no number.
EMPTY = ("", "-", "--", "nan", "null", "none", "n/a")


def steps_from_columns(
    columns: Mapping[str, Any],
    options: ReadOptions,
    *,
    stem: str,
    where: str,
    said: Mapping[str, str] | None = None,
    roles: Mapping[str, str] | None = None,
    known: Mapping[str, Any] | None = None,
    name: str | None = None,
    reader: str = "table",
) -> FileSteps:
    """Turn named columns into steps.

    ``said`` is what the format itself says of ``unit``, ``time_format``, ``time_scale`` and
    ``reference``, ``roles`` what it says of the columns, ``name`` which of them names the objects.
    For the rest their names are asked, and then the caller of `read_lightcurves`.

    Raises
    ------
    ValueError
        For columns that are missing, for text among numbers, and for what nobody said.
    """
    said, renamed = dict(said or {}), dict(options.columns)
    found = _settle_roles(columns, options, roles, where=where)
    if name is not None:
        found["name"] = name
    if found["time"] not in renamed:
        said.setdefault("time_format", TIMES.get(found["time"].lower()) or "")
        said.setdefault("reference", REFERENCES.get(found["time"].lower(), ""))
    if is_ztf := {"oid", "catflags", "filtercode"} <= set(columns):
        reader = "ztf"
        if found["time"] == "mjd":
            said["time_scale"] = "utc"
    scale = settle_scale(said.get("time_scale"), options, where=where)
    time, time_format = _to_days(
        columns[found["time"]], said.get("time_format"), options, scale=scale, where=where
    )
    own = getattr(columns[found["value"]], "unit", None)  # a column of astropy may have one
    unit = settle_unit(
        str(own) if own is not None else said.get("unit") or _unit_of(found["value"]),
        options, where=where,
    )  # fmt: skip
    value, limit = _to_values(
        columns[found["value"]], where=where, faint=">" if unit.endswith("mag") else "<"
    )
    error = None
    if "error" in found:
        error = _to_errors(columns[found["error"]], unit, where=where)
    if "limit" in found and _is_asked_or_boolean("limit", found, columns, renamed):
        marked = _to_bool(columns[found["limit"]], "limit", where=where)
        limit = marked if limit is None else limit | marked
    names, code = _find_objects(columns, found, options, stem=stem, n=len(time))
    steps = FileSteps(
        time, value, unit, time_format, scale, names, code, error,
        to_text(columns[found["band"]]) if "band" in found else None,
        _flag_steps(columns, found, options, renamed, bits=ZTF_BAD if is_ztf else None,
                    where=where),
        limit, _find_known(columns, found, code, known), said.get("reference", ""), reader=reader,
    )  # fmt: skip
    return drop_rows_without_time(steps, where=where)


def _settle_roles(
    columns: Mapping[str, Any],
    options: ReadOptions,
    roles: Mapping[str, str] | None,
    *,
    where: str,
) -> dict[str, str]:
    """The column of each role: as the caller says, as the format says, or by name."""
    check_columns(columns, dict(options.columns), where=where)
    found = {**(roles or {}), **{role: column for column, role in options.columns}}
    if not roles:
        found = dict(_find_roles(tuple(columns), options.columns))
    if missing := [role for role in ("time", "value") if role not in found]:
        check_columns([name for name in columns if name not in missing], missing, where=where)
    return found


@lru_cache(maxsize=64)
def _find_roles(
    header: tuple[str, ...], renamed: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Pairs (role, column); what the caller named comes first."""
    found = {role: column for column, role in renamed}
    if unknown := sorted(set(found) - set(ROLES)):
        raise ValueError(f"columns must map to one of {list(ROLES)}, got {unknown}.")
    lower = {name.lower(): name for name in header if name not in dict(renamed)}
    choices = {"name": NAMES, "band": BANDS, "quality": QUALITIES, "time": tuple(TIMES),
               "mask": ("mask",), "limit": ("limit", "upper_limit")}  # fmt: skip
    for role, names in choices.items():
        match = [lower[name] for name in names if name in lower]
        if role not in found and match:
            found[role] = match[0]
    values = [lower[name] for name in VALUES if name in lower]
    if "value" not in found and values:
        if len(values) > 1 and values[0].lower() != "value":
            raise ValueError(
                f"value must be one column, got {values}. Choose with columns="
                f"{{{values[0]!r}: 'value'}}, and its error likewise."
            )
        found["value"] = values[0]
    errors = VALUES.get(found.get("value", "").lower(), VALUES["value"])
    match = [lower[name] for name in errors if name in lower]
    if "error" not in found and match:
        found["error"] = match[0]
    return tuple(found.items())


def check_header(header: Sequence[str], *, where: str) -> None:
    """Raise when a column is there twice: nobody can say which is meant."""
    if double := [name for name, n in Counter(header).items() if n > 1]:
        raise ValueError(
            f"{where} must have every column once, got {double} more often. Rename them."
        )


def as_array(column: Any) -> np.ndarray:
    """NumPy array of a column of pyarrow, astropy or NumPy; what is missing is NaN or None."""
    if isinstance(column, np.ma.MaskedArray):
        numeric = column.dtype.kind in "fiu"
        plain: Any = np.ma.asarray(column).astype(float if numeric else object)
        return np.asarray(plain.filled(np.nan if numeric else None))
    if hasattr(column, "to_numpy"):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    return np.asarray(column)


def to_numbers(column: Any, name: str, *, where: str) -> np.ndarray:
    """Floats of a column, NaN where it says nothing; text that is no number is an error."""
    array = as_array(column)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64, copy=False)
    return np.array([_to_number(item, name, row, where) for row, item in enumerate(array)], float)


def to_text(column: Any) -> np.ndarray:
    """Strings of a column, empty where it says nothing."""
    array = as_array(column)
    if array.dtype.kind in "OS":
        array = np.array(["" if item is None else _decode(item) for item in array])
    return array.astype(str)


def _decode(item: Any) -> str:
    return item.decode(errors="backslashreplace") if isinstance(item, bytes) else str(item)


def _to_number(item: Any, name: str, row: int, where: str) -> float:
    text = "" if item is None else _decode(item).strip()
    if text.lower() in EMPTY:
        return np.nan
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(
            f"{name} must be numbers in {where}, got {text!r} in row {row + 1}. Drop or mend it."
        ) from error


def _to_values(column: Any, *, where: str, faint: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Values, and which are upper limits: "<" before a flux, ">" before a magnitude."""
    array = as_array(column)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64, copy=False), None
    text = ["" if item is None else _decode(item).strip() for item in array]
    wrong = {"<": ">", ">": "<"}[faint]
    if bad := [item for item in text if item.startswith(wrong)]:
        raise ValueError(f"value must not be lower limits in {where}, got {bad[0]!r}. Drop them.")
    limit = np.array([item.startswith(faint) for item in text], dtype=bool)
    bare = np.array([item.lstrip(faint) for item in text], dtype=object)
    return to_numbers(bare, "value", where=where), limit if limit.any() else None


def _to_errors(column: Any, unit: str, *, where: str) -> np.ndarray:
    """Errors in the unit of the values, where they come with one of their own."""
    error = to_numbers(column, "error", where=where)
    if (own := getattr(column, "unit", None)) is None:
        return error
    try:
        return error * u.Unit(str(own)).to(u.Unit(unit))
    except ValueError as problem:
        raise ValueError(
            f"error must be in the unit of value, {unit!r} in {where}, got {str(own)!r}."
        ) from problem


def _to_days(
    column: Any, said: str | None, options: ReadOptions, *, scale: str, where: str
) -> tuple[np.ndarray, str]:
    """Times in days, and the format that they are in."""
    array = as_array(column)
    if array.dtype.kind == "M":
        return Time(array.astype("datetime64[ns]"), scale=scale).mjd, "mjd"
    if array.dtype.kind in "OUS" and len(array) and "-" in _decode(array[0])[1:]:
        try:
            return Time(to_text(array).tolist(), scale=scale).mjd, "mjd"
        except ValueError as error:
            raise ValueError(
                f"time must be numbers or dates in {where}, got {_decode(array[0])!r}."
            ) from error
    time_format = said or options.time_format
    if not time_format:
        raise ValueError(
            f"time_format must be one of {list(OFFSETS)} for {where}, whose column does not say "
            "it, got None. Look it up in the documentation of the data."
        )
    days = to_numbers(column, "time", where=where)
    if time_format not in OFFSETS:
        return days + (zero_point(time_format) - OFFSETS["mjd"]), "mjd"
    return days, time_format


def _unit_of(column: str) -> str | None:
    """What a column's name says: magnitudes, or a unit in brackets."""
    if column.lower() in MAGNITUDES:
        return "mag"
    bracket = re.search(r"[(\[]([^()\[\]]+)[)\]]\s*$", column)
    return bracket[1] if bracket else None


def _is_asked_or_boolean(
    role: str, found: Mapping[str, str], columns: Mapping[str, Any], renamed: Mapping[str, str]
) -> bool:
    """A column that only happens to be called so (limiting magnitudes) is not meant."""
    column = found[role]
    return column in renamed or as_array(columns[column]).dtype.kind == "b"


def _to_bool(column: Any, name: str, *, where: str) -> np.ndarray:
    numbers = to_numbers(column, name, where=where)
    if not np.isin(numbers, (0, 1)).all():
        raise ValueError(f"{name} must be true or false in {where}, got {numbers.max():g}.")
    return numbers.astype(bool)


def _find_objects(
    columns: Mapping[str, Any], found: Mapping[str, str], options: ReadOptions, *, stem: str, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted names of the objects, and for each step which it belongs to."""
    if "name" not in found or options.names == "file":
        return np.array([stem]), np.zeros(n, dtype=np.int64)
    array = as_array(columns[found["name"]])
    if array.dtype.kind == "O":
        import pandas as pd

        code, names = pd.factorize(to_text(array).astype(object), sort=True)
        return np.asarray(names).astype(str), code
    names, code = np.unique(array, return_inverse=True)
    return names, code


def flag_bits(flags: np.ndarray, quality: str | int, *, default: int | None) -> np.ndarray | None:
    """Which steps the flags exclude: by the bits of ``default``, by any, by given bits, none."""
    if quality == "none":
        return None
    bits = default if quality == "default" else quality
    if bits is None or bits == "any":
        return flags != 0
    return (flags & int(bits)) != 0


def _flag_steps(
    columns: Mapping[str, Any],
    found: Mapping[str, str],
    options: ReadOptions,
    renamed: Mapping[str, str],
    *,
    bits: int | None,
    where: str,
) -> np.ndarray | None:
    flagged = None
    if "mask" in found and _is_asked_or_boolean("mask", found, columns, renamed):
        flagged = _to_bool(columns[found["mask"]], "mask", where=where)
    if "quality" in found and options.quality != "none":
        flags = np.nan_to_num(to_numbers(columns[found["quality"]], "quality", where=where))
        bad = flag_bits(flags.astype(np.int64), options.quality, default=bits)
        flagged = bad if flagged is None or bad is None else flagged | bad
    return flagged


def _plain_rows(column: Any, rows: np.ndarray) -> np.ndarray:
    array = as_array(column)[rows]
    return to_text(array) if array.dtype.kind in "OS" else array


def _find_known(
    columns: Mapping[str, Any],
    found: Mapping[str, str],
    code: np.ndarray,
    known: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What is known of each object: its first row says it, or the file once for all."""
    objects, first = np.unique(code, return_index=True)
    taken = set(found.values())
    table = {
        name.lower(): _plain_rows(column, first)
        for name, column in columns.items()
        if name.lower() in OBJECT_COLUMNS and name not in taken
    }
    return {**table, **{key: [item] * len(objects) for key, item in (known or {}).items()}}
