"""Loops over periods, epochs and widths, and over windows: too slow without a compiler."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def search_boxes(
    boxes: np.ndarray,
    full: np.ndarray,
    noise: np.ndarray,
    strides: np.ndarray,
    period: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the highest signal to noise of each period, its phase and width, and the lowest.

    ``boxes`` holds sums of weighted signal and of weight over a box from each step on, one table
    for each width; ``full`` the weight of a box without gaps; ``noise`` the scatter of single
    boxes in standard deviations; ``period`` counts steps; widths ``first`` to ``last`` (exclusive)
    are tried at each period. Boxes with less weight than one and a half events are passed over.
    """
    n_periods, n_steps = len(period), boxes.shape[1]
    best, low = np.zeros(n_periods), np.zeros(n_periods)
    phase, width = np.zeros(n_periods), np.zeros(n_periods, dtype=np.int64)
    for at in range(n_periods):
        step = period[at]
        for k in range(first[at], last[at]):
            table, need = boxes[k], 1.5 * full[k]
            start = 0
            while start < step:
                signal, weight = 0.0, 0.0
                place = start + 0.5
                while place < n_steps:
                    row = int(place)
                    signal += table[row, 0]
                    weight += table[row, 1]
                    place += step
                if weight > need:
                    ratio = signal / (np.sqrt(weight) * noise[k])
                    if ratio > best[at]:
                        best[at], phase[at], width[at] = ratio, start, k
                    elif ratio < low[at]:
                        low[at] = ratio
                start += strides[k]
    return best, phase, width, low


@numba.njit(cache=True, nogil=True)
def run_biweight(
    time: np.ndarray, value: np.ndarray, knots: np.ndarray, window: float
) -> np.ndarray:
    """Return Tukey's biweight location in a window around each knot; NaN for fewer than 5 points.

    ``time`` and ``knots`` ascend. The window keeps its length at the ends of the data, where the
    slope between the medians of its halves leads from its middle to the knot.
    """
    level = np.full(len(knots), np.nan)
    if len(time) == 0:
        return level
    left, right = 0, 0
    begin, end = time[0], time[-1]
    for at in range(len(knots)):
        low = max(min(knots[at] - window / 2, end - window), begin)
        high = min(low + window, end)
        while left < len(time) and time[left] < low:
            left += 1
        while right < len(time) and time[right] <= high:
            right += 1
        if right - left < 5:
            continue
        part = value[left:right]
        centre = np.median(part)
        spread = np.median(np.abs(part - centre))
        for _ in range(6 if spread > 0 else 0):
            total, weight = 0.0, 0.0
            for one in part:
                u = (one - centre) / (6.0 * spread)
                if abs(u) < 1:
                    w = (1 - u * u) ** 2
                    total += w * one
                    weight += w
            centre = total / weight
        level[at] = centre
        if abs(knots[at] - (low + high) / 2) > 1e-6 * window:
            days = time[left:right]
            half = np.searchsorted(days, (days[0] + days[-1]) / 2)
            if half > 2 and len(part) - half > 2:
                rise = np.median(part[half:]) - np.median(part[:half])
                run = np.mean(days[half:]) - np.mean(days[:half])
                level[at] += rise / run * (knots[at] - np.mean(days))
    return level
