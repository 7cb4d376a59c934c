"""The one running level of light curves, for cleaning as for transits: anew after each gap."""

from __future__ import annotations

import numpy as np

KNOTS = 30  # per window


def split_at_gaps(time: np.ndarray, gap: float) -> list[np.ndarray]:
    """Rows of each stretch of ascending times without a break longer than ``gap``."""
    return np.split(np.arange(len(time)), np.flatnonzero(np.diff(time) > gap) + 1)


def measure_trend(
    time: np.ndarray, value: np.ndarray, out: np.ndarray, window: float, gap: float
) -> np.ndarray:
    """Running biweight of the points not ``out``; NaN in stretches whose windows hold too few."""
    from ._transits.box_search import run_biweight

    trend = np.full(len(time), np.nan)
    for rows in split_at_gaps(time, gap):
        if not len(rows):
            continue
        days = time[rows]
        knots = np.linspace(days[0], days[-1], int(np.ptp(days) / window * KNOTS) + 2)
        kept = ~out[rows]
        level = run_biweight(days[kept], value[rows][kept], knots, window)
        good = np.isfinite(level)
        if good.any():
            trend[rows] = np.interp(days, knots[good], level[good])
    return trend
