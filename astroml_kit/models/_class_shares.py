"""Shares of classes: probabilities for others than a model was trained with, and what they are."""

from __future__ import annotations

import numpy as np

SMALLEST_SHARE = 1e-6


def shift_priors(p: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return probabilities for classes of other shares; same shares, same numbers."""
    if np.array_equal(old, new):
        return p
    p = p * (new / old)
    return p / p.sum(axis=1, keepdims=True)


def find_priors(p: np.ndarray, old: np.ndarray, *, n_steps: int = 200) -> np.ndarray:
    """Shares of the classes among samples, from their probabilities at the shares ``old``.

    Expectation maximisation of Saerens, Latinne & Decaestecker (2002), from ``old``.
    """
    new = old
    for _ in range(n_steps):
        step = np.clip(shift_priors(p, old, new).mean(axis=0), 1e-6, None)
        step /= step.sum()
        if np.abs(step - new).max() < 1e-8:
            break
        new = step
    return new


def balance_shares(p: np.ndarray, shares: np.ndarray, *, n_steps: int = 50) -> np.ndarray:
    """Return probabilities whose mean is ``shares``: the classes compete for the samples.

    Rows and columns are scaled in turn (Sinkhorn & Knopp 1967, doi:10.2140/pjm.1967.21.343), so
    that a class which the model says of too many samples keeps those that are most its own.
    """
    p = np.clip(p, SMALLEST_SHARE, None)
    for _ in range(n_steps):
        p = p * (shares / p.mean(axis=0))
        p = p / p.sum(axis=1, keepdims=True)
    return p
