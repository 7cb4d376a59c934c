"""One light curve or thousands, seen alike: the steps of each object, and notes about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import astropy.units as u
import numpy as np
from astropy.time import Time

from .._validation import check_real
from .curves import LightCurve, LightCurves

Curves = TypeVar("Curves", LightCurve, LightCurves)


@dataclass(frozen=True)
class Steps:
    """Steps of one object: days since its first step, band codes, and the rows they come from.

    ``used`` are those not masked whose value and error are numbers.
    """

    rows: slice
    days: np.ndarray
    value: np.ndarray
    error: np.ndarray | None
    band: np.ndarray
    used: np.ndarray

    def split_bands(self) -> list[np.ndarray]:
        """Rows of each band within the object, in time order."""
        return [np.flatnonzero(self.band == code) for code in np.unique(self.band)]


def count_days(time: Time, since: Time) -> np.ndarray:
    """Difference of the dates as they read, without the leap seconds between them.

    Period searches work on dates: phases must too.
    """
    return (time.jd1 - since.jd1) + (time.jd2 - since.jd2)


def add_days(time: Time, days: np.ndarray | float) -> Time:
    """Return one time moved by dates as they read."""
    days = np.asarray(days, dtype=float)
    moved = Time(np.full(days.shape, time.jd1), time.jd2 + days, format="jd", scale=time.scale)
    moved.format = time.format
    return moved


def split_objects(curves: LightCurve | LightCurves) -> Iterator[Steps]:
    """Return the steps of one object after the other."""
    if isinstance(curves, LightCurve):
        band = None
        if curves.band is not None:
            band = np.unique(np.asarray(curves.band), return_inverse=True)[1]
        days = count_days(curves.time, curves.time[0]) if len(curves) else np.zeros(0)
        error = None if curves.error is None else curves.error.value
        mask = np.asarray(curves.mask)
        yield _make(slice(0, len(curves)), days, curves.value.value, error, band, mask)
        return
    for first, last in zip(curves.offsets[:-1], curves.offsets[1:], strict=True):
        rows = slice(int(first), int(last))
        error, band = (None if part is None else part[rows] for part in (curves.error, curves.band))
        days = curves.time[rows] - (curves.time[first] if last > first else 0.0)
        yield _make(rows, days, curves.value[rows], error, band, curves.mask[rows])


def _make(
    rows: slice,
    days: np.ndarray,
    value: np.ndarray,
    error: np.ndarray | None,
    band: np.ndarray | None,
    mask: np.ndarray,
) -> Steps:
    used = ~mask & np.isfinite(value)
    if error is not None:
        used &= np.isfinite(error) & (error > 0)
    band = np.zeros(len(days), dtype=int) if band is None else band
    return Steps(rows, days, value, error, band, used)


def take_values(curves: LightCurve | LightCurves) -> np.ndarray:
    """Values of all steps, without unit."""
    return curves.value.value if isinstance(curves, LightCurve) else curves.value


def is_magnitude(curves: LightCurve | LightCurves) -> bool:
    """Whether larger values are fainter."""
    unit = curves.value.unit if isinstance(curves, LightCurve) else u.Unit(curves.unit)
    return getattr(unit, "function_unit", unit) == u.mag


def to_days(name: str, value: Any) -> float:
    """Positive days from a number of them or a quantity."""
    days = value.to_value("day") if isinstance(value, u.Quantity) else value
    return float(check_real(name, days, above=0))


def add_notes(curves: Curves, **notes: Any) -> Curves:
    """Say something of each object: in ``meta`` of one, as columns of ``objects`` of many.

    A note is one entry for all objects, or an array with one for each.
    """
    if isinstance(curves, LightCurve):
        plain = {key: np.asarray(value).ravel()[0].item() for key, value in notes.items()}
        return replace(curves, meta={**curves.meta, **plain})
    objects = curves.objects.copy()
    for key, value in notes.items():
        objects[key] = np.broadcast_to(np.asarray(value), len(curves)).copy()
    return replace(curves, objects=objects)


def mask_steps(curves: Curves, found: np.ndarray, key: str) -> Curves:
    """Mask what was found and was used so far; its number is added to the note ``key``."""
    new = found & ~np.asarray(curves.mask)
    counts = np.array([new[steps.rows].sum() for steps in split_objects(curves)], dtype=int)
    if isinstance(curves, LightCurve):
        before = curves.meta.get(key, 0)
    else:
        before = np.asarray(curves.objects[key]) if key in curves.objects.colnames else 0
    masked = replace(curves, mask=np.asarray(curves.mask) | new)
    return add_notes(masked, **{key: counts + before})
