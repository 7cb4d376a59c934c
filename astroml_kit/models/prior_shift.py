"""Shares of the classes in a sample without labels, and the probabilities that go with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._validation import check_real, check_same_length, invalid
from ._class_shares import find_priors, shift_priors


@dataclass(frozen=True, eq=False)
class PriorShift:
    """What changes when the classes are as common as in the new sample.

    Attributes
    ----------
    classes : tuple
        Labels, or numbers of the columns.
    trained, shares, errors : ndarray, shape (n_classes,)
        Shares of the classes in training and in the new sample, with the bootstrap's standard
        deviation of the latter; NaN without a bootstrap.
    probabilities : ndarray, shape (n_samples, n_classes)
        Corrected.
    """

    classes: tuple[Any, ...]
    trained: np.ndarray
    shares: np.ndarray
    errors: np.ndarray
    probabilities: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        parts = [
            f"{name} {old:.1%} -> {new:.1%}" + (f" +- {error:.1%}" if np.isfinite(error) else "")
            for name, old, new, error in zip(
                self.classes, self.trained, self.shares, self.errors, strict=True
            )
        ]
        return f"shares: {', '.join(parts)} ({len(self.probabilities)} samples)"

    def to_dict(self) -> dict[str, Any]:
        """Shares without the probabilities, ready for JSON."""
        return {
            "classes": [str(name) for name in self.classes],
            "trained": self.trained.tolist(),
            "shares": self.shares.tolist(),
            "errors": [float(e) if np.isfinite(e) else None for e in self.errors],
            "n_samples": len(self.probabilities),
        }


def correct_prior_shift(
    probabilities: Any,
    *,
    trained: Any,
    classes: Any = None,
    n_bootstrap: int = 0,
    rng: Any = None,
) -> PriorShift:
    """Find how common the classes are in a sample without labels, and correct for it.

    A classifier carries the shares of its training classes with it. Where a deeper sample has
    others, its probabilities are wrong even if they were calibrated; expectation maximisation
    finds the shares that agree with them.

    Parameters
    ----------
    probabilities : array_like of float, shape (n_samples, n_classes)
        Calibrated, from a model trained at the shares ``trained``: `CalibratedClassifier`.
    trained : array_like of float, shape (n_classes,)
        Shares of the classes in training, or their counts.
    classes : array_like, shape (n_classes,), optional
        Labels of the columns, ``classes_`` of the model.
    n_bootstrap : int
        Draws of the samples for the errors.
    rng : Generator, int or None
        For the bootstrap.

    Returns
    -------
    PriorShift

    Raises
    ------
    ValueError
        For probabilities that do not add up to one, or shares that are not positive.

    Notes
    -----
    It assumes that only the shares differ: that an object of a class looks the same in both
    samples. A deeper sample has fainter objects, with larger errors and at other redshifts, so
    that this holds within bands of magnitude at best; correct each by itself, and see with
    `AnomalyDetector` or a classifier of new against old how much of the new sample is unlike all
    training. The errors are statistical only.

    References
    ----------
    Saerens, Latinne & Decaestecker 2002, doi:10.1162/089976602753284446.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> star = rng.random(20_000) < 0.8
    >>> x = rng.normal(np.where(star, 1, -1))
    >>> p = 1 / (1 + np.exp(-2 * x))  # right where stars are as common as galaxies
    >>> shift = correct_prior_shift(np.column_stack([1 - p, p]), trained=[0.5, 0.5])
    >>> shift.shares.round(2).tolist()
    [0.2, 0.8]
    """
    p = check_real("probabilities", probabilities, at_least=0, at_most=1 + 1e-9)
    if p.ndim != 2 or len(p) == 0 or p.shape[1] < 2:
        raise invalid("probabilities", "of shape (n_samples, n_classes)", probabilities)
    if np.abs(p.sum(axis=1) - 1).max() > 1e-4:
        raise invalid("probabilities", "numbers that add up to 1 in each row",
                      f"a sum of {p.sum(axis=1)[np.abs(p.sum(axis=1) - 1).argmax()]:g}",
                      "Give what predict_proba returns.")  # fmt: skip
    advice = "Leave a class out that had no training."
    old = np.atleast_1d(check_real("trained", trained, above=0, next_step=advice))
    names = tuple(range(p.shape[1])) if classes is None else tuple(np.asarray(classes).tolist())
    check_same_length(probabilities=p.T, trained=old, classes=names)
    check_real("n_bootstrap", n_bootstrap, at_least=0, next_step="Give a whole number.")
    old = old / old.sum()
    shares = find_priors(p, old, n_steps=1000)
    rng = np.random.default_rng(rng)
    draws = [
        find_priors(p[rng.integers(0, len(p), len(p))], old, n_steps=1000)
        for _ in range(int(n_bootstrap))
    ]
    errors = np.std(draws, axis=0, ddof=1) if len(draws) > 1 else np.full(len(old), np.nan)
    return PriorShift(names, old, shares, errors, shift_priors(p, old, shares))
