"""One schema for every event file: names, units, and what makes a row unusable."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import MaskedColumn, QTable
from astropy.time import Time

from .._validation import check_choice, check_columns

# A column with one of these names always comes out in this unit, whatever the file had.
SCHEMA_UNITS: dict[str, u.UnitBase] = {
    "reco_energy": u.TeV,
    "reco_energy_uncert": u.TeV,
    "true_energy": u.TeV,
    "true_core_x": u.m,
    "true_core_y": u.m,
    "true_impact": u.m,
    "true_h_first_int": u.m,
    "reco_core_x": u.m,
    "reco_core_y": u.m,
    "reco_h_max": u.m,
    "hillas_psi": u.deg,
    "hillas_phi": u.deg,
    **{f"{kind}_{axis}": u.deg for kind in ("reco", "true", "pointing")
       for axis in ("ra", "dec", "alt", "az", "lon", "lat")},
}  # fmt: skip

# A row is unusable when one of its POSITIVE values is not > 0 or one of its FINITE ones is NaN.
POSITIVE = ("reco_energy", "true_energy")
FINITE = ("reco_ra", "reco_dec", "reco_alt", "reco_az")
# NaN here marks a telescope image too faint to have parameters: left out, counted, no warning.
IMAGE = "hillas_intensity"

ON_INVALID = ("drop", "raise", "keep")


TIME_SCALES = ("tt", "utc", "tai", "tdb", "tcb", "tcg", "ut1")


class EventFileError(ValueError):
    """The file is damaged, or is not the event file it claims to be.

    Raised instead of returning part of a file. Catch it to carry on with the other runs.
    """

    def __init__(self, message: str):
        # Libraries quote damaged bytes: keep to one printable line.
        printable = (c if c.isprintable() else " " for c in message)
        super().__init__(" ".join("".join(printable).split()))


class EventDataWarning(UserWarning):
    """Rows or runs were left out; the message says how many and why."""


# What the libraries below raise on a damaged file. Our own errors are made of better words.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def damage_is_one_error(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library says about a damaged file into one sentence of ours."""
    try:
        with np.errstate(all="ignore"):  # absurd numbers are found and counted later
            yield
    except EventFileError:
        raise
    except DAMAGE as error:
        raise EventFileError(
            f"{path.name} must be a readable {kind} file, got {type(error).__name__}: "
            f"{str(error)[:200]}. It is damaged or of another kind: fetch it again."
        ) from error


@dataclass
class RawEvents:
    """Columns as a format's reader found them, and what the format calls them.

    Parameters
    ----------
    columns : dict
        Name in the file -> array, Quantity or Time.
    meta : dict
        What the file says about the events as a whole.
    names : mapping
        Name in the file -> schema name, for the columns that the format knows.
    assume_units : bool
        Whether a bare number with a schema name gets the schema's unit.
    """

    columns: dict[str, Any]
    meta: dict[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    assume_units: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0


def check_scale(scale: str, *, where: str) -> str:
    """Return the time scale in lower case, or say that the file has none that exists."""
    scale = str(scale).strip().lower()
    if scale not in TIME_SCALES:
        raise EventFileError(
            f"{where}: the time scale must be one of {list(TIME_SCALES)}, got {scale!r}. "
            "Without it the times mean nothing: write it into the file."
        )
    return scale


def rename_columns(
    have: Iterable[str],
    names: Mapping[str, str],
    *,
    columns: Mapping[str, str] | None,
    where: str,
) -> dict[str, str]:
    """Map names in the file to names in the table: the user's first, then the format's.

    Parameters
    ----------
    have : iterable of str
        The columns of the file.
    names : mapping
        The format's own name-in-file -> schema name.
    columns : mapping, optional
        The user's name-in-file -> schema name.
    where : str
        The file, for the error message.

    Raises
    ------
    ValueError
        When ``columns`` names a column that is not there or two columns get one name.
    """
    have = list(have)
    wanted = dict(columns or {})
    check_columns(have, wanted, where=where)
    taken = set(wanted.values())
    mapping = {}
    for name in have:
        target = wanted.get(name)
        if target is None:
            target = names.get(name, name)
            if target in taken:
                target = name  # the user has given this schema name to another column
        mapping[name] = target
    doubles = sorted({t for t in mapping.values() if list(mapping.values()).count(t) > 1})
    if doubles:
        raise ValueError(
            f"{where}: columns must give each name once, got {doubles} more than once. "
            "Rename one of them with columns={'<name in the file>': '<another name>'}."
        )
    return mapping


def convert_unit(name: str, value: Any, *, where: str, default: u.UnitBase | None = None) -> Any:
    """Return ``value`` in the schema's unit for ``name``; other columns keep their own unit.

    A bare number takes ``default``; without one it is refused, because a guess at a unit is a
    wrong result waiting to happen.
    """
    wanted = SCHEMA_UNITS.get(name)
    if wanted is None or isinstance(value, Time):
        return value
    unit = getattr(value, "unit", None) or default
    if unit is None:
        raise EventFileError(
            f"{where}: the unit of {name} must be convertible to {wanted}, got none. "
            "Write the unit into the file."
        )
    if getattr(value, "unit", None) is None:
        value = value * unit if isinstance(value, u.Quantity) else u.Quantity(value, unit)
    if value.unit == wanted:
        return value
    try:
        return value.to(wanted)
    except u.UnitConversionError as error:
        raise EventFileError(
            f"{where}: the unit of {name} must be convertible to {wanted}, got {unit}. "
            "The column may hold something else: name it with columns={...}."
        ) from error


def find_unusable(table: QTable) -> np.ndarray:
    """Mark the rows with an energy that is not > 0, or a position or time that is not finite."""
    bad = np.zeros(len(table), dtype=bool)
    for name in (*POSITIVE, *FINITE):
        if name in table.colnames:
            column = table[name]
            mask = getattr(column, "mask", False)
            value = getattr(column, "unmasked", column)
            value = np.asarray(getattr(value, "value", value))
            good = np.isfinite(value)
            if name in POSITIVE:
                good &= value > 0
            # A masked entry is a value that was never there, not a wrong one.
            bad |= ~good & ~np.asarray(mask)
    if isinstance(times := table.columns.get("time"), Time):
        bad |= np.asarray(times.mask)
    return bad


def finish_table(
    table: QTable, *, where: str, on_invalid: str = "drop", warn: bool = True
) -> QTable:
    """Drop, refuse or keep the unusable rows; count them in ``meta`` and say so."""
    check_choice("on_invalid", on_invalid, ON_INVALID)
    bad, faint = find_unusable(table), find_faint(table)
    n_bad, n_faint = int((bad & ~faint).sum()), int(faint.sum())
    if IMAGE in table.colnames:
        table.meta["n_without_image"] = n_faint
    table.meta["n_dropped"] = n_bad if on_invalid == "drop" else 0
    text = (
        f"{where}: {n_bad} of {len(table)} events have an energy that is not > 0, "
        "or a position or time that is not finite"
    )
    if n_bad and on_invalid == "raise":
        raise EventFileError(f"{text}. Drop them with on_invalid='drop'.")
    if n_bad and on_invalid == "drop" and warn:
        warnings.warn(f"{text}; they were dropped.", EventDataWarning, stacklevel=3)
    if on_invalid == "keep":
        table.meta["n_invalid"] = n_bad
        return table
    leave = faint | bad
    return table[~leave] if leave.any() else table


def find_faint(table: QTable) -> np.ndarray:
    """Mark the telescope images that have no parameters."""
    if IMAGE not in table.colnames:
        return np.zeros(len(table), dtype=bool)
    values = np.asarray(getattr(table[IMAGE], "value", table[IMAGE]))
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(table), dtype=bool)


def build_table(
    raw: RawEvents,
    *,
    where: str,
    columns: Mapping[str, str] | None = None,
    required: Iterable[str] = (),
) -> QTable:
    """Turn raw columns into a table with the schema's names and units."""
    mapping = rename_columns(raw.columns, raw.names, columns=columns, where=where)
    check_columns(mapping.values(), required, where=where)
    data, assumed = {}, []
    for name, value in raw.columns.items():
        target = mapping[name]
        default = SCHEMA_UNITS.get(target) if raw.assume_units else None
        if default is not None and getattr(value, "unit", None) is None:
            assumed.append(target)
        if target in SCHEMA_UNITS and isinstance(value, MaskedColumn):
            value = QTable({"x": value})["x"]
        with np.errstate(all="ignore"):  # absurd values are found below, by find_unusable
            data[target] = convert_unit(target, value, where=where, default=default)
    meta = dict(raw.meta)
    if assumed:
        meta["assumed_units"] = {name: SCHEMA_UNITS[name].to_string() for name in assumed}
    return QTable(data, meta=meta, copy=False)
