"""What a candidate looks like at its own points: times, depth, shape, and reasons to doubt it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from ..transit_shape import transit_duration
from .search import CENTRAL, Series

LEAST_COVER = 0.3  # of an event, for it to count
FLOOR = 0.03  # shortest ingress, in halves of the duration
EXCLUDED = 3.5  # standard deviations
TYPICAL_IMPACT = 0.4


@dataclass(frozen=True)
class Dip:
    """A trapezoid that comes back: days, relative depth.

    ``ingress`` is the share of the half-duration in which the light falls: 0 is a box, 1 a V.
    A single event has an infinite period.
    """

    period: float
    epoch: float
    duration: float
    depth: float
    ingress: float
    period_error: float = np.nan
    depth_error: float = np.nan

    @property
    def snr(self) -> float:
        """Depth over its error."""
        return self.depth / self.depth_error

    def find_phase(self, time: np.ndarray) -> np.ndarray:
        """Days from the nearest event."""
        since = time - self.epoch
        if np.isinf(self.period):
            return since
        return since - self.period * np.round(since / self.period)

    def find_cycle(self, time: np.ndarray) -> np.ndarray:
        """Number of the nearest event, counted from the epoch."""
        if np.isinf(self.period):
            return np.zeros(len(time), dtype=int)
        return np.round((time - self.epoch) / self.period).astype(int)

    def shape(self, away: np.ndarray) -> np.ndarray:
        """Missing light relative to the depth at some days from mid-transit."""
        return _draw_trapezoid(away, self.duration, self.ingress)


def _draw_trapezoid(away: np.ndarray, duration: float, ingress: float) -> np.ndarray:
    return np.clip((1 - 2 * np.abs(away) / duration) / ingress, 0, 1)


def fit_dip(series: Series, start: Dip) -> Dip:
    """Least squares of a trapezoid near a box; period and epoch through first and last event."""
    width = max(start.duration, 2 * series.cadence)
    away = start.find_phase(series.time)
    near = np.abs(away) < 1.5 * width
    time, signal, root = series.time[near], series.signal[near], np.sqrt(series.weight[near])
    cycle, inside = start.find_cycle(time), np.abs(away[near]) < 0.5 * width
    seen = np.unique(cycle[inside])
    if not len(seen):
        return start
    single = np.isinf(start.period) or len(seen) < 2
    low, n_cycles = seen[0], max(int(seen[-1] - seen[0]), 1)
    first = start.epoch + (0 if single else low * start.period)
    share = np.zeros(len(time)) if single else (cycle - low) / n_cycles
    since = time - first - (0 if single else share * n_cycles * start.period)
    depth = max(float(np.median(signal[inside])), 1e-7)

    def find_shape(x: np.ndarray) -> tuple[float, float]:
        size = float(width * np.exp(x[2]))
        # an exposure blurs whatever is shorter
        return size, max(float(x[4]), min(2 * series.cadence / size, 1.0))

    def find_residual(x: np.ndarray) -> np.ndarray:
        moved = since - width * (x[0] + share * (x[1] - x[0]))
        return root * (signal - depth * x[3] * _draw_trapezoid(moved, *find_shape(x)))

    shortest = np.log(max(0.4, min(1.2 * series.cadence / width, 0.7)))
    fits = [
        least_squares(
            find_residual, [0, 0, size, 1, 0.3], diff_step=1e-3, max_nfev=60,
            bounds=([-0.8, -0.8, shortest, 0, FLOOR], [0.8, 0.8, np.log(2.2), np.inf, 1]),
            x_scale=[0.1, 0.1, 0.2, 0.3, 0.3],
        )
        for size in (-0.3, 0.0, 0.4)
    ]  # fmt: skip
    x = min(fits, key=lambda fit: fit.cost).x
    size, ingress = find_shape(x)
    if single:
        return Dip(np.inf, first + width * x[0], size, float(depth * x[3]), ingress)
    period = start.period + width * (x[1] - x[0]) / n_cycles
    # the epoch is the event nearest to the middle of the data
    epoch = first + width * x[0] + (n_cycles // 2) * period
    dip = Dip(float(period), float(epoch), size, float(depth * x[3]), ingress)
    return replace(dip, period_error=_find_period_error(series, dip))


def _find_period_error(series: Series, dip: Dip) -> float:
    """Error of a line through the mid-transits, each as well known as its slopes are steep."""
    shape = dip.shape(dip.find_phase(series.time))
    edge = (shape > 0) & (shape < 1)
    slope = 2 * dip.depth / (dip.ingress * dip.duration)
    weight, cycle = slope**2 * series.weight[edge], dip.find_cycle(series.time[edge])
    if not len(cycle):
        return np.nan
    spread = np.sum(weight * (cycle - np.average(cycle, weights=weight)) ** 2)
    return float(series.find_noise(dip.duration) / np.sqrt(spread)) if spread > 0 else np.nan


@dataclass(frozen=True)
class Events:
    """Depth of each event that the data cover, by its number."""

    cycle: np.ndarray
    depth: np.ndarray
    error: np.ndarray

    @property
    def mean(self) -> tuple[float, float]:
        """Weighted depth and its error."""
        weight = self.error**-2
        return float(np.sum(weight * self.depth) / weight.sum()), float(weight.sum() ** -0.5)

    def drop(self, which: int) -> Events:
        """Return all but one."""
        return Events(*(np.delete(part, which) for part in (self.cycle, self.depth, self.error)))


def measure_events(series: Series, dip: Dip) -> Events:
    """Least-squares depth of every event, its shape and time being known."""
    shape = dip.shape(dip.find_phase(series.time))
    inside = shape > 0
    cycle, number = np.unique(dip.find_cycle(series.time[inside]), return_inverse=True)
    w, s, y = series.weight[inside], shape[inside], series.signal[inside]
    norm = np.bincount(number, w * s * s, len(cycle))
    cover = np.bincount(number, s * s, len(cycle))
    full = dip.duration / series.cadence * (1 - 2 * dip.ingress / 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.bincount(number, w * s * y, len(cycle)) / norm
        error = series.find_noise(dip.duration) / np.sqrt(norm)
    good = cover >= LEAST_COVER * full
    if not good.any():
        good = cover >= 0.9 * cover.max(initial=0)
    return Events(cycle[good], depth[good], error[good])


def find_period_of_star(duration: float, depth: float, density: float) -> float:
    """Period of a circular orbit on which a transit lasts so long, for impact 0.4."""
    period = np.geomspace(0.05, 20_000, 400)
    ratio = np.sqrt(np.clip(depth, 1e-6, 0.25))
    lasts = transit_duration(period, radius_ratio=ratio, impact=TYPICAL_IMPACT, density=density)
    return float(np.interp(duration, lasts, period))


def find_aliases(series: Series, dip: Dip, period_min: float) -> list[float]:
    """Fractions of the period that no data exclude: where they add events nobody has looked."""
    allowed = []
    for divisor in range(2, 13):
        if dip.period / divisor < period_min:
            break
        away = dip.find_phase(series.time)
        for part in range(1, divisor):
            moved = away - (part / divisor - (part / divisor > 0.5)) * dip.period
            moved = moved - dip.period * np.round(moved / dip.period)
            shape = dip.shape(moved)
            norm = np.sum(series.weight * shape**2)
            if norm == 0:
                continue
            depth = np.sum(series.weight * shape * series.signal) / norm
            error = np.hypot(series.find_noise(dip.duration) * norm**-0.5, dip.depth_error)
            if dip.depth - depth > EXCLUDED * error:
                break
        else:
            allowed.append(dip.period / divisor)
    return allowed


def measure_secondary(series: Series, dip: Dip) -> tuple[float, float, float]:
    """Deepest box outside of the transit: depth, signal to noise and phase."""
    phase = (dip.find_phase(series.time) / dip.period) % 1.0
    order = np.argsort(phase, kind="stable")
    phase, w = phase[order], series.weight[order]
    sums = np.concatenate([[0], np.cumsum(w)])
    signals = np.concatenate([[0], np.cumsum(w * series.signal[order])])
    share = dip.duration / dip.period
    centre = np.arange(1.5 * share, 1 - 1.5 * share, share / 4)
    left, right = (
        np.searchsorted(phase, centre - share / 2),
        np.searchsorted(phase, centre + share / 2),
    )
    weight, signal = sums[right] - sums[left], signals[right] - signals[left]
    inside = series.weight[np.abs(dip.find_phase(series.time)) < dip.duration / 2].sum()
    good = weight > 0.3 * inside
    if not good.any():
        return np.nan, np.nan, np.nan
    depth = signal[good] / weight[good]
    pull = depth * np.sqrt(weight[good]) / series.find_noise(dip.duration)
    best = int(np.argmax(pull))
    return float(depth[best]), float(pull[best]), float(centre[good][best])


def measure_features(series: Series, dip: Dip, events: Events, density: float) -> dict[str, Any]:
    """What speaks for and against a transit, one number each."""
    depth = events.mean[0]
    odd = events.cycle % 2 == 1
    odd_even = np.nan
    if odd.any() and not odd.all():
        parts = [
            Events(events.cycle[r], events.depth[r], events.error[r]).mean for r in (odd, ~odd)
        ]
        odd_even = abs(parts[0][0] - parts[1][0]) / np.hypot(parts[0][1], parts[1][1])
    pull = events.depth / events.error
    n = len(events.cycle)
    away = dip.find_phase(series.time)
    inside = np.abs(away) < dip.duration / 2
    y, w = series.signal[inside], series.weight[inside]
    halves = [away[inside] < 0, away[inside] >= 0]
    asymmetry = np.nan
    if all(half.any() for half in halves):
        means = [np.sum(w[h] * y[h]) / w[h].sum() for h in halves]
        asymmetry = abs(means[0] - means[1]) / np.hypot(*(w[h].sum() ** -0.5 for h in halves))
    near = (np.abs(away) < 1.5 * dip.duration) & ~inside
    shoulder = np.nan
    if near.any():
        w = series.weight[near]
        shoulder = np.sum(w * series.signal[near]) / np.sqrt(w.sum())
    single = np.isinf(dip.period)
    secondary = (np.nan,) * 3 if single else measure_secondary(series, dip)
    central = np.nan
    sine = np.nan
    if not single:
        central = dip.duration / float(transit_duration(dip.period, density=density, **CENTRAL))
        sine = _share_of_sine(series, dip)
    return {
        "odd_even": odd_even,
        "secondary_depth": secondary[0],
        "secondary_snr": secondary[1],
        "secondary_phase": secondary[2],
        "depth_chi2": np.sum(((events.depth - depth) / events.error) ** 2) / (n - 1)
        if n > 1
        else np.nan,
        "dominance": float(np.max(pull**2) / np.sum(pull**2)) if n else np.nan,
        "weakest": float(pull.min()) if n else np.nan,
        "asymmetry": asymmetry,
        "shoulder": shoulder,
        "duration_ratio": central,
        "sine_share": sine,
        "noise_factor": series.find_noise(dip.duration),
        "depth_over_scatter": depth * np.sqrt(np.median(series.weight)),
    }


def _share_of_sine(series: Series, dip: Dip) -> float:
    """Chi-squared that a wave of the period, half or twice it takes away, over the transit's."""
    w, y = series.weight, series.signal
    shape = dip.shape(dip.find_phase(series.time))
    gain = np.sum(w * shape * y) ** 2 / np.sum(w * shape**2)
    most = 0.0
    for factor in (0.5, 1.0, 2.0):
        angle = 2 * np.pi * (series.time - dip.epoch) / (factor * dip.period)
        waves = np.column_stack([np.cos(angle), np.sin(angle), np.ones(len(angle))])
        matrix, vector = (waves.T * w) @ waves, (waves.T * w) @ y
        most = max(most, float(vector @ np.linalg.pinv(matrix) @ vector))
    return most / gain if gain > 0 else np.nan
