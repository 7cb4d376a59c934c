"""One light curve: its steps with time scale, errors, band, mask and upper limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.time import Time

from .._validation import check_same_length


@dataclass(frozen=True, eq=False)
class LightCurve:
    """One object's brightness over time.

    Parameters
    ----------
    time : `~astropy.time.Time`, shape (n,)
        Ascending; its scale is kept.
    value : `~astropy.units.Quantity`, shape (n,)
        Magnitude or flux.
    error : `~astropy.units.Quantity`, shape (n,), optional
        One standard deviation, in the unit of ``value``.
    band : ndarray of str, shape (n,), optional
    mask : ndarray of bool, shape (n,)
        Which steps not to use; they stay where they are.
    name : str
    meta : mapping
        Whatever else is known: position, label, origin; ``limit_confidence``, where the file says
        it, is what a limit holds at.
    limit : ndarray of bool, shape (n,), optional
        Steps whose value is an upper limit. They are masked too, so that whatever knows nothing
        of limits leaves them out; a model of censored data reads this.
    """

    time: Time
    value: u.Quantity
    error: u.Quantity | None = None
    band: np.ndarray | None = None
    mask: np.ndarray | None = None
    name: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    limit: np.ndarray | None = None

    def __post_init__(self) -> None:
        mask = np.zeros(len(self.time), dtype=bool) if self.mask is None else np.asarray(self.mask)
        object.__setattr__(self, "mask", mask.astype(bool))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))
        check_same_length(
            time=self.time, value=self.value, error=self.error, band=self.band, mask=self.mask,
            limit=self.limit,
        )  # fmt: skip
        mask_limits(self)
        if self.error is not None and self.error.unit != self.value.unit:
            raise ValueError(
                f"error must be in the unit of value, {self.value.unit}, got {self.error.unit}."
            )

    def __len__(self) -> int:
        return len(self.time)

    @property
    def n_masked(self) -> int:
        """Steps that are not used."""
        return int(np.asarray(self.mask).sum())

    @property
    def n_limits(self) -> int:
        """Steps whose value is an upper limit; they count among the masked."""
        return 0 if self.limit is None else int(self.limit.sum())

    def __str__(self) -> str:
        text = f"{self.name or 'light curve'}: {len(self)} steps"
        text += count_masked(self.n_masked, self.n_limits)
        if self.band is not None:
            text += f", bands {', '.join(map(str, np.unique(self.band)))}"
        if len(self):
            days = (self.time[-1] - self.time[0]).to_value("day")
            text += f", {days:.1f} days ({self.time.format} {self.time.scale})"
        return text

    def select(self, rows: Any) -> LightCurve:
        """Return some of the steps: a boolean mask, indices or a slice."""
        error, band, mask, limit = (
            None if part is None else part[rows]
            for part in (self.error, self.band, self.mask, self.limit)
        )
        return replace(
            self, time=self.time[rows], value=self.value[rows], error=error, band=band, mask=mask,
            limit=limit,
        )  # fmt: skip

    def drop_masked(self) -> LightCurve:
        """Return the steps that are used."""
        return self.select(~np.asarray(self.mask))

    def to_table(self) -> QTable:
        """Return one row per step, for astropy and for eyes."""
        table = QTable({"time": self.time, "value": self.value})
        for name in ("error", "band", "mask", "limit"):
            if (column := getattr(self, name)) is not None:
                table[name] = column
        table.meta.update(self.meta, name=self.name)
        return table

    @classmethod
    def from_timeseries(
        cls,
        series: Any,
        *,
        value: str | None = None,
        error: str | None = None,
        unit: str | None = None,
    ) -> LightCurve:
        """Take a series of astropy, binned or not; bins become steps at their centres.

        Columns ``band``, ``mask``, ``limit`` and ``quality`` (not 0: masked) are known by name.
        Steps without a time are gaps and counted in ``meta["dropped"]``; those without a value, or
        without an error above 0, are masked. Bins of one length say it as ``meta["bin_days"]``.

        Parameters
        ----------
        series : `~astropy.timeseries.TimeSeries` or `~astropy.timeseries.BinnedTimeSeries`
            Of n rows, in any order.
        value : str, optional
            Column of magnitude or flux; "value", "flux" or "mag" are found.
        error : str, optional
            Its error; "error", "<value>_err", "<value>err" and "<value>_error" are found.
        unit : str, optional
            Of values whose column has none.

        Returns
        -------
        LightCurve
            In time order, with the scale of the series.

        Raises
        ------
        ValueError
            For columns that are missing, a value without unit where ``unit`` is not said, and a
            series without times.

        Examples
        --------
        >>> from astropy.timeseries import TimeSeries
        >>> time = Time([58001.0, 58000.0], format="mjd", scale="tdb")
        >>> series = TimeSeries(time=time, data={"flux": [1.0, 2.0] * u.mJy})
        >>> LightCurve.from_timeseries(series).value
        <Quantity [2., 1.] mJy>
        """
        from .interop import from_timeseries

        return from_timeseries(series, value=value, error=error, unit=unit)

    def to_timeseries(self) -> Any:
        """Return a `~astropy.timeseries.TimeSeries` of the n steps.

        It has the columns time, with its scale, and value, and those of error, band, mask and
        limit that there are; ``meta`` has the name.
        """
        from .interop import to_timeseries

        return to_timeseries(self)

    @classmethod
    def from_lightkurve(cls, curve: Any, *, quality: str | int = "default") -> LightCurve:
        """Take a light curve of lightkurve.

        Parameters
        ----------
        curve : ``lightkurve.LightCurve``
            With flux, flux_err, and perhaps quality, band and limit.
        quality : {"default", "any", "none"} or int
            Which quality bits mask a step, as in `read_lightcurves`.

        Returns
        -------
        LightCurve
            Times in their format and scale, the label as name.
        """
        from .interop import from_lightkurve

        return from_lightkurve(curve, quality=quality)

    def to_lightkurve(self) -> Any:
        """Return a ``lightkurve.LightCurve``; masked steps have ``quality`` 1.

        Raises
        ------
        ImportError
            Without lightkurve, with the command that installs it.
        """
        from .interop import to_lightkurve

        return to_lightkurve(self)


def mask_limits(curves: Any) -> None:
    """Keep the promise that a limit is masked, whoever made the object."""
    if curves.limit is not None:
        limit = np.asarray(curves.limit, dtype=bool)
        object.__setattr__(curves, "limit", limit)
        object.__setattr__(curves, "mask", np.asarray(curves.mask) | limit)


def count_masked(n_masked: int, n_limits: int) -> str:
    """What a line about light curves says of steps that are not used."""
    text = f", {n_masked} masked" if n_masked else ""
    return f"{text}, {n_limits} upper limits" if n_limits else text
