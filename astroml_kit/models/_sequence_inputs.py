"""Series of unequal length as one array, checked: what a step holds, and what is padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Columns:
    """Where time, band, errors and values are in a step."""

    time: int | None
    band: int | None
    errors: tuple[int, ...]
    values: tuple[int, ...]

    @classmethod
    def find(
        cls, n_columns: int, *, time: int | None, band: int | None, errors: tuple[int, ...]
    ) -> Columns:
        """Return the columns, or say what does not fit."""
        named = {"time_column": time, "band_column": band}
        taken = [column for column in named.values() if column is not None] + list(errors)
        for name, column in [*named.items(), *(("error_columns", k) for k in errors)]:
            if column is not None and column >= n_columns:
                raise ValueError(
                    f"{name} must be below the {n_columns} columns of X, got {column}. "
                    "Columns are counted from 0."
                )
        if len(set(taken)) != len(taken):
            raise ValueError(
                f"time_column, band_column and error_columns must differ, got {taken}."
            )
        values = tuple(k for k in range(n_columns) if k not in taken)
        if not values:
            raise ValueError(
                f"X must have a column of values beside time, band and errors, got {n_columns} "
                "columns. For steps without a time set time_column=None."
            )
        if errors and len(errors) != len(values):
            raise ValueError(
                f"error_columns must name one column per column of values, got {len(errors)} for "
                f"{len(values)}. Leave out the values without an error."
            )
        return cls(time, band, errors, values)


def pad_series(X: Any) -> np.ndarray:
    """Return series as one array, shape (n_series, n_steps, n_columns), NaN after their ends.

    Steps that are all NaN are padding, wherever they are; anything else must be finite.
    """
    if not isinstance(X, np.ndarray) or X.dtype == object:
        dense = _stack(X)
    elif X.ndim == 3 and X.dtype.kind in "biuf":
        dense = X.astype(np.float64)
    else:
        raise ValueError(
            "X must be a list of arrays (n_steps, n_columns) or one array (n_series, n_steps, "
            f"n_columns), got an array of shape {X.shape} and type {X.dtype}."
        )
    if 0 in dense.shape:
        raise ValueError(f"X must hold series with steps and columns, got shape {dense.shape}.")
    gone = np.isnan(dense)
    padding = gone.all(axis=2)
    bad = ((gone.any(axis=2) & ~padding) | np.isinf(dense).any(axis=2)).any(axis=1)
    if bad.any():
        raise ValueError(
            f"X must be finite but for steps that are NaN as a whole, got {int(bad.sum())} of "
            f"{len(dense)} series with NaN or infinity, the first is series "
            f"{int(np.argmax(bad))}. Drop those steps."
        )
    empty = padding.all(axis=1)
    if empty.any():
        raise ValueError(
            f"X must have a step in every series, got {int(empty.sum())} of {len(dense)} without, "
            f"the first is series {int(np.argmax(empty))}. Drop them."
        )
    if (np.diff(padding, axis=1) & padding[:, :-1]).any():  # padding before a step
        order = np.argsort(padding, axis=1, kind="stable")
        dense = np.take_along_axis(dense, order[..., None], axis=1)
    return np.ascontiguousarray(dense[:, : int((~padding).sum(axis=1).max())])


def _stack(X: Any) -> np.ndarray:
    rule = "a list of arrays (n_steps, n_columns) or an array (n_series, n_steps, n_columns)"
    try:
        series = [np.asarray(one, dtype=np.float64) for one in X]
    except (TypeError, ValueError) as error:
        raise ValueError(f"X must be {rule}, got something else: {error}.") from error
    if not series:
        raise ValueError(f"X must be {rule}, got none.")
    for k, one in enumerate(series):
        if one.ndim != 2:
            raise ValueError(
                f"X must be {rule}, got shape {one.shape} for series {k}. "
                "Stack times and values with np.column_stack."
            )
        if one.shape[1] != series[0].shape[1]:
            raise ValueError(
                f"X must have the same columns in every series, got {series[0].shape[1]} in "
                f"series 0 and {one.shape[1]} in series {k}."
            )
    dense = np.full((len(series), max(map(len, series)), series[0].shape[1]), np.nan)
    for row, one in zip(dense, series, strict=True):
        row[: len(one)] = one
    return dense


def check_steps(X: np.ndarray, columns: Columns, *, bands: np.ndarray | None = None) -> None:
    """Raise unless times ascend, errors are positive and bands are whole and known."""
    if columns.time is not None:
        step = np.diff(X[..., columns.time], axis=1)
        # several bands may be observed at once
        bad = step <= 0 if columns.band is None else step < 0
        if bad.any():
            series, k = np.argwhere(bad)[0]
            first, then = X[series, k : k + 2, columns.time]
            rule = "increase" if columns.band is None else "not decrease"
            raise ValueError(
                f"X must have times that {rule} within each series, got {then:.10g} after "
                f"{first:.10g} in series {series} ({int(bad.any(axis=1).sum())} such series). "
                "Sort by time and average what was observed at once."
            )
    if columns.errors and (X[..., columns.errors] <= 0).any():
        series = int(np.argwhere(X[..., columns.errors] <= 0)[0, 0])
        raise ValueError(
            f"X must have errors > 0, got others, first in series {series}. "
            "Drop steps without an error."
        )
    if columns.band is None:
        return
    band = X[..., columns.band]
    band = band[~np.isnan(band)]
    if (band != np.round(band)).any():
        raise ValueError(
            f"X must have whole numbers for bands, got {band[band != np.round(band)][0]:g}."
        )
    if bands is not None and (strange := np.setdiff1d(band, bands)).size:
        raise ValueError(
            f"X must have bands of the training data, {bands.tolist()}, got {strange.tolist()}. "
            "Drop those steps or train with them."
        )
