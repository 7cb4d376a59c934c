"""One period among its aliases: the evidence of harmonics that all bands share decides."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from ..periodogram import Periodogram, false_alarm_probability
from .harmonics import fit_harmonics, measure_dispersion
from .power import Grid, compute_pooled_power
from .series import COMMON, Series

SIDEREAL = 1.002737909  # sidereal days in a day
DAYS = (1.0, SIDEREAL, 2.0, 1 + SIDEREAL, 2 * SIDEREAL)  # cycles that nights add or take away
YEAR = 365.25
N_TERMS = 8
FINALISTS = 8
# Harmonic k has a prior scale of size / k**slope of the scatter of its band, from saw teeth and
# eclipses to nearly sines; the amplitudes of most stars' Fourier series fall about like SLOPE.
SLOPE = 1.5
SLOPES = (1.0, SLOPE, 2.5)
AMPLITUDES = (0.4, 0.6, 0.8)
# How one cycle differs from the next, for all bands that are observed together, is not known
# either; a value that is too large lets aliases of the day pass, one too small doubled periods.
COMMONS = (0.05, COMMON, 0.2)
SCALES = 2.0 ** np.arange(-1.5, 2.0, 0.5)  # of all noise


def decide_period(
    series: Series, grid: Grid, n_peaks: int, n_candidates: int
) -> dict[str, np.ndarray]:
    """Rows of `find_periods` for one object, best first."""
    power = compute_pooled_power(series, grid)
    axis = grid.frequency
    spread = float(np.std(series.time))
    one = Periodogram(axis, power, 1, len(series.time), series.baseline, spread)
    peaks = one.find_peaks(n_peaks)
    trial = np.concatenate([peaks, peaks[:5] / 2, peaks[:5] * 2])
    trial = trial[(trial >= grid.low) & (trial <= grid.high)]
    frequency = _climb(series, grid, _screen(series, grid, trial, max(n_candidates, FINALISTS)))
    cost = _weigh_evidence(series, frequency)
    order = np.argsort(cost, kind="stable")[:n_candidates]
    frequency, cost = frequency[order], cost[order]
    own = np.interp(frequency, axis, power)
    return {
        "rank": np.arange(len(frequency)),
        "period": 1 / frequency,
        "log_evidence": cost[0] - cost,
        "power": own,
        "p_false_alarm": false_alarm_probability(
            own, n_steps=len(series.time), n_bands=series.n_bands, spread=spread,
            frequency_max=grid.high,
        ),
        "dispersion": measure_dispersion(series.time, series.value, frequency, 10),
        "alias": np.array(_name_aliases(frequency, 2 / series.baseline), dtype="U6"),
        "peak_period": np.full(len(frequency), 1 / peaks[0]),
        "n_steps": np.full(len(frequency), len(series.time)),
    }  # fmt: skip


def _screen(series: Series, grid: Grid, trial: np.ndarray, n: int) -> np.ndarray:
    """Return the n best of the frequencies, one of those that are the same peak."""
    # high harmonics are as many times sharper as their order: look around each peak
    around = trial[:, None] + np.arange(-3, 4) * (0.08 / series.baseline)
    around = np.clip(around, grid.low, grid.high)
    cost = _fit_quickly(series, around)
    kept: list[float] = []
    for row in np.argsort(cost.min(axis=1), kind="stable"):
        best = around[row, np.argmin(cost[row])]
        if all(abs(best - other) > 0.5 / series.baseline for other in kept):
            kept.append(best)
        if len(kept) == n:
            break
    return np.array(kept)


def _climb(series: Series, grid: Grid, frequency: np.ndarray) -> np.ndarray:
    """Move each frequency to the summit next to it: steps, then a parabola through three."""
    step = 0.015 / series.baseline
    around = np.clip(frequency[:, None] + np.arange(-4, 5) * step, grid.low, grid.high)
    cost = _fit_quickly(series, around)
    at = np.argmin(cost, axis=1)
    rows = np.arange(len(at))
    inner = np.clip(at, 1, cost.shape[1] - 2)
    left, middle, right = (cost[rows, inner + shift] for shift in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1), 0)
    best = around[rows, at] + np.where(at == inner, np.clip(shift, -1, 1), 0) * step
    return np.clip(best, grid.low, grid.high)


def _fit_quickly(series: Series, frequency: np.ndarray) -> np.ndarray:
    """Minus the log of the evidence for one prior, at the most probable scale of the noise."""
    ridges = _lay_ridges(series)[[SLOPES.index(SLOPE)]]
    chi_squared, half = _fit(series, frequency.ravel(), COMMON, ridges, np.ones(1))
    cost = 0.5 * len(series.time) * np.log(np.maximum(chi_squared, 1e-300)) + half
    return cost.reshape(frequency.shape)


def _weigh_evidence(series: Series, frequency: np.ndarray) -> np.ndarray:
    """Minus the log of the evidence, all priors and kinds of noise being equally likely."""
    ridges = _lay_ridges(series)
    weight = np.add.reduceat(series.error**-2, series.first[:-1])
    costs = []
    for common in COMMONS:
        chi_squared, half = _fit(series, frequency, common, ridges, SCALES)
        cost = 0.5 * chi_squared + half - np.log(ridges).sum(axis=1)[:, None]
        cost += 0.5 * np.log1p(common**2 * weight).sum() + len(series.time) * np.log(SCALES)
        costs.append(cost)
    return -np.asarray(logsumexp(-np.stack(costs, axis=1), axis=(1, 2, 3)))


def _lay_ridges(series: Series) -> np.ndarray:
    """One row of penalties per prior."""
    n_terms = int(np.clip((len(series.time) - series.n_bands) // 3, 1, N_TERMS))
    order = np.arange(1, n_terms + 1)
    return np.stack(
        [(order**slope / size) ** 2 for size, slope in zip(AMPLITUDES, SLOPES, strict=True)]
    )


def _fit(
    series: Series, frequency: np.ndarray, common: float, ridges: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    return fit_harmonics(
        series.time, series.value, series.error**2, series.band, series.n_bands, series.first,
        common**2, frequency, ridges, scales,
    )  # fmt: skip


def _name_aliases(frequency: np.ndarray, width: float) -> list[str]:
    """What each frequency is to the first; the first, whether it is whole cycles a day."""
    best = frequency[0]
    names = []
    for at, one in enumerate(frequency):
        if at == 0:
            whole = [day * k for day in (1.0, SIDEREAL) for k in range(1, 5)]
            names.append("day" if min(abs(one - w) for w in whole) < width else "")
            continue
        apart = [abs(one - best), one + best]
        if any(abs(a - day) < width for a in apart for day in DAYS):
            names.append("day")
        elif abs(one - 2 * best) < width:
            names.append("half")
        elif abs(one - best / 2) < width:
            names.append("double")
        else:
            names.append("year" if abs(apart[0] - 1 / YEAR) < 0.5 * width else "")
    return names


def shuffle_series(series: Series, grid: Grid, n: int, rng: np.random.Generator) -> float:
    """Share of shuffles with a peak as high, never 0: eq. 2 of Phipson & Smyth 2010."""
    power = compute_pooled_power(series, grid).max()
    length = np.diff(series.first)
    begins = series.time[series.first[:-1]]
    higher = 0
    for _ in range(n):
        moved = series.time + np.repeat(rng.permutation(begins) - begins, length)
        sort = np.argsort(moved, kind="stable")
        shuffled = Series(
            moved[sort], series.value[sort], series.error[sort], series.band[sort], series.first
        )
        higher += compute_pooled_power(shuffled, grid).max() >= power
    return float((higher + 1) / (n + 1))
