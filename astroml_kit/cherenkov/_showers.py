"""Which rows come from the same shower, and one row per event out of several telescopes' images."""

from __future__ import annotations

import numpy as np
from astropy.table import QTable

from ._derived import read_column

# In simulations a shower is thrown at the array several times under different event numbers.
SHOWER_TRUTH = ("true_energy", "true_h_first_int")


def find_showers(events: QTable) -> np.ndarray:
    """Return a 64-bit number per row that is the same for images of one shower.

    Simulated showers are recognised by run, true energy and height of the first interaction, so
    that re-used showers count as one; observed events by run and event number; rows without
    either by all their numbers, so that duplicated rows count as one. The numbers depend on
    nothing else, so that tables can be stacked.
    """
    have = set(events.colnames)
    if set(SHOWER_TRUTH) <= have:
        keys = [*SHOWER_TRUTH, *(name for name in ("obs_id",) if name in have)]
    elif {"obs_id", "event_id"} <= have:
        keys = ["obs_id", "event_id"]
    else:
        keys = [
            name
            for name in events.colnames
            if name != "event_id" and np.asarray(events[name]).dtype.kind in "iufb"
        ]
    return _hash_rows([read_column(events, name) for name in keys])


def find_events(events: QTable) -> np.ndarray:
    """Return a 64-bit number per row that is the same for the images of one event."""
    return _hash_rows([read_column(events, name) for name in ("obs_id", "event_id")])


def _hash_rows(columns: list[np.ndarray]) -> np.ndarray:
    """Mix the columns' bits row by row (the finaliser of splitmix64, Steele et al. 2014)."""
    mixed = np.full(len(columns[0]), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in columns:
        # Adding 0 makes -0.0 the same as 0.0.
        mixed ^= (column + 0.0).view(np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return mixed.view(np.int64)


def average_images(
    X: np.ndarray, event: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Combine the images of each event.

    Parameters
    ----------
    X : ndarray, shape (n_images, n_features)
        NaN where an image lacks a feature.
    event : ndarray of int, shape (n_images,)
        0 to n_events - 1.
    weight : ndarray, shape (n_images,)
        > 0.

    Returns
    -------
    averages : ndarray, shape (n_events, 3 * n_features)
        Weighted mean, plain mean and standard deviation over the images that have the feature;
        NaN where none has it (for the deviation: fewer than two).
    n_images : ndarray of int, shape (n_events,)
    """
    n_events = int(event.max(initial=-1)) + 1
    parts: tuple[list[np.ndarray], ...] = ([], [], [])
    for column in X.T:
        seen = np.isfinite(column)
        rows, value, w = event[seen], column[seen], weight[seen]
        with np.errstate(invalid="ignore", divide="ignore"):
            n = np.bincount(rows, minlength=n_events)
            mean = np.bincount(rows, value, n_events) / n
            weighted = np.bincount(rows, w * value, n_events) / np.bincount(rows, w, n_events)
            squares = np.bincount(rows, (value - mean[rows]) ** 2, n_events)
            spread = np.sqrt(squares / np.where(n > 1, n - 1, np.nan))
        for part, values in zip(parts, (weighted, mean, spread), strict=True):
            part.append(values)
    stacked = [np.column_stack(part) if part else np.empty((n_events, 0)) for part in parts]
    return np.column_stack(stacked), np.bincount(event, minlength=n_events)
