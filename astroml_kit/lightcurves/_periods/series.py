"""Steps of one object made ready for a period search: bands on one scale, outliers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..curves import LightCurve, LightCurves

# In units of the scatter of a band: how bands differ from one shape (JITTER), and how one cycle
# differs from the next for all bands that are observed together (COMMON).
JITTER, COMMON = 0.1, 0.1
LEAST = 8  # steps
TOGETHER = 1 / 48  # days
# Percentiles; outliers are half of what lies between beyond them. Eclipses that last a twentieth
# of the period are no outliers.
USUAL = (2, 98)


@dataclass(frozen=True)
class Series:
    """Steps of one object in time order, bands brought to one mean and scatter.

    ``first`` has where each epoch begins, and the number of steps as its last element.
    """

    time: np.ndarray
    value: np.ndarray
    error: np.ndarray
    band: np.ndarray
    first: np.ndarray

    @property
    def baseline(self) -> float:
        """Days."""
        return float(self.time[-1] - self.time[0]) if len(self.time) else 0.0

    @property
    def n_bands(self) -> int:
        """Bands with a step that is used."""
        return int(self.band.max()) + 1 if len(self.band) else 0

    @property
    def total_error(self) -> np.ndarray:
        """Standard deviation of each step, by itself and with its epoch."""
        return np.hypot(self.error, COMMON)


def gather_curves(curves: LightCurve | LightCurves) -> LightCurves:
    """Return light curves as columns, whatever they came as."""
    if isinstance(curves, LightCurves):
        return curves
    bands = None if curves.band is None else np.asarray(curves.band)
    return LightCurves.from_columns(
        name=np.full(len(curves), curves.name or "0"), time=curves.time.jd1 - 2_400_000.5
        + curves.time.jd2, value=curves.value.value,
        error=None if curves.error is None else curves.error.value, band=bands, mask=curves.mask,
        unit=curves.value.unit.to_string(), time_format="mjd", time_scale=curves.time.scale,
    )  # fmt: skip


def prepare_series(curves: LightCurves, number: int, period_min: float) -> Series:
    """Used steps with each band centred and scaled by its intrinsic scatter, far outliers out."""
    rows = slice(curves.offsets[number], curves.offsets[number + 1])
    used = ~curves.mask[rows]
    time, value = curves.time[rows][used], curves.value[rows][used].copy()
    error = np.zeros(len(time)) if curves.error is None else curves.error[rows][used].copy()
    band = np.zeros(len(time), dtype=np.int64)
    if curves.band is not None:
        band = np.unique(curves.band[rows][used], return_inverse=True)[1]
    keep = np.ones(len(time), dtype=bool)
    for which in range(band.max() + 1 if len(band) else 0):
        own = band == which
        value[own] -= np.median(value[own])  # a constant is exactly 0 from here on
        low, high = np.percentile(value[own], USUAL)
        reach = 0.5 * (high - low)
        own &= (value >= low - reach) & (value <= high + reach)
        keep[band == which] = own[band == which]
        noise = np.mean(error[own] ** 2)
        variance = value[own].var()
        # errors may be overestimated: at least a part of the scatter is the star's
        scale = np.sqrt(max(variance - noise, 0.04 * variance)) or 1.0
        value[own] = (value[own] - value[own].mean()) / scale
        error[own] /= scale
    time, band = time[keep], band[keep]
    band = np.unique(band, return_inverse=True)[1] if len(band) else band
    start = time.min() if len(time) else 0.0
    return Series(
        time - start, value[keep], np.hypot(error[keep], JITTER), band,
        split_epochs(time, min(TOGETHER, period_min / 5)),
    )  # fmt: skip


def split_epochs(time: np.ndarray, longest: float) -> np.ndarray:
    """Where each epoch begins, none of them longer than ``longest``; the last one is the end."""
    after = np.searchsorted(time, time + longest, "right").tolist()
    first, at = [], 0
    while at < len(time):
        first.append(at)
        at = after[at]
    return np.array([*first, len(time)], dtype=np.int64)
