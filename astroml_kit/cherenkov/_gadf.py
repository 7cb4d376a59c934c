"""Event lists in the gamma-astro-data-format (GADF, DL3): one run per FITS file.

Source: https://gamma-astro-data-formats.readthedocs.io (v0.2 and v0.3), sections on event lists,
good time intervals and time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time, TimeDelta
from astropy.utils.masked import Masked
from erfa import ErfaWarning

from .._validation import check_columns
from ._fits import (
    Header,
    TableHDU,
    describe_contents,
    drain,
    get_number,
    iter_hdus,
    open_stream,
)
from ._schema import EventFileError, RawEvents, build_table, check_scale, finish_table

FORMAT = "gadf"
NAMES = {
    "EVENT_ID": "event_id",
    "OBS_ID": "obs_id",
    "TIME": "time",
    "RA": "reco_ra",
    "DEC": "reco_dec",
    "ENERGY": "reco_energy",
    "ENERGY_ERR": "reco_energy_uncert",
    "ALT": "reco_alt",
    "AZ": "reco_az",
    "COREX": "reco_core_x",
    "COREY": "reco_core_y",
    "XMAX": "reco_x_max",
    "MULTIP": "multiplicity",
    "GAMMANESS": "gammaness",
    "HIL_MSW": "hillas_msw",
    "HIL_MSL": "hillas_msl",
    "MC_ENERGY": "true_energy",
    "MC_RA": "true_ra",
    "MC_DEC": "true_dec",
    "MC_ALT": "true_alt",
    "MC_AZ": "true_az",
}
REQUIRED = ("event_id", "time", "reco_ra", "reco_dec", "reco_energy")

# 2001-01-01 TT, which H.E.S.S. and gammapy count from.
DEFAULT_REFERENCE = {"MJDREFI": 51910, "MJDREFF": 0.000742870370370241}
# Seconds after the reference; 300 years is no telescope's clock.
MAX_SECONDS = 1e10


def read_time_reference(header: Header, *, where: str) -> Time:
    """Return the moment that the TIME column counts from, in the file's own time scale."""
    scale = check_scale(header.get("TIMESYS", ""), where=f"{where}, TIMESYS")
    unit = str(header.get("TIMEUNIT", "s")).strip()
    if unit != "s":
        raise EventFileError(f"{where}: TIMEUNIT must be 's', got {unit!r}.")
    if "MJDREFI" in header:
        day = get_number(header, "MJDREFI", where=where)
        fraction = get_number(header, "MJDREFF", 0.0, where=where)
    else:
        day, fraction = get_number(header, "MJDREF", where=where), 0.0
    if not (0 <= day < 100_000 and 0 <= fraction < 1):
        raise EventFileError(
            f"{where}: MJDREFI + MJDREFF must be a day in [0, 100000), got {day} + {fraction}. "
            "The header is damaged: fetch the file again."
        )
    return _make_reference(day, fraction, scale)


@lru_cache(maxsize=64)  # every run of a data set counts from the same moment
def _make_reference(day: float, fraction: float, scale: str) -> Time:
    return Time(day, fraction, format="mjd", scale=scale)


def make_time(seconds: np.ndarray, reference: Time) -> Time:
    """Add elapsed seconds to the reference; impossible values come out masked.

    Elapsed means elapsed: on a UTC scale the leap seconds since the reference are counted.
    """
    seconds = np.asarray(seconds, dtype=float)
    bad = ~(np.abs(seconds) < MAX_SECONDS)
    delta = TimeDelta(np.where(bad, 0.0, seconds), format="sec")
    if reference.scale == "utc":
        with warnings.catch_warnings():
            # "Dubious year": leap seconds beyond the known ones cannot be foreseen.
            warnings.simplefilter("ignore", ErfaWarning)
            time = reference + delta
    else:
        time = reference + delta
    if bad.any():
        time[bad] = np.ma.masked
    return time


def quantities_of(hdu: TableHDU, columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Attach the units of the header to the columns that have one."""
    units = hdu.get_units()
    out: dict[str, Any] = {}
    for name, array in columns.items():
        text = units.get(name)
        if text and array.dtype.kind in "iuf" and not isinstance(array, np.ma.MaskedArray):
            try:
                out[name] = u.Quantity(array, u.Unit(text), dtype=array.dtype, copy=False)
            except ValueError as error:
                raise EventFileError(
                    f"{hdu.where}: the unit of {name} must be a unit astropy knows, got {text!r}."
                ) from error
        else:
            out[name] = array
    return out


def _read_rows(hdu: TableHDU, source: str, n_rows: int | None = None) -> RawEvents:
    """Read rows of an EVENTS table: times made, units attached, the header as meta."""
    raw = hdu.read_columns(n_rows)
    columns = quantities_of(hdu, raw)
    if "TIME" in raw:
        seconds = _to_seconds(columns["TIME"], hdu)
        columns["TIME"] = make_time(seconds, read_time_reference(hdu.header, where=hdu.where))
    obs_id = hdu.header.get("OBS_ID")
    if "OBS_ID" not in columns and isinstance(obs_id, int):
        n = len(next(iter(raw.values()))) if raw else 0
        columns = {"OBS_ID": np.full(n, obs_id, dtype=np.int64), **columns}
    meta = {**describe_contents(hdu.header), "format": FORMAT, "source": source}
    return RawEvents(columns, meta, NAMES)


def _to_seconds(value: Any, hdu: TableHDU) -> np.ndarray:
    if not isinstance(value, u.Quantity):
        return value
    if not value.unit.is_equivalent(u.s):
        raise EventFileError(
            f"{hdu.where}: the unit of TIME must be convertible to s, got {value.unit}."
        )
    return value.to_value(u.s)


def iter_raw(path: Path, *, chunk_size: int | None = None) -> Iterator[RawEvents]:
    """Yield the events of one file, ``chunk_size`` rows at a time (all at once when None).

    The rest of the file is read too, so that a truncated one is never taken for a whole one.
    """
    names: list[str] = []
    found = False
    with open_stream(path) as stream:
        for hdu in iter_hdus(path, stream):
            names.append(hdu.name or "PRIMARY")
            if found or not hdu.matches("EVENTS"):
                continue
            found, n_rows = True, hdu.n_rows
            step = chunk_size or max(n_rows, 1)
            for start in range(0, max(n_rows, 1), step):
                yield _read_rows(hdu, path.name, min(step, n_rows - start))
        drain(stream)
    if not found:
        raise EventFileError(
            f"{path.name} must have an EVENTS table, got the HDUs {names}. "
            "It is a FITS file, but not an event list."
        )


def read_gti(hdu: TableHDU) -> QTable:
    """Read good time intervals as a table with the columns ``start`` and ``stop`` (Time)."""
    columns = quantities_of(hdu, hdu.read_columns())
    missing = [name for name in ("START", "STOP") if name not in columns]
    if missing:
        raise EventFileError(f"{hdu.where} lacks the columns {missing}; it has {list(columns)}.")
    reference = read_time_reference(hdu.header, where=hdu.where)
    start, stop = (_to_seconds(columns[name], hdu) for name in ("START", "STOP"))
    length = stop - start
    if not len(length) or not np.all(np.isfinite(length)) or np.any(length < 0):
        raise EventFileError(
            f"{hdu.where} must hold intervals with STOP >= START, got {len(length)} rows with "
            f"lengths {length[:4]} s. Leave the run out with obs_ids=."
        )
    if not length.sum() > 0:
        raise EventFileError(
            f"{hdu.where} must hold some live time, got {len(length)} intervals of zero length. "
            "Leave the run out with obs_ids=."
        )
    times = make_time(np.stack([start, stop]), reference)
    meta = describe_contents(hdu.header)
    return QTable({"start": times[0], "stop": times[1]}, meta=meta, copy=False)


def read_run(
    path: Path, *, events_name: str = "EVENTS", gti_name: str = "GTI"
) -> tuple[QTable, QTable]:
    """Read the events and good time intervals of one run and stop there."""
    events = gti = None
    found: list[str] = []
    with open_stream(path) as stream:
        for hdu in iter_hdus(path, stream):
            found.append(hdu.name or "PRIMARY")
            if events is None and hdu.matches(events_name):
                raw = _read_rows(hdu, path.name)
                events = build_table(raw, where=hdu.where, required=REQUIRED)
            elif gti is None and hdu.matches(gti_name):
                gti = read_gti(hdu)
            if events is not None and gti is not None:
                return finish_table(events, where=path.name), gti
    raise EventFileError(
        f"{path.name} must have the tables {events_name} and {gti_name}, got the HDUs {found}. "
        "It is a FITS file, but not an event list."
    )


def write_fits(table: QTable, path: Path) -> None:
    """Write an event list, and the good time interval when ``meta`` has TSTART and TSTOP."""
    events = make_events_hdu(table)
    hdus = [fits.PrimaryHDU(), events]
    header = events.header
    if {"TSTART", "TSTOP"} <= set(header):
        interval = Table({"START": [header["TSTART"]] * u.s, "STOP": [header["TSTOP"]] * u.s})
        clock = {key: header[key] for key in ("MJDREFI", "MJDREFF", "TIMEUNIT", "TIMESYS")}
        names = {"EXTNAME": "GTI", "HDUCLASS": "GADF", "HDUCLAS1": "GTI"}
        hdus.append(make_hdu(interval, clock | names))
    fits.HDUList(hdus).writeto(path)


def make_events_hdu(table: QTable) -> fits.BinTableHDU:
    """Make the EVENTS table, with the keywords of GADF that ``meta`` has.

    Times are elapsed seconds since MJDREFI + MJDREFF of ``meta``, in the scale of the column; a
    fixed reference when ``meta`` has none.
    """
    check_columns(table.colnames, REQUIRED, where="the table")
    time = table["time"]
    if not isinstance(time, Time):
        raise ValueError(f"time must be a Time column, got {type(time).__name__}.")
    header = {key: value for key, value in table.meta.items() if key.isupper() and len(key) <= 8}
    header |= {"EXTNAME": "EVENTS", "HDUCLASS": "GADF", "HDUCLAS1": "EVENTS"}
    header = {**DEFAULT_REFERENCE, **header, "TIMESYS": time.scale.upper(), "TIMEUNIT": "s"}
    reference = read_time_reference(header, where="meta")
    columns = Table()
    to_file = {target: name for name, target in NAMES.items()}
    for name in table.colnames:
        if name == "obs_id":  # one run per file: it goes into the header
            header["OBS_ID"] = _get_one(table[name], header.get("OBS_ID"))
        elif name == "time":
            seconds = (time - reference).to_value("sec")
            columns["TIME"] = np.ma.filled(seconds, np.nan) * u.s
        else:
            columns[to_file.get(name, name)] = _get_storable(table[name])
    return make_hdu(columns, header)


def _get_one(obs_ids: Any, known: Any) -> Any:
    values = np.unique(np.asarray(obs_ids)).tolist()
    if len(values) > 1:
        raise ValueError(
            f"obs_id must be one run per GADF file, got {values[:8]}. "
            "Write one file per run, or Parquet or HDF5."
        )
    return values[0] if values else known


def _get_storable(column: Any) -> Any:
    """Masked numbers become NaN in FITS; masked integers keep their mask as TNULL."""
    if isinstance(column, Masked):
        return column.filled(np.nan)
    if isinstance(column, MaskedColumn) and column.dtype.kind == "f":
        return column.filled(np.nan)
    return column


def make_hdu(columns: Table, header: Header) -> fits.BinTableHDU:
    """Make a binary table with these keywords; what FITS has no word for is left out."""
    hdu = fits.table_to_hdu(columns)
    for key, value in header.items():
        if value is None or (isinstance(value, float) and not np.isfinite(value)):
            continue
        if isinstance(value, (bool, int, float, str)):
            hdu.header[key] = value
    return hdu


def read_header(path: Path, name: str) -> Header:
    """Read the header of one HDU without reading its data."""
    with open_stream(path) as stream:
        for hdu in iter_hdus(path, stream):
            if hdu.matches(name):
                return hdu.header
    raise EventFileError(f"{path.name} must have an HDU {name}, got none.")


def list_hdus(path: Path) -> list[TableHDU]:
    """Walk the whole file and return its HDUs (their headers; the data is passed over)."""
    with open_stream(path) as stream:
        hdus = list(iter_hdus(path, stream))
        drain(stream)
    return hdus


def read_table(path: Path, name: str) -> dict[str, Any]:
    """Read one whole table: column name -> array or Quantity."""
    with open_stream(path) as stream:
        for hdu in iter_hdus(path, stream):
            if hdu.matches(name):
                return quantities_of(hdu, hdu.read_columns())
    raise EventFileError(f"{path.name} must have an HDU {name}, got none.")
