"""Which columns are positions and motions, in which units, and the coordinates they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.table import QTable, Table
from astropy.time import Time

from .._validation import invalid

# Lower-case names, the likeliest first.
NAMES = {
    "ra": ("ra", "raj2000", "_raj2000", "ra_icrs", "ra_deg", "radeg", "alpha_j2000", "ramean"),
    "dec": ("dec", "dej2000", "_dej2000", "decj2000", "de_icrs", "dec_deg", "decdeg", "delta_j2000",
            "decmean"),
    "l": ("l", "glon", "gal_lon"),
    "b": ("b", "glat", "gal_lat"),
    "pm_ra_cosdec": ("pmra", "pm_ra_cosdec", "pmra_cosdec"),
    "pm_dec": ("pmdec", "pmde", "pm_dec"),
}  # fmt: skip
UCDS = {
    "ra": "pos.eq.ra", "dec": "pos.eq.dec", "l": "pos.galactic.lon", "b": "pos.galactic.lat",
    "pm_ra_cosdec": "pos.pm;pos.eq.ra", "pm_dec": "pos.pm;pos.eq.dec",
}  # fmt: skip
USUAL = {"ra": u.deg, "dec": u.deg, "l": u.deg, "b": u.deg,
         "pm_ra_cosdec": u.mas / u.yr, "pm_dec": u.mas / u.yr}  # fmt: skip
# All right ascensions below 24 while declinations spread like this: hours, most likely.
HOURS, SPREAD = 24.0, 60.0


def set_units(table: Table, units: Mapping[str, Any], *, where: str) -> None:
    """Give columns units, or convert what has others; unknown units of the file are named."""
    for name, wanted in units.items():
        if name not in table.colnames:
            raise ValueError(
                f"units must be of columns that {where} has, got {name!r}; it has {table.colnames}."
            )
        unit, column = u.Unit(wanted), table[name]
        if column.dtype.kind not in "iufb":
            continue  # sexagesimal text: the unit says how to read it
        if column.unit is None:
            column.unit = unit
        elif column.unit != unit:
            try:
                column.convert_unit_to(unit)
            except u.UnitConversionError:
                raise ValueError(
                    f"units[{name!r}] must be like {column.unit}, which {where} says, got {unit}."
                ) from None


def count_missing(table: Table) -> dict[str, int]:
    """Masked or not finite values of each column that has any."""
    counts = {}
    for name in table.colnames:
        column = table[name]
        missing = np.array(np.ma.getmaskarray(np.ma.asarray(column)))
        if column.dtype.kind == "f":
            missing |= ~np.isfinite(np.ma.filled(np.ma.asarray(column), np.nan))
        if missing.any():
            counts[name] = int(missing.sum())
    return counts


def add_coordinates(table: Table, *, frame: str | None, epoch: Time | None, where: str) -> QTable:
    """Return a QTable with ``coord``, where the table has positions."""
    found = _find_columns(table)
    pair = ("ra", "dec") if {"ra", "dec"} <= set(found) else ("l", "b")
    assumed: dict[str, str] = {}
    if not set(pair) <= set(found):
        table.meta.update(coordinates={}, assumed_units=assumed)
        return _to_qtable(table)
    angles = [_read_angle(table, found[key], key, assumed, where) for key in pair]
    name = found[pair[1]]
    far = np.abs(angles[1].deg) > 90
    if np.any(far):
        raise ValueError(
            f"{name} of {where} must be from -90 to 90 deg, got {angles[1].deg[far][0]:g} deg in "
            f"row {np.flatnonzero(far)[0] + 1}. Check which column is which, and units={{...}}."
        )
    if found[pair[0]] in assumed:
        _refuse_hours(angles, found[pair[0]], where)
    used = dict(zip(pair, (found[key] for key in pair), strict=True))
    motion = {}
    if pair[0] == "ra" and {"pm_ra_cosdec", "pm_dec"} <= set(found):
        for key in ("pm_ra_cosdec", "pm_dec"):
            motion[key] = _read_quantity(table, found[key], key, assumed, where)
            used[key] = found[key]
    table.meta.update(coordinates=used, assumed_units=assumed)
    system = frame or ("icrs" if pair[0] == "ra" else "galactic")
    when = _find_epoch(table) if epoch is None else epoch
    out = _to_qtable(table)
    out["coord"] = SkyCoord(angles[0], angles[1], frame=system, obstime=when, **motion)
    return out


def _find_columns(table: Table) -> dict[str, str]:
    lower = {name.lower(): name for name in reversed(table.colnames)}
    found = {}
    for key, names in NAMES.items():
        by_ucd = [
            name for name in table.colnames
            if str((table[name].info.meta or {}).get("ucd", "")).lower().removesuffix(";meta.main")
            == UCDS[key]
        ]  # fmt: skip
        by_name = [lower[name] for name in names if name in lower]
        if by_ucd or by_name:
            found[key] = (by_ucd or by_name)[0]
    return found


def _read_angle(table: Table, name: str, key: str, assumed: dict[str, str], where: str) -> Angle:
    column = table[name]
    if column.dtype.kind in "US":
        return _read_sexagesimal(column, name, key, where)
    return Angle(_read_quantity(table, name, key, assumed, where))


def _read_quantity(
    table: Table, name: str, key: str, assumed: dict[str, str], where: str
) -> u.Quantity:
    column = table[name]
    unit = column.unit
    if unit is None:
        unit = USUAL[key]
        assumed[name] = str(unit)
    values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    try:
        return (values * u.Unit(unit)).to(USUAL[key])
    except (u.UnitConversionError, ValueError, TypeError):
        raise ValueError(
            f"{name} of {where} must be in a unit like {USUAL[key]}, got {unit}. "
            f"Say what it is: units={{{name!r}: ...}}."
        ) from None


def _read_sexagesimal(column: Any, name: str, key: str, where: str) -> Angle:
    """00:08:27.05 is hours in a right ascension and degrees elsewhere; decimal text is refused."""
    unit = u.hourangle if key == "ra" else u.deg
    mask = np.ma.getmaskarray(np.ma.asarray(column)) | (np.asarray(column) == "")
    degrees = np.full(len(column), np.nan)
    for row in np.flatnonzero(~mask):
        text = str(column[row]).strip()
        try:
            if not any(mark in text for mark in ": hd"):
                raise ValueError("no separator")
            degrees[row] = Angle(text, unit=unit).deg
        except (ValueError, u.UnitsError) as error:
            raise ValueError(
                f"{name} of {where} must be angles, got {text!r} in row {row + 1}. Write "
                "12:34:56.7, or decimal degrees without text among them."
            ) from error
    return Angle(degrees, u.deg)


def _refuse_hours(angles: list[Angle], name: str, where: str) -> None:
    lon, lat = angles[0].deg, angles[1].deg
    good = np.isfinite(lon) & np.isfinite(lat)
    if good.sum() < 20:
        return
    if np.all((lon[good] >= 0) & (lon[good] < HOURS)) and np.ptp(lat[good]) > SPREAD:
        raise invalid(
            f"{name} of {where}", "said to be in degrees or hours",
            f"values from {lon[good].min():g} to {lon[good].max():g} without a unit over "
            f"{np.ptp(lat[good]):.0f} degrees of declination",
            f"Say units={{{name!r}: 'hourangle'}} or 'deg'.",
        )  # fmt: skip


def _find_epoch(table: Table) -> Time | None:
    name = next((name for name in table.colnames if name.lower() == "ref_epoch"), None)
    if name is None or not len(table):
        return None
    years = np.unique(np.asarray(table[name], dtype=float))
    return Time(years[0], format="jyear") if len(years) == 1 and np.isfinite(years[0]) else None


def _to_qtable(table: Table) -> QTable:
    """Masked numbers become NaN where they have a unit; whole numbers then become real."""
    out = table.copy(copy_data=False)
    for name in out.colnames:
        column = out[name]
        if column.unit is not None and column.dtype.kind in "iuf":
            values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
            meta, about = column.info.meta, column.info.description
            out[name] = values * column.unit
            out[name].info.meta, out[name].info.description = meta, about
    return QTable(out)
