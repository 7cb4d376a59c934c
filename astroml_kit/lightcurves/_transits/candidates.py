"""From the boxes of one star to its candidates, each put aside before the next is looked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...significance import correct_significance
from ..transit_shape import transit_duration
from .search import (
    CENTRAL,
    Grid,
    Peak,
    Series,
    find_trend,
    flatten,
    lay_grid,
    search_box,
    search_tls,
)
from .vetting import (
    Dip,
    Events,
    find_aliases,
    find_period_of_star,
    fit_dip,
    measure_events,
    measure_features,
)

LEAST = 50  # steps
ALONE = 3.5  # standard deviations that events other than the strongest must add up to
MANY = 5  # events that nothing repeats, more than planets, after which to give up
UNLIKE = 6.0  # standard deviations by which a strongest event is another planet's
ENOUGH = 10.0  # standard deviations of three others or more, which need no strongest one
BESIDE = 0.3  # of half a duration, to have been seen on either side of a single event


@dataclass(frozen=True)
class Candidate:
    """A dip, measured where the trend does not bend to it."""

    peak: Peak
    series: Series
    dip: Dip
    events: Events

    @property
    def snr_of_box(self) -> float:
        """Signal to noise of the box that was tried, before a fit has made the most of it."""
        box = replace(self.dip, duration=self.peak.duration)
        if np.isfinite(self.dip.period):
            box = replace(box, period=self.peak.period, epoch=self.peak.epoch)
        inside = np.abs(box.find_phase(self.series.time)) < box.duration / 2
        weight = self.series.weight[inside]
        total = np.sum(weight * self.series.signal[inside])
        noise = self.series.find_noise(box.duration) * np.sqrt(weight.sum())
        return float(total / noise) if noise > 0 else 0.0

    @property
    def strongest(self) -> int:
        """Which event has the highest signal to noise."""
        return int(np.argmax(self.events.depth / self.events.error))

    @property
    def has_sides(self) -> bool:
        """Whether there are data before and after, or only the edge of a gap."""
        away = self.dip.find_phase(self.series.time) / self.dip.duration
        need = BESIDE * 0.5 * self.dip.duration / self.series.cadence
        return all(np.sum((side > 0.5) & (side < 1)) >= need for side in (away, -away))

    @property
    def is_alone(self) -> bool:
        """Whether one event is not like the others, or has none."""
        if len(self.events.cycle) < 2:
            return True
        rest = self.events.drop(self.strongest)
        depth, error = rest.mean
        if depth < ALONE * error:
            return True
        if len(rest.cycle) > 2 and np.median(rest.depth) > ENOUGH * error:
            return False
        apart = self.events.depth[self.strongest] - depth
        sigma = np.hypot(error, self.events.error[self.strongest])
        return bool(apart > UNLIKE * sigma and apart > 0.4 * depth)


def search_star(
    time: np.ndarray,
    flux: np.ndarray,
    error: np.ndarray,
    *,
    periods: tuple[float, float | None],
    n_planets: int,
    method: str,
    snr_min: float,
    single_transits: bool,
    star: tuple[float, float],
    window: float | None,
) -> list[dict[str, Any]]:
    """Describe the candidates of one star; its radius and mass are ``star``."""
    density = star[1] / star[0] ** 3
    grid = lay_grid(time, *periods, density)
    longest = float(transit_duration(grid.period.max(), density=density, **CENTRAL))
    span = window or max(1.0, 3 * longest)
    out = np.zeros(len(time), dtype=bool)
    rows: list[dict[str, Any]] = []
    n_alone = 0
    while len(rows) < n_planets and n_alone < n_planets + MANY:
        series = flatten(time, flux, error, out, span, grid.widths)
        if len(series.time) < LEAST:
            break
        if method == "tls":
            series, peaks = search_tls(series, grid, *star)
        else:
            series, peaks = search_box(series, grid)
        best = _choose(peaks, series, time, flux, out, span, allow_alone=snr_min > 0)
        if best is None or best.dip.snr < snr_min:
            break
        out |= np.abs(best.dip.find_phase(time)) < 0.8 * best.dip.duration
        if np.isinf(best.dip.period):
            n_alone += 1
            if not (single_transits and best.has_sides):
                continue
        rows.append(_describe(best, grid, density))
    return rows


def _choose(
    peaks: list[Peak],
    series: Series,
    time: np.ndarray,
    flux: np.ndarray,
    out: np.ndarray,
    span: float,
    *,
    allow_alone: bool,
) -> Candidate | None:
    """Return the best peak whose events are alike, or the event alone that outshines it."""
    measured: list[Candidate] = []

    def measure(series: Series, start: Dip, peak: Peak) -> Candidate | None:
        # with a trend that the events have not bent
        inside = np.abs(start.find_phase(time)) < 0.75 * start.duration
        if np.mean(inside | out) < 0.5:
            trend = find_trend(time, flux, out | inside, span)
            here = np.isin(time, series.time)
            # which then is known from fewer points, and as noisy as they are
            noise = series.noise / np.sqrt(1 - np.minimum(series.widths / span, 0.5))
            flat = np.divide(
                flux[here], trend[here], out=np.ones(len(series.time)), where=trend[here] > 0
            )
            series = replace(series, signal=1 - flat, noise=noise)
        dip = fit_dip(series, start)
        events = measure_events(series, dip)
        if not len(events.cycle):
            return None
        depth, sigma = events.mean
        return Candidate(peak, series, replace(dip, depth=depth, depth_error=sigma), events)

    for peak in peaks:
        rough = fit_dip(series, Dip(peak.period, peak.epoch, peak.duration, 0.0, 0.3))
        found = measure(series, rough, peak)
        if found is not None:
            measured.append(found)
            if not found.is_alone:
                break
    if not measured:
        return None
    best = max(measured, key=lambda one: (not one.is_alone, one.dip.snr))
    first = measured[0]
    if allow_alone and first.is_alone:
        # a strong event that nothing repeats lends its strength to any period
        alone = first.dip
        if np.isfinite(alone.period):
            epoch = alone.epoch + first.events.cycle[first.strongest] * alone.period
            alone = replace(alone, period=np.inf, epoch=float(epoch), period_error=np.nan)
        single = measure(first.series, alone, first.peak)
        if single is not None and (best.is_alone or single.dip.snr > best.dip.snr):
            best = single
    return best


def _describe(found: Candidate, grid: Grid, density: float) -> dict[str, Any]:
    dip, events, series = found.dip, found.events, found.series
    of_star = find_period_of_star(dip.duration, dip.depth, density)
    single = np.isinf(dip.period)
    aliases: list[float] = []
    n_trials = grid.count_single(series.baseline) if single else grid.n_trials
    if not single:
        options = [dip.period, *find_aliases(series, dip, float(grid.period.min()))]
        chosen = min(options, key=lambda period: abs(np.log(period / of_star)))
        aliases = [period for period in options if period != chosen]
        share = chosen / dip.period
        dip = replace(dip, period=chosen, period_error=dip.period_error * share)
        events = replace(events, cycle=np.round(events.cycle / share).astype(int))
    return {
        **measure_features(series, dip, events, density),
        "period": np.nan if single else dip.period,
        "period_error": dip.period_error,
        "epoch": dip.epoch,
        "duration": 24 * dip.duration,
        "depth": dip.depth,
        "depth_error": dip.depth_error,
        "ingress": dip.ingress,
        "snr": dip.snr,
        "significance": float(correct_significance(min(found.snr_of_box, dip.snr), n_trials)),
        "n_trials": n_trials,
        "n_transits": len(events.cycle),
        "contrast": np.nan if single else found.peak.contrast,
        "bump": np.nan if single else found.peak.bump,
        "period_of_star": of_star,
        "aliases": " ".join(f"{period:.6g}" for period in aliases),
    }
