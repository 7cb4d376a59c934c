"""Rows held out inside a fit: by group where there are groups, by class where there are classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit


def split_rows(
    labels: np.ndarray | None,
    groups: np.ndarray | None,
    *,
    n_samples: int,
    fraction: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to fit on and rows to hold out; a group is never on both sides.

    ``labels`` are class numbers to spread evenly, where there are classes and no groups.
    """
    if groups is not None and len(np.unique(groups)) < 2:
        raise ValueError(
            "groups must hold two or more different ones for early stopping, got 1. "
            "Set early_stopping=False."
        )
    if groups is not None:
        splitter: Any = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
    elif labels is not None and np.bincount(labels).min() > 1:
        splitter = StratifiedShuffleSplit(1, test_size=fraction, random_state=seed)
    else:
        splitter = ShuffleSplit(1, test_size=fraction, random_state=seed)
    fit_rows, held_rows = next(splitter.split(np.zeros(n_samples), labels, groups))
    return fit_rows, held_rows
