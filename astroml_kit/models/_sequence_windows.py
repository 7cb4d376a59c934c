"""Windows cut from series to learn forecasts: some steps, and the steps that follow them.

A step to predict is marked by an infinite value, so that nothing can look at it; its time and its
band are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._sequence_inputs import Columns


@dataclass(frozen=True)
class Windows:
    """Windows of shape (n_windows, n_steps, n_columns), what follows, and the series of each."""

    X: np.ndarray
    target: np.ndarray
    series: np.ndarray


def cut_windows(
    X: np.ndarray,
    columns: Columns,
    *,
    target: int,
    horizon: int,
    n_history: int | None,
    shortest: int,
    most: int | None,
) -> Windows:
    """Cut windows that end everywhere in each series, or at ``most`` places that are even.

    Every window has ``shortest`` steps or more before the ``horizon`` steps to predict, and at
    most ``n_history``; a series that is too short has none.
    """
    length = (~np.isnan(X[..., columns.values[0]])).sum(axis=1)
    ends = [_choose_ends(shortest, int(n) - horizon, most) for n in length]
    series = np.repeat(np.arange(len(X)), [len(end) for end in ends])
    end = np.concatenate(ends)
    longest = int(end.max()) if len(end) else 0
    n_past = longest if n_history is None else min(n_history, longest)
    windows = np.full((len(end), n_past + horizon, X.shape[2]), np.nan)
    for window, row, stop in zip(windows, series, end, strict=True):
        start = max(0, stop - n_past)
        window[: stop - start] = X[row, start:stop]
        window[n_past:] = X[row, stop : stop + horizon]
    values = windows[:, n_past:, target].copy()
    mark_ahead(windows, columns, horizon)
    return Windows(windows, values, series)


def _choose_ends(first: int, last: int, most: int | None) -> np.ndarray:
    if last < first:
        return np.zeros(0, dtype=int)
    if most is None or last - first < most:
        return np.arange(first, last + 1)
    return np.round(np.linspace(first, last, most)).astype(int)


def mark_ahead(windows: np.ndarray, columns: Columns, n_ahead: int) -> None:
    """Put infinity where the values to predict would be."""
    ahead = windows[:, windows.shape[1] - n_ahead :]
    for column in (*columns.values, *columns.errors):
        ahead[..., column] = np.inf


def count_ahead(X: np.ndarray, columns: Columns) -> int:
    """Return how many of the last steps are to be predicted."""
    return int(np.isposinf(X[0, :, columns.values[0]]).sum())


def append_ahead(
    X: np.ndarray,
    columns: Columns,
    *,
    n_history: int | None,
    horizon: int,
    times: Any,
    bands: Any,
    known: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return checked series with steps to predict behind them, and the times of those steps.

    By default ``horizon`` steps follow, at the median interval of each series and in the band of
    its last step.
    """
    n_series = len(X)
    length = (~np.isnan(X[..., columns.values[0]])).sum(axis=1)
    row, n_steps = np.arange(n_series), length
    if n_history is not None and (length > n_history).any():
        take = np.maximum(length - n_history, 0)[:, None] + np.arange(min(n_history, X.shape[1]))
        inside = take < length[:, None]
        X = np.where(inside[..., None], X[row[:, None], np.minimum(take, X.shape[1] - 1)], np.nan)
        length = np.minimum(length, n_history)
    last = X[row, length - 1]
    if columns.time is None:
        if times is not None:
            raise ValueError("times must be left out for steps without a time, got some.")
        when = n_steps[:, None] + np.arange(horizon, dtype=float)
    else:
        when = _find_times(X, columns, length, horizon=horizon, times=times)
    ahead = np.full((n_series, when.shape[1], X.shape[2]), np.inf)
    if columns.time is not None:
        ahead[..., columns.time] = when
    if columns.band is not None:
        ahead[..., columns.band] = last[:, None, columns.band]
    if bands is not None:
        if columns.band is None:
            raise ValueError("bands must be left out for a model without them.")
        wanted = np.broadcast_to(np.asarray(bands, dtype=np.float64), when.shape)
        if (strange := np.setdiff1d(wanted, known)).size:
            raise ValueError(
                f"bands must be those of the training data, {known.tolist()}, got "
                f"{strange.tolist()}."
            )
        ahead[..., columns.band] = wanted
    return np.concatenate([X, ahead], axis=1), when


def _find_times(
    X: np.ndarray, columns: Columns, length: np.ndarray, *, horizon: int, times: Any
) -> np.ndarray:
    """Return the times to predict, shape (n_series, n_ahead)."""
    past = X[..., columns.time]
    last = past[np.arange(len(X)), length - 1][:, None]
    if times is None:
        step = np.diff(past, axis=1)
        step = np.where(step > 0, step, np.nan)
        lone = np.isnan(step).all(axis=1) if step.shape[1] else np.ones(len(X), dtype=bool)
        if lone.any():
            raise ValueError(
                f"times must be given for series of one time, of which X has {int(lone.sum())}, "
                f"the first is series {int(np.argmax(lone))}."
            )
        return last + np.nanmedian(step, axis=1)[:, None] * np.arange(1, horizon + 1)
    when = np.asarray(times, dtype=np.float64)
    when = np.tile(when, (len(X), 1)) if when.ndim == 1 else when
    if when.ndim != 2 or len(when) != len(X) or when.shape[1] < 1:
        raise ValueError(
            f"times must have the shape (n_ahead,) or (n_series, n_ahead) for {len(X)} series, "
            f"got {np.shape(times)}."
        )
    step = np.diff(when, axis=1)
    back = step < 0 if columns.band is not None else step <= 0
    if not np.isfinite(when).all() or back.any() or (when <= last).any():
        raise ValueError(
            "times must be finite, increase, and follow the last step of each series, got others. "
            "Times are those of the column of X, not distances from its end."
        )
    return when
