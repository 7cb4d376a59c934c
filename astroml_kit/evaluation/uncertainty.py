"""Whether stated uncertainties hold: how often intervals and sets cover the truth, how sharply."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_real, check_same_length, invalid

INTERVAL_COLUMNS = ("band", "n", "coverage", "error", "width", "score")
SET_COLUMNS = ("class", "n", "coverage", "error", "size")


@dataclass(frozen=True, eq=False)
class IntervalEvaluation:
    """How often intervals cover the truth, and how wide they are.

    Attributes
    ----------
    nominal : float
        The coverage that was promised.
    coverage : float
        Share of the truths inside, ends included.
    error : float
        Binomial standard deviation that a coverage of ``nominal`` would have with as many groups
        (samples, without groups).
    width : float
        Mean width: of two sets of intervals with the same coverage the sharper one is better.
    score : float
        Mean interval score: the width, plus 2 / (1 - nominal) times the distance to the truth of
        those that miss it; the lower the better (Gneiting & Raftery 2007, eq. 43).
    bands : `~astropy.table.QTable`
        The same per band: ``band``, ``n``, ``coverage``, ``error``, ``width``, ``score``. No rows
        without bands.
    n_samples : int
        Samples.
    """

    nominal: float
    coverage: float
    error: float
    width: float
    score: float
    bands: QTable = field(repr=False)
    n_samples: int

    @property
    def deviation(self) -> float:
        """Coverage minus the promise, in standard deviations; negative is too confident."""
        return (self.coverage - self.nominal) / self.error

    def __str__(self) -> str:
        return (
            f"coverage {self.coverage:.4f} of {self.nominal:g} +- {self.error:.4f} "
            f"({self.deviation:+.1f} sigma), mean width {self.width:.4g}, "
            f"interval score {self.score:.4g} ({self.n_samples} samples)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, what is not finite as None: ready for JSON."""
        return _write(self, "bands")


@dataclass(frozen=True, eq=False)
class SetEvaluation:
    """How often sets of classes hold the true one, and how large they are.

    Attributes
    ----------
    nominal : float
        The coverage that was promised.
    coverage : float
        Share of the samples whose set holds their class.
    error : float
        Binomial standard deviation that a coverage of ``nominal`` would have with as many groups
        (samples, without groups).
    size : float
        Mean number of classes in a set.
    empty, single : float
        Shares of the sets with no class and with exactly one.
    classes : `~astropy.table.QTable`
        Per true class: ``class``, ``n``, ``coverage``, ``error``, ``size``.
    n_samples : int
        Samples.
    """

    nominal: float
    coverage: float
    error: float
    size: float
    empty: float
    single: float
    classes: QTable = field(repr=False)
    n_samples: int

    @property
    def deviation(self) -> float:
        """Coverage minus the promise, in standard deviations; negative is too confident."""
        return (self.coverage - self.nominal) / self.error

    def __str__(self) -> str:
        return (
            f"coverage {self.coverage:.4f} of {self.nominal:g} +- {self.error:.4f} "
            f"({self.deviation:+.1f} sigma), mean size {self.size:.3f}, one class in "
            f"{self.single:.1%} and none in {self.empty:.1%} of {self.n_samples} sets"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, what is not finite as None: ready for JSON."""
        return _write(self, "classes")


def _write(result: Any, table: str) -> dict[str, Any]:
    columns = getattr(result, table)
    rows = {name: list(map(_write_number, columns[name].tolist())) for name in columns.colnames}
    plain = {name: _write_number(value) for name, value in asdict(result).items() if name != table}
    return plain | {"deviation": _write_number(result.deviation), table: rows}


def _write_number(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


def evaluate_intervals(
    y: Any,
    intervals: Any,
    *,
    nominal: float = 0.9,
    weights: Any = None,
    groups: Any = None,
    bands: Any = None,
) -> IntervalEvaluation:
    """Measure coverage and sharpness of intervals.

    Parameters
    ----------
    y : array_like of float, shape (n_samples,)
        Truth, in the unit of the intervals.
    intervals : array_like of float, shape (n_samples, 2)
        Lower and upper ends, as `ConformalRegressor.predict_interval` gives them; infinite ends
        are allowed.
    nominal : float
        The coverage that was promised, between 0 and 1.
    weights : array_like of float, shape (n_samples,), optional
        >= 0.
    groups : array_like, shape (n_samples,), optional
        What is not independent, such as the images of a shower: the error then counts groups.
    bands : array_like, shape (n_samples,), optional
        Label of the band of each sample, for results per band.

    Returns
    -------
    IntervalEvaluation

    Raises
    ------
    ValueError
        When lengths differ, a lower end is above the upper one, or a value is NaN.

    References
    ----------
    Gneiting & Raftery 2007, doi:10.1198/016214506000001437.

    Examples
    --------
    >>> result = evaluate_intervals([1, 2, 3, 9], [[0, 2], [1, 3], [2, 4], [3, 5]], nominal=0.75)
    >>> print(result)
    coverage 0.7500 of 0.75 +- 0.2165 (+0.0 sigma), mean width 2, interval score 10 (4 samples)
    """
    y = check_real("y", y)
    ends = np.asarray(intervals, dtype=float)
    if y.ndim != 1 or not len(y):
        raise invalid("y", "one number per sample, at least one", y)
    if ends.ndim != 2 or ends.shape[1] != 2 or np.isnan(ends).any():
        raise invalid("intervals", "a lower and an upper end per sample, without NaN", intervals)
    if np.any(ends[:, 0] > ends[:, 1]):
        raise invalid("intervals", "ascending: lower end first", intervals, "Swap the columns.")
    check_real("nominal", nominal, above=0, below=1)
    w, group = _check_rows(y, intervals=ends, weights=weights, groups=groups, bands=bands)
    lower, upper = ends.T
    inside = (lower <= y) & (y <= upper)
    width = upper - lower
    missed = np.maximum(np.maximum(lower - y, y - upper), 0)
    score = width + 2 / (1 - float(nominal)) * missed

    def measure(rows: np.ndarray) -> tuple[float, ...]:
        own = w[rows]
        covered, error = _measure_coverage(inside[rows], own, group[rows], float(nominal))
        means = (_average(values[rows], own) for values in (width, score))
        return (covered, error, *means)

    every = np.ones(len(y), dtype=bool)
    coverage, error, mean_width, mean_score = measure(every)
    return IntervalEvaluation(
        nominal=float(nominal),
        coverage=coverage,
        error=error,
        width=mean_width,
        score=mean_score,
        bands=_tabulate(bands, w, measure, INTERVAL_COLUMNS),
        n_samples=len(y),
    )


def evaluate_sets(
    y: Any,
    sets: Any,
    *,
    classes: Any = None,
    nominal: float = 0.9,
    weights: Any = None,
    groups: Any = None,
) -> SetEvaluation:
    """Measure coverage and size of sets of classes.

    Parameters
    ----------
    y : array_like, shape (n_samples,)
        True class.
    sets : array_like of bool, shape (n_samples, n_classes)
        Which classes are in the set, as `ConformalClassifier.predict_sets` gives them.
    classes : array_like, shape (n_classes,), optional
        What the columns are, ``classes_`` of the model. Default: the sorted labels of ``y``.
    nominal : float
        The coverage that was promised, between 0 and 1.
    weights, groups : array_like, shape (n_samples,), optional
        As for `evaluate_intervals`.

    Returns
    -------
    SetEvaluation

    Raises
    ------
    ValueError
        When lengths differ, or ``y`` holds a label that is no column of the sets.

    References
    ----------
    Vovk, Gammerman & Shafer 2005, doi:10.1007/b106715.

    Examples
    --------
    >>> print(evaluate_sets([0, 1, 1, 0], [[1, 0], [1, 1], [1, 0], [1, 0]], nominal=0.75))
    coverage 0.7500 of 0.75 +- 0.2165 (+0.0 sigma), mean size 1.250, one class in 75.0% and none \
in 0.0% of 4 sets
    """
    y = np.asarray(y)
    if y.ndim != 1 or not len(y):
        raise invalid("y", "one label per sample, at least one", y)
    check_real("nominal", nominal, above=0, below=1)
    labels = np.unique(y) if classes is None else np.asarray(classes)
    inside = np.asarray(sets)
    if inside.shape[1:] != (len(labels),) or not np.isin(inside, (0, 1)).all():
        raise invalid("sets", f"true or false for each of {len(labels)} classes", sets,
                      "Give classes=model.classes_.")  # fmt: skip
    inside = inside.astype(bool)
    column = {label: number for number, label in enumerate(labels.tolist())}
    if strange := sorted({str(label) for label in y.tolist() if label not in column}):
        raise ValueError(f"y must hold the classes {labels.tolist()} only, got {strange[:5]} too.")
    w, group = _check_rows(y, sets=inside, weights=weights, groups=groups)
    covered = inside[np.arange(len(y)), [column[label] for label in y.tolist()]]
    size = inside.sum(axis=1).astype(float)

    def measure(rows: np.ndarray) -> tuple[float, ...]:
        own = w[rows]
        share, error = _measure_coverage(covered[rows], own, group[rows], float(nominal))
        return share, error, _average(size[rows], own)

    coverage, error, mean_size = measure(np.ones(len(y), dtype=bool))
    return SetEvaluation(
        nominal=float(nominal),
        coverage=coverage,
        error=error,
        size=mean_size,
        empty=_average((size == 0).astype(float), w),
        single=_average((size == 1).astype(float), w),
        classes=_tabulate(y, w, measure, SET_COLUMNS),
        n_samples=len(y),
    )


def _check_rows(y: np.ndarray, **columns: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and group numbers; everything has one entry per sample."""
    check_same_length(y=y, **columns)
    weights, groups = columns["weights"], columns["groups"]
    w = np.ones(len(y)) if weights is None else check_real("weights", weights, at_least=0)
    if not w.sum() > 0:
        raise invalid("weights", "> 0 for some sample", weights)
    if groups is None:
        return w, np.arange(len(y))
    return w, np.unique(np.asarray(groups), return_inverse=True)[1]


def _measure_coverage(
    inside: np.ndarray, w: np.ndarray, group: np.ndarray, nominal: float
) -> tuple[float, float]:
    """Weighted share inside; error of the promise with the groups' effective number (Kish)."""
    total = np.bincount(group, w)
    n_effective = total.sum() ** 2 / np.sum(total**2) if total.sum() > 0 else np.nan
    return _average(inside.astype(float), w), float(np.sqrt(nominal * (1 - nominal) / n_effective))


def _average(values: np.ndarray, w: np.ndarray) -> float:
    """Weighted mean; NaN without weight, and what has no weight cannot make it infinite."""
    kept = w > 0
    return float(np.average(values[kept], weights=w[kept])) if kept.any() else float("nan")


def _tabulate(labels: Any, w: np.ndarray, measure: Any, names: tuple[str, ...]) -> QTable:
    """One row per label; measures are NaN where no sample has a weight."""
    if labels is None:
        return QTable({name: np.zeros(0) for name in names})
    different, place = np.unique(np.asarray(labels), return_inverse=True)
    masks = [place == number for number in range(len(different))]
    rows = np.array([(int(mask.sum()), *measure(mask)) for mask in masks])
    return QTable([different, rows[:, 0].astype(int), *rows[:, 1:].T], names=names)
