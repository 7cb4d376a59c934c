"""From a light curve to the best box: its trend taken out, its noise measured, a grid laid."""

from __future__ import annotations

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from .._validation import check_real, import_extra, invalid
from .curves import LightCurve
from .transit_shape import transit_duration

STEPS_PER_WIDTH = 5.0  # periods between which the last event moves by a central duration
SHORTEST, LONGEST = 0.35, 1.7  # durations, in that of a central transit of the star given
WIDEST = 0.25  # of the period
BREAK = 0.75  # days without data that separate trends
CENTRAL = {"radius_ratio": 0.03, "impact": 0.0}


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


def read_flux(curve: LightCurve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Days since the first step, flux over its median, and relative errors (ones if none)."""
    used = ~np.asarray(curve.mask)
    days = (curve.time - curve.time[0]).to_value("day")[used]
    value = curve.value.value[used]
    error = np.ones(len(value)) if curve.error is None else curve.error.value[used]
    if curve.value.unit == u.mag:
        value, error = 10 ** (-0.4 * (value - np.median(value))), 0.921 * error
    middle = np.median(value) if len(value) else np.nan
    if not middle > 0:
        raise invalid(
            "curve", "of flux with a median above 0, or magnitudes", float(middle),
            "Give the flux without its mean subtracted.",
        )  # fmt: skip
    return days, value / middle, error / middle


def find_trend(time: np.ndarray, flux: np.ndarray, out: np.ndarray, window: float) -> np.ndarray:
    """Running biweight of the points not ``out``, anew after each gap."""
    from ._box_search import run_biweight

    trend = np.empty(len(time))
    for rows in np.split(np.arange(len(time)), np.flatnonzero(np.diff(time) > BREAK) + 1):
        days = time[rows]
        n_knots = int(np.ptp(days) / window * 30) + 2
        knots = np.linspace(days[0], days[-1], n_knots)
        kept = ~out[rows]
        level = run_biweight(days[kept], flux[rows][kept], knots, window)
        good = np.isfinite(level)
        if not good.any():
            trend[rows] = np.median(flux[rows])
            continue
        trend[rows] = np.interp(days, knots[good], level[good])
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
    signal = 1 - flux / find_trend(time, flux, out, window)
    scale = 1.4826 * np.median(np.abs(signal[~out] / error[~out])) or 1.0
    pull = signal / (error * scale)
    # flares and cosmic rays go up; a single low point between two at rest is no transit
    beside = np.maximum(np.append(pull[1:], 0), np.append(0, pull[:-1]))
    keep = ~out & (pull > -4.5) & ~((pull > 5) & (beside < 2))
    cadence = float(np.median(np.diff(time)))
    weight = (error * scale) ** -2.0
    return Series(time[keep], signal[keep], weight[keep], cadence, widths, np.ones(len(widths)))


@dataclass(frozen=True)
class Grid:
    """Periods and durations to try, in days, and how many of the tests are independent."""

    period: np.ndarray
    step: float
    widths: np.ndarray
    first: np.ndarray
    last: np.ndarray
    n_trials: float


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
    shortest = np.maximum(shortest, 2 * step)
    # periods are independent where the last event has moved by a box, epochs likewise
    n_trials = float(np.sum(period * central / shortest**2) / STEPS_PER_WIDTH)
    return Grid(period, step, widths, first, last, max(n_trials, 1.0))


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
    from ._box_search import search_boxes

    series, boxes, full = add_noise(series, grid)
    widths = np.round(grid.widths / grid.step).astype(int)
    best, phase, width, low = search_boxes(
        boxes, full, series.noise, np.maximum(widths // 5, 1), grid.period / grid.step,
        grid.first, grid.last,
    )  # fmt: skip
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
