"""A light curve, and thousands of them as columns, so that nothing loops over objects in vain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.time import Time

from .._validation import check_same_length
from ._light_curve import LightCurve, count_masked, mask_limits

SCALES = ("utc", "tdb", "tt", "tai", "tcb", "tcg", "ut1")
# Days to add to what missions count from a date of their own, all of them barycentric TDB.
OFFSETS = {"jd": 0.0, "mjd": 2_400_000.5, "btjd": 2_457_000.0, "bkjd": 2_454_833.0}


@dataclass(frozen=True, eq=False)
class LightCurves(Sequence[LightCurve]):
    """Many light curves as one set of columns; those of an object lie together, in time order.

    Parameters
    ----------
    time : ndarray of float, shape (n_steps,)
        Days in ``time_format`` and ``time_scale``.
    value, error : ndarray of float, shape (n_steps,)
        In ``unit``; ``error`` may be None.
    band : ndarray of int, shape (n_steps,), optional
        Index into ``bands``.
    mask : ndarray of bool, shape (n_steps,)
        Which steps not to use.
    offsets : ndarray of int, shape (n_objects + 1,)
        Where each object begins; the last one is n_steps.
    objects : `~astropy.table.Table`
        One row per object, with ``name`` and whatever else is known.
    unit : str
        "mag" or a flux unit.
    time_format : {"mjd", "jd", "btjd", "bkjd"}
    time_scale : {"utc", "tdb", "tt", "tai", "tcb", "tcg", "ut1"}
    bands : tuple of str
    limit : ndarray of bool, shape (n_steps,), optional
        Steps whose value is an upper limit; they are masked too, see `LightCurve`.

    Examples
    --------
    >>> steps = {"name": ["a", "a", "b"], "time": [2.0, 1.0, 5.0], "value": [14.1, 14.0, 12.0]}
    >>> curves = LightCurves.from_columns(**steps, unit="mag", time_format="mjd",
    ...                                   time_scale="utc")
    >>> len(curves), curves["a"].value.value.tolist()
    (2, [14.0, 14.1])
    """

    time: np.ndarray
    value: np.ndarray
    error: np.ndarray | None
    band: np.ndarray | None
    mask: np.ndarray
    offsets: np.ndarray
    objects: Table
    unit: str
    time_format: str
    time_scale: str
    bands: tuple[str, ...] = ()
    limit: np.ndarray | None = None

    def __post_init__(self) -> None:
        check_same_length(
            time=self.time, value=self.value, error=self.error, band=self.band, mask=self.mask,
            limit=self.limit,
        )  # fmt: skip
        mask_limits(self)

    @classmethod
    def from_columns(
        cls,
        *,
        name: Any,
        time: Any,
        value: Any,
        error: Any = None,
        band: Any = None,
        mask: Any = None,
        limit: Any = None,
        unit: str,
        time_format: str,
        time_scale: str,
    ) -> LightCurves:
        """Sort steps by object and time.

        Steps whose time is not finite are refused; those whose value or error is not, or whose
        error is not above 0, are masked, and so are upper limits. A limit without a value is
        none.

        Raises
        ------
        ValueError
            For lengths that differ, an unknown unit, format or scale, or a time that is not
            finite.
        """
        if time_format not in OFFSETS:
            raise ValueError(f"time_format must be one of {list(OFFSETS)}, got {time_format!r}.")
        if time_scale not in SCALES:
            raise ValueError(f"time_scale must be one of {list(SCALES)}, got {time_scale!r}.")
        u.Unit(unit)
        check_same_length(
            name=name, time=time, value=value, error=error, band=band, mask=mask, limit=limit
        )
        days = np.asarray(time, dtype=np.float64)
        if not np.isfinite(days).all():
            raise ValueError(
                f"time must be finite, got {int((~np.isfinite(days)).sum())} steps that are not. "
                "Drop them."
            )
        names, code = np.unique(np.asarray(name), return_inverse=True)
        order = np.lexsort((days, code))
        values = np.asarray(value, dtype=np.float64)[order]
        bad = ~np.isfinite(values)
        if mask is not None:
            bad |= np.asarray(mask, dtype=bool)[order]
        errors = None
        if error is not None:
            errors = np.asarray(error, dtype=np.float64)[order]
            bad |= ~(np.isfinite(errors) & (errors > 0))
        limits = None
        if limit is not None:
            limits = np.asarray(limit, dtype=bool)[order] & np.isfinite(values)
        bands: tuple[str, ...] = ()
        codes = None
        if band is not None:
            labels, codes = np.unique(np.asarray(band).astype(str), return_inverse=True)
            bands, codes = tuple(labels.tolist()), codes[order].astype(np.int16)
        offsets = np.searchsorted(code[order], np.arange(len(names) + 1))
        return cls(
            days[order], values, errors, codes, bad, offsets, Table({"name": names}), unit,
            time_format, time_scale, bands, limits,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def names(self) -> np.ndarray:
        """Name of each object."""
        return np.asarray(self.objects["name"])

    @property
    def n_steps(self) -> np.ndarray:
        """Steps of each object, masked ones included."""
        return np.diff(self.offsets)

    @property
    def n_masked(self) -> int:
        """Steps that are not used."""
        return int(self.mask.sum())

    @property
    def n_limits(self) -> int:
        """Steps whose value is an upper limit; they count among the masked."""
        return 0 if self.limit is None else int(self.limit.sum())

    def __str__(self) -> str:
        text = f"{len(self)} light curves, {len(self.time)} steps in {self.unit or 'no unit'}"
        text += count_masked(self.n_masked, self.n_limits)
        if self.bands:
            text += f", bands {', '.join(self.bands)}"
        return f"{text}, time {self.time_format} {self.time_scale}"

    @classmethod
    def from_lightkurve(
        cls, collection: Iterable[Any], *, quality: str | int = "default"
    ) -> LightCurves:
        """Take light curves of lightkurve, which must have one time scale and kind of unit.

        The second and later curves of one label get a number; gaps are left out and counted.
        """
        from .interop import curves_from_lightkurve

        return curves_from_lightkurve(collection, quality=quality)

    def to_lightkurve(self) -> Any:
        """Return a ``LightCurveCollection``."""
        from .interop import import_lightkurve, to_lightkurve

        return import_lightkurve().LightCurveCollection([to_lightkurve(one) for one in self])

    def __getitem__(self, key: Any) -> Any:
        """One light curve by number or name, or several by slice, mask or numbers."""
        if isinstance(key, slice) or np.ndim(key):
            return self.select(key)
        if isinstance(key, str):
            found = np.flatnonzero(self.names.astype(str) == key)
            if len(found) != 1:
                raise KeyError(f"there must be one light curve named {key!r}, got {len(found)}.")
            key = found[0]
        number = range(len(self))[key]
        return self._make(number)

    def __iter__(self) -> Iterator[LightCurve]:
        return (self._make(number) for number in range(len(self)))

    def _make(self, number: int) -> LightCurve:
        rows = slice(self.offsets[number], self.offsets[number + 1])
        days = self.time[rows]
        row = self.objects[number]
        unit = u.Unit(self.unit)
        offset = OFFSETS[self.time_format]
        time = (
            Time(days, format=self.time_format, scale=self.time_scale)
            if self.time_format in ("jd", "mjd")
            else Time(np.full(len(days), offset), days, format="jd", scale=self.time_scale)
        )
        return LightCurve(
            time,
            self.value[rows] * unit,
            None if self.error is None else self.error[rows] * unit,
            None if self.band is None else np.array(self.bands)[self.band[rows]],
            self.mask[rows],
            str(row["name"]),
            {key: _plain(row[key]) for key in self.objects.colnames if key != "name"},
            None if self.limit is None else self.limit[rows],
        )

    def select(self, objects: Any) -> LightCurves:
        """Return some of the objects: a boolean mask, numbers or a slice."""
        if np.ndim(objects) and np.asarray(objects).dtype == bool:
            check_same_length(objects=objects, light_curves=self.objects)
        chosen = np.arange(len(self))[objects]
        n = self.n_steps[chosen]
        offsets = np.concatenate([[0], np.cumsum(n)])
        rows = np.repeat(self.offsets[chosen] - offsets[:-1], n) + np.arange(offsets[-1])
        error, band, limit = (
            None if part is None else part[rows] for part in (self.error, self.band, self.limit)
        )
        return replace(
            self, time=self.time[rows], value=self.value[rows], error=error, band=band,
            mask=self.mask[rows], offsets=offsets, objects=self.objects[chosen], limit=limit,
        )  # fmt: skip

    def add_columns(self, table: Table, *, name: str = "name") -> LightCurves:
        """Return a copy whose objects have the columns of a table, matched by name.

        Raises
        ------
        ValueError
            When an object is not in the table, or is there twice.
        """
        keys = np.asarray(table[name]).astype(str)
        order = np.argsort(keys, kind="stable")
        wanted = self.names.astype(str)
        place = np.clip(np.searchsorted(keys[order], wanted), 0, max(len(keys) - 1, 0))
        if len(keys) == 0 or np.any(keys[order][place] != wanted):
            missing = wanted if len(keys) == 0 else wanted[keys[order][place] != wanted]
            raise ValueError(
                f"table must have every object, got none for {len(missing)}, {missing[:3].tolist()}"
                " first. Select those that it has."
            )
        if len(np.unique(keys)) < len(keys):
            raise ValueError("table must have every object once. Drop the repeated rows.")
        rows = table[order[place]]
        joined = self.objects.copy()
        for column in table.colnames:
            if column != name:
                joined[column] = rows[column]
        return replace(self, objects=joined)


def _plain(value: Any) -> Any:
    """A number or text of Python for one of NumPy."""
    return value.item() if isinstance(value, np.generic) else value
