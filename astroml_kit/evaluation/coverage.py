"""How often sets and intervals hold the truth, and how much they say while they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.table import Table
from scipy.stats import beta

from .._validation import check_real, check_same_length

ERROR_LEVEL = 0.6827  # of the interval on a coverage


@dataclass(frozen=True, eq=False)
class CoverageEvaluation:
    """What sets or intervals are worth.

    Attributes
    ----------
    coverage : float
        Share that holds the truth.
    coverage_low, coverage_high : float
        Its central 68 % interval (Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404), which
        takes samples as independent.
    confidence : float
        What was asked for.
    size : float
        Mean width of intervals, or mean number of classes in a set: smaller says more.
    interval_score : float
        Of intervals (Gneiting & Raftery 2007, doi:10.1198/016214506000001437): width, and
        2 / (1 - confidence) times what the truth lies outside; NaN for sets.
    n_samples : int
    bands : `~astropy.table.Table`
        The same per band, or per class of sets: ``band``, ``n``, ``coverage``, ``coverage_low``,
        ``coverage_high``, ``size``.
    """

    coverage: float
    coverage_low: float
    coverage_high: float
    confidence: float
    size: float
    interval_score: float
    n_samples: int
    bands: Table = field(repr=False)

    def __str__(self) -> str:
        error = (self.coverage_high - self.coverage_low) / 2
        return (
            f"{100 * self.coverage:.1f} +- {100 * error:.1f} % hold the truth, "
            f"{100 * self.confidence:g} % asked; mean size {self.size:.4g} ({self.n_samples})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, NaN as None."""
        names = ("coverage", "coverage_low", "coverage_high", "confidence", "size",
                 "interval_score", "n_samples")  # fmt: skip
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        if np.isnan(self.interval_score):
            plain["interval_score"] = None
        plain["bands"] = {name: self.bands[name].tolist() for name in self.bands.colnames}
        return plain


def evaluate_intervals(
    y: Any, low: Any, high: Any, *, confidence: float = 0.9, bands: Any = None
) -> CoverageEvaluation:
    """Measure intervals: coverage, width, interval score.

    Parameters
    ----------
    y, low, high : array_like of float, shape (n_samples,)
        Truth and the ends. Ends may be infinite, then sizes are.
    confidence : float
        What they were made for.
    bands : array_like, shape (n_samples,), optional
        For results per band.

    Returns
    -------
    CoverageEvaluation

    Raises
    ------
    ValueError
        For NaN, for ends in the wrong order, and for lengths that differ.

    Examples
    --------
    >>> result = evaluate_intervals([1, 2, 3, 4], [0, 1, 2, 5], [2, 3, 4, 6], confidence=0.8)
    >>> result.coverage, result.size, result.interval_score
    (0.75, 1.75, 4.25)
    """
    truth = check_real("y", y)
    check_real("confidence", confidence, above=0, below=1)
    ends = [np.asarray(end, dtype=float) for end in (low, high)]
    check_same_length(y=truth, low=ends[0], high=ends[1], bands=bands)
    if truth.ndim != 1 or len(truth) == 0:
        raise ValueError(f"y must be one value per sample, got shape {truth.shape}.")
    if not np.all(ends[0] <= ends[1]):
        raise ValueError("low must be at most high, and neither NaN. Swap or drop those.")
    inside = (ends[0] <= truth) & (truth <= ends[1])
    width = ends[1] - ends[0]
    beyond = np.maximum(ends[0] - truth, 0) + np.maximum(truth - ends[1], 0)
    score = float(np.mean(width + 2 / (1 - confidence) * beyond))
    return _evaluate(inside, width, confidence, score, bands)


def evaluate_sets(
    y: Any, sets: Any, *, classes: Any = None, confidence: float = 0.9
) -> CoverageEvaluation:
    """Measure sets of classes: coverage and size, over all and per true class.

    Parameters
    ----------
    y : array_like, shape (n_samples,)
        True labels.
    sets : array_like of bool, shape (n_samples, n_classes)
        As `astroml_kit.models.ConformalClassifier.predict_sets` gives them.
    classes : array_like, shape (n_classes,), optional
        Label of each column; the sorted labels of ``y`` by default.
    confidence : float
        What they were made for.

    Returns
    -------
    CoverageEvaluation

    Raises
    ------
    ValueError
        For labels that are none of the classes, and for shapes that differ.

    Examples
    --------
    >>> sets = [[True, False], [True, True], [False, False]]
    >>> result = evaluate_sets(["a", "b", "b"], sets)
    >>> round(result.coverage, 3), result.size
    (0.667, 1.0)
    """
    truth, member = np.asarray(y), np.asarray(sets)
    check_real("confidence", confidence, above=0, below=1)
    labels = np.unique(truth) if classes is None else np.asarray(classes)
    if member.dtype.kind != "b" or member.shape != (len(truth), len(labels)) or not len(truth):
        raise ValueError(
            f"sets must be booleans of shape ({len(truth)}, {len(labels)}), got {member.dtype} "
            f"of shape {member.shape}."
        )
    order = np.argsort(labels)
    place = np.clip(np.searchsorted(labels[order], truth), 0, len(labels) - 1)
    column = order[place]
    if np.any(labels[column] != truth):
        stranger = truth[labels[column] != truth][0]
        raise ValueError(f"y must hold labels of {labels.tolist()}, got {stranger!r}.")
    inside = member[np.arange(len(truth)), column]
    return _evaluate(inside, member.sum(axis=1), confidence, np.nan, truth)


def _evaluate(
    inside: np.ndarray, size: np.ndarray, confidence: float, score: float, bands: Any
) -> CoverageEvaluation:
    names = ("band", "n", "coverage", "coverage_low", "coverage_high", "size")
    rows = []
    if bands is not None:
        labels, place = np.unique(np.asarray(bands), return_inverse=True)
        for number, label in enumerate(labels):
            part = place == number
            rows.append((label, int(part.sum()), *_cover(inside[part]), float(size[part].mean())))
    table = Table(rows=rows, names=names) if rows else Table({name: [] for name in names})
    return CoverageEvaluation(
        *_cover(inside), confidence, float(np.mean(size)), score, len(inside), table
    )


def _cover(inside: np.ndarray) -> tuple[float, float, float]:
    n, k = len(inside), int(inside.sum())
    tail = (1 - ERROR_LEVEL) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return k / n, low, high
