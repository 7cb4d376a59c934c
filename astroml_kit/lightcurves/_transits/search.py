"""From a light curve to the best box: its trend taken out, its noise measured, a grid laid."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..._validation import check_real, import_extra, invalid
from .._trend import measure_trend, split_at_gaps
from ..curves import LightCurve
from ..transit_shape import transit_duration

STEPS_PER_WIDTH = 5.0  # periods between which the last event moves by a central duration
SHORTEST, LONGEST = 0.35, 1.7  # durations, in that of a central transit of the star given
WIDEST = 0.25  # of the period
BREAK = 0.75  # days without data that separate trends
CENTRAL = {"radius_ratio": 0.03, "impact": 0.0}
BESIDE = 1 / 24  # days within which a point has neighbours that say whether it is alone
MAG_TO_FLUX = 0.4 * np.log(10)


@dataclass(frozen=True)
class Series:
    """Points of one light curve that are used: days since the first, missing light, weights.

    ``noise`` is the factor by which boxes scatter more than white noise says, for durations
    ``widths`` [d].
    """

    time: np.ndarray
    signal: np.ndarray
    weight: np.ndarray
    cadence: float
    widths: np.ndarray
    noise: np.ndarray

    @property
    def baseline(self) -> float:
        """Days from the first to the last point."""
        return float(np.ptp(self.time))

    def find_noise(self, duration: float) -> float:
        """Noise factor at a duration."""
        return float(np.interp(duration, self.widths, self.noise))


@dataclass(frozen=True)
class Peak:
    """The best box: days, and how it stands out."""

    period: float
    epoch: float
    duration: float
    contrast: float
    bump: float


def find_used(curve: LightCurve) -> np.ndarray:
    """Steps that are not masked and whose value and error can be used."""
    used = ~np.asarray(curve.mask) & np.isfinite(curve.value.value)
    if curve.error is not None:
        used &= np.isfinite(curve.error.value) & (curve.error.value > 0)
    return used


def read_flux(curve: LightCurve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days since the first step, flux over its median, and relative errors (ones if none)."""
    used = find_used(curve)
    if not used.any():
        raise invalid("curve", "of at least one step that is used", str(curve))
    days = (curve.time - curve.time[0]).to_value("day")[used]
    if np.any(np.diff(days) < 0):
        raise invalid("curve", "in time order", "steps that go back", "Sort them.")
    value = curve.value.value[used]
    error = np.ones(len(value)) if curve.error is None else curve.error.value[used]
    if curve.value.unit == u.mag:
        value, error = 10 ** (-0.4 * (value - np.median(value))), MAG_TO_FLUX * error
    middle = np.median(value)
    if not middle > 0:
        raise invalid(
            "curve", "of flux with a median above 0, or magnitudes", float(middle),
            "Give the flux without its mean subtracted.",
        )  # fmt: skip
    return days, value / middle, error / middle


def find_trend(time: np.ndarray, flux: np.ndarray, out: np.ndarray, window: float) -> np.ndarray:
    """Running biweight of the points not ``out``; the median of stretches too short for one."""
    trend = measure_trend(time, flux, out, window, BREAK)
    for rows in split_at_gaps(time, BREAK):
        if np.isnan(trend[rows]).any():
            trend[rows] = np.median(flux[rows])
    return trend


def flatten(
    time: np.ndarray,
    flux: np.ndarray,
    error: np.ndarray,
    out: np.ndarray,
    window: float,
    widths: np.ndarray,
) -> Series:
    """Take the trend, outliers and the points that are ``out`` away."""
    trend = find_trend(time, flux, out, window)
    # runs of zeros, which some pipelines write for no data, have no trend
    keep = ~out & (trend > 0)
    signal = 1 - flux / np.where(trend > 0, trend, np.nan)
    scale = 1.4826 * np.median(np.abs(signal[keep] / error[keep])) if keep.any() else 1.0
    weight = (error * (scale or 1.0)) ** -2.0
    pull = signal * np.sqrt(weight)
    # flares and cosmic rays go up; a single low point between two at rest is no transit
    near = np.diff(time) < BESIDE
    rest = np.append(near & (pull[1:] < 2), False) & np.append(False, near & (pull[:-1] < 2))
    keep &= (pull > -4.5) & ~((pull > 5) & rest)
    cadence = float(np.median(np.diff(time)))
    return Series(time[keep], signal[keep], weight[keep], cadence, widths, np.ones(len(widths)))


@dataclass(frozen=True)
class Grid:
    """Periods and widths to try, in days; ``strides`` in steps from one epoch to the next.

    Widths ``first`` to ``last`` (exclusive) are tried at each period.
    """

    period: np.ndarray
    step: float
    widths: np.ndarray
    strides: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @property
    def n_trials(self) -> float:
        """Boxes tried: many of them overlap, so that no probability is told too small."""
        tried = (np.arange(len(self.widths))[:, None] >= self.first) & (
            np.arange(len(self.widths))[:, None] < self.last
        )
        epochs = np.ceil(self.period / self.step / self.strides[:, None])
        return float(np.sum(epochs * tried))

    def count_single(self, baseline: float) -> float:
        """Boxes of single events."""
        return float(np.sum(np.ceil(baseline / self.step / self.strides)))


def lay_grid(time: np.ndarray, period_min: float, period_max: float | None, density: float) -> Grid:
    """Frequencies so close that no event drifts out of its box: sect. 3 of Ofir (2014).

    doi:10.1051/0004-6361/201220860.
    """
    check_real("period_min", period_min, above=0)
    baseline = float(np.ptp(time))
    longest = baseline if period_max is None else float(period_max)
    if not longest > period_min:
        raise invalid("period_max", f"above period_min, {period_min:g} d", f"{longest:g} d")
    # the duration goes with the third root of the period
    at_one = float(transit_duration(1.0, density=density, **CENTRAL))
    rate = 3 * baseline * STEPS_PER_WIDTH / at_one
    low, high = rate / longest ** (1 / 3), rate / period_min ** (1 / 3)
    count = max(int(np.ceil(high - low)), 32)
    period = (np.linspace(low, high, count) / rate) ** -3
    central = transit_duration(period, density=density, **CENTRAL)
    shortest = SHORTEST * central
    cadence = float(np.median(np.diff(time)))
    step = max(cadence, shortest.min() / 3)
    most = max(int(np.ceil(LONGEST * central.max() / step)), 3)
    steps = np.unique(np.round(2 * 1.25 ** np.arange(0, np.log(most / 2) / np.log(1.25) + 1)))
    widths = steps * step
    first = np.minimum(np.searchsorted(widths, shortest), len(widths) - 1)
    limit = np.minimum(LONGEST * central, WIDEST * period)
    last = np.maximum(np.searchsorted(widths, limit), first + 1)
    return Grid(period, step, widths, np.maximum(steps.astype(int) // 5, 1), first, last)


def add_noise(series: Series, grid: Grid) -> tuple[Series, np.ndarray, np.ndarray]:
    """Return the series with its noise per width, box sums and the weight of a full box."""
    n_steps = int(series.baseline / grid.step) + 1
    place = np.minimum(((series.time - series.time[0]) / grid.step).astype(int), n_steps - 1)
    weight = np.bincount(place, series.weight, n_steps)
    signal = np.bincount(place, series.weight * series.signal, n_steps)
    widths = np.round(grid.widths / grid.step).astype(int)
    sums = np.zeros((n_steps + widths.max() + 1, 2))
    sums[1 : n_steps + 1] = np.cumsum(np.column_stack([signal, weight]), axis=0)
    sums[n_steps + 1 :] = sums[n_steps]
    boxes = np.stack([sums[w : w + n_steps] - sums[:n_steps] for w in widths])
    full, noise = np.ones(len(widths)), np.ones(len(widths))
    typical = np.median(weight[weight > 0])
    for k, w in enumerate(widths):
        full[k] = w * typical
        good = boxes[k, :, 1] > 0.7 * full[k]
        if good.sum() > 5 * w:
            pull = boxes[k, good, 0] / np.sqrt(boxes[k, good, 1])
            noise[k] = max(1.0, 1.4826 * np.median(np.abs(pull - np.median(pull))))
    measured = Series(series.time, series.signal, series.weight, series.cadence, grid.widths, noise)
    return measured, boxes, full


def search_box(series: Series, grid: Grid, n_peaks: int = 6) -> tuple[Series, list[Peak]]:
    """Return the series with its noise, and its best boxes of different periods."""
    from .box_search import search_boxes

    series, boxes, full = add_noise(series, grid)
    best, phase, width, low = search_boxes(
        boxes, full, series.noise, grid.strides, grid.period / grid.step, grid.first, grid.last
    )
    peaks: list[Peak] = []
    left = best.copy()
    while len(peaks) < n_peaks:
        top = int(np.argmax(left))
        if not left[top] > 0:
            break
        period, duration = float(grid.period[top]), float(grid.widths[width[top]])
        epoch = float(series.time[0] + phase[top] * grid.step + duration / 2)
        other = best[_find_unrelated(period, grid.period)].max(initial=0)
        bump = float(-low.min() / best[top])
        contrast = float(best[top] / other) if other > 0 else np.nan
        peaks.append(Peak(period, epoch, duration, contrast, bump))
        # the same peak goes as far as its last event needs to leave the box
        left[np.abs(grid.period / period - 1) < 2 * duration / series.baseline] = 0
    return series, peaks


def _find_unrelated(period: float, others: np.ndarray) -> np.ndarray:
    """Mask of periods that are no simple fraction or multiple."""
    harmonics = np.array([1 / 3, 0.5, 2 / 3, 1, 1.5, 2, 3])
    return np.abs(period / others[:, None] / harmonics - 1).min(axis=1) > 0.03


def search_tls(series: Series, grid: Grid, radius: float, mass: float) -> tuple[Series, list[Peak]]:
    """Return the series with its noise, and the best period of transit least squares."""
    import contextlib
    import io
    import warnings

    tls = import_extra("transitleastsquares", extra="lightcurves")
    series, _, _ = add_noise(series, grid)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        model = tls.transitleastsquares(series.time, 1 - series.signal, series.weight**-0.5)
        found = model.power(
            period_min=float(grid.period.min()), period_max=float(grid.period.max()),
            R_star=radius, M_star=mass, R_star_min=0.9 * radius, R_star_max=1.1 * radius,
            M_star_min=0.9 * mass, M_star_max=1.1 * mass, use_threads=1,
            show_progress_bar=False, n_transits_min=2,
        )  # fmt: skip
    if not np.isfinite(found.period) or not np.isfinite(found.duration):
        return search_box(series, grid)
    power, periods = np.asarray(found.power), np.asarray(found.periods)
    other = power[_find_unrelated(found.period, periods)].max(initial=0)
    contrast = float(power.max() / other) if other > 0 else np.nan
    peak = Peak(float(found.period), float(found.T0), float(found.duration), contrast, np.nan)
    return series, [peak]
