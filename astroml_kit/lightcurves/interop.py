"""Light curves to and from astropy's time series and lightkurve, times and masks kept."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import astropy.units as u
import numpy as np
from astropy.time import Time

from .._validation import check_columns, import_extra
from ._readers.columns import flag_bits
from ._readers.fits import QUALITY_BITS, find_mission
from ._readers.steps import (
    FileSteps,
    ReadOptions,
    convert_steps,
    drop_rows_without_time,
    find_frame,
    join_steps,
)
from .curves import OFFSETS, SCALES, LightCurve, LightCurves

# Columns of a series that are looked for when nobody names them.
VALUES = ("value", "flux", "mag")
ERRORS = ("error", "{}_err", "{}err", "{}_error")


def to_timeseries(curve: LightCurve) -> Any:
    """One row per step as `~astropy.timeseries.TimeSeries`; see `LightCurve.to_timeseries`."""
    from astropy.timeseries import TimeSeries

    series = TimeSeries(time=curve.time)
    for name in ("value", "error", "band", "mask", "limit"):
        if (column := getattr(curve, name)) is not None:
            series[name] = column
    series.meta.update(curve.meta, name=curve.name)
    return series


def from_timeseries(
    series: Any, *, value: str | None = None, error: str | None = None, unit: str | None = None
) -> LightCurve:
    """Take a time series, binned or not; see `LightCurve.from_timeseries`."""
    meta = dict(series.meta)
    if "time_bin_start" in series.colnames:
        time = series.time_bin_center
        days = series["time_bin_size"].to_value("day")
        if len(days) and np.allclose(days, days[0], rtol=1e-9, atol=0):
            meta["bin_days"] = float(days[0])
    else:
        time = series.time
    value = value or next((name for name in VALUES if name in series.colnames), None)
    if value is None:
        raise ValueError(
            f"value must be a column of the series, got none; it has {series.colnames}. Name it."
        )
    choices = [name.format(value) for name in ERRORS]
    error = error or next((name for name in choices if name in series.colnames), None)
    check_columns(series.colnames, [value, *([error] if error else [])], where="the series")
    amount = _to_quantity(series[value], unit, name=value)
    spread = None
    if error:
        spread = _to_quantity(series[error], str(amount.unit), name=error)
        if spread.unit.is_equivalent(amount.unit):  # a light curve refuses others
            spread = spread.to(amount.unit)
    columns: dict[str, Any] = {
        name: np.asarray(np.ma.filled(np.ma.asarray(series[name]), fill))
        for name, fill in (("band", ""), ("mask", True), ("limit", False))
        if name in series.colnames
    }
    if "quality" in series.colnames and "mask" not in columns:
        columns["mask"] = np.ma.filled(np.ma.asarray(series["quality"]), 1) != 0
    return _make_curve(time, amount, spread, meta, **columns)


def _make_curve(
    time: Time,
    value: u.Quantity,
    error: u.Quantity | None,
    meta: dict[str, Any],
    *,
    band: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    limit: np.ndarray | None = None,
) -> LightCurve:
    """Sort by time, leave out steps without one, and mask what cannot be used."""
    days = _plain_days(time)
    rows = np.argsort(days, kind="stable")
    rows = rows[np.isfinite(days[rows])]
    if not len(rows):
        raise ValueError(f"time must hold steps with a time, got {len(days)} without.")
    if len(rows) < len(days):
        meta["dropped"] = {"no time": len(days) - len(rows)}
    bad = ~np.isfinite(value.value)
    if error is not None:
        bad |= ~(np.isfinite(error.value) & (error.value > 0))
    if mask is not None:
        bad |= mask.astype(bool)
    name = str(meta.pop("name", meta.get("LABEL", "") or ""))
    curve = LightCurve(_plain_time(time), value, error, band, bad, name, meta, limit)
    return curve.select(rows)


def _plain_time(time: Time) -> Time:
    """The same times without a mask: a masked one is NaN and goes."""
    return time.unmasked if hasattr(time, "unmasked") and np.any(time.masked) else time


def _plain_days(time: Time) -> np.ndarray:
    """Days for sorting; NaN where a time is masked."""
    return np.asarray(np.ma.filled(np.ma.asarray(time.jd, dtype=float), np.nan), dtype=float)


def _to_quantity(column: Any, unit: str | None, *, name: str) -> u.Quantity:
    """A column as plain quantity, NaN where masked."""
    said = getattr(column, "unit", None)
    if said is None and unit is None:
        raise ValueError(f"unit must be said for the column {name!r}, got None.")
    mask = np.asarray(getattr(column, "mask", False))
    plain = getattr(column, "unmasked", column)
    values = np.array(plain.value if hasattr(plain, "value") else plain, dtype=np.float64)
    if mask.any():
        values[np.broadcast_to(mask, values.shape)] = np.nan
    return u.Quantity(values, said if said is not None else u.Unit(unit or ""))


def to_lightkurve(curve: LightCurve) -> Any:
    """One light curve for lightkurve; see `LightCurve.to_lightkurve`."""
    lightkurve = import_lightkurve()
    made = lightkurve.LightCurve(time=curve.time, flux=curve.value, flux_err=curve.error)
    made["quality"] = np.asarray(curve.mask, dtype=np.int32)
    for name in ("band", "limit"):
        if (column := getattr(curve, name)) is not None:
            made[name] = column
    made.meta.update(curve.meta)
    made.meta["LABEL"] = curve.name
    return made


def from_lightkurve(curve: Any, *, quality: str | int = "default") -> LightCurve:
    """Take a light curve of lightkurve; see `LightCurve.from_lightkurve`."""
    steps = steps_from_lightkurve(
        curve, ReadOptions(quality=quality), stem="", where="the light curve", keep_gaps=True
    )
    meta = {key: value for key, value in curve.meta.items() if key != "QUALITY_MASK"}
    label = str(meta.pop("LABEL", "") or "")
    unit = u.Unit(steps.unit)
    return _make_curve(
        curve.time, steps.value * unit, None if steps.error is None else steps.error * unit,
        {**meta, "name": label}, band=steps.band, mask=steps.flagged, limit=steps.limit,
    )  # fmt: skip


def curves_from_lightkurve(
    collection: Iterable[Any], *, quality: str | int = "default"
) -> LightCurves:
    """Take a collection of lightkurve; see `LightCurves.from_lightkurve`."""
    options = ReadOptions(quality=quality)
    parts = []
    for number, curve in enumerate(collection):
        label = str(curve.meta.get("LABEL", "") or f"curve {number}")
        parts.append(steps_from_lightkurve(curve, options, stem=label, where=label))
    if not parts:
        raise ValueError("collection must hold light curves, got none.")
    frame = find_frame(parts[0], options)
    parts = [convert_steps(part, frame) for part in parts]
    _number_repeated(parts)
    return join_steps(parts, frame)


def _number_repeated(parts: list[FileSteps]) -> None:
    """Sectors of one star are curves of their own, so their names get a number."""
    seen: dict[str, int] = {}
    for part in parts:
        name = str(part.names[0])
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            part.names = np.array([f"{name} #{seen[name]}"])


def import_lightkurve() -> ModuleType:
    """Import lightkurve, or say how to install it."""
    with warnings.catch_warnings():
        # On import it tells of optional parts of its own that are not installed.
        warnings.simplefilter("ignore", UserWarning)
        return import_extra("lightkurve", extra="lightcurves")


def steps_from_lightkurve(
    curve: Any, options: ReadOptions, *, stem: str, where: str, keep_gaps: bool = False
) -> FileSteps:
    """Steps of a light curve of lightkurve, its quality bits as mask."""
    time_format = curve.time.format if curve.time.format in ("btjd", "bkjd", "mjd", "jd") else "mjd"
    if curve.time.scale not in SCALES:
        raise ValueError(f"time must have a scale of {list(SCALES)}, got {curve.time.scale!r}.")
    jd1: np.ndarray = np.ma.filled(np.ma.asarray(curve.time.jd1, float), np.nan)
    jd2: np.ndarray = np.ma.filled(np.ma.asarray(curve.time.jd2, float), np.nan)
    days = (jd1 - OFFSETS[time_format]) + jd2
    flux = _to_quantity(curve.flux, "", name="flux")
    error = _to_quantity(curve.flux_err, "", name="flux_err")
    band, limit = (
        np.asarray(curve[name]) if name in curve.colnames else None for name in ("band", "limit")
    )
    flagged = None
    mission = find_mission({key: curve.meta.get(key, "") for key in ("MISSION", "TELESCOP")})
    if "quality" in curve.colnames:
        bits = np.ma.filled(np.ma.asarray(curve["quality"]), 0).astype(np.int64)
        flagged = flag_bits(bits, options.quality, default=QUALITY_BITS.get(mission))
    meta = curve.meta
    known: dict[str, Any] = {"target": [str(meta.get("OBJECT") or stem)], "mission": [mission]}
    for name in ("ra", "dec"):
        known[name] = [float(np.nan if meta.get(name.upper()) is None else meta[name.upper()])]
    steps = FileSteps(
        days, flux.value, flux.unit.to_string(), time_format, curve.time.scale, np.array([stem]),
        np.zeros(len(days), dtype=np.int64), None if np.isnan(error.value).all() else error.value,
        band, flagged, limit, known, reader="lightkurve",
    )  # fmt: skip
    return steps if keep_gaps else drop_rows_without_time(steps, where=where)
