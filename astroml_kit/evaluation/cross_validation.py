"""Out-of-fold scores by group, with the naive split beside them when it is asked for."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import QTable
from joblib import Parallel, delayed
from sklearn.base import clone, is_classifier

from .._validation import check_real
from ..samples import Samples
from ._roc import SortedScores, measure_roc
from .classifier import NAMES, ClassifierEvaluation, evaluate_classifier
from .regressor import RegressorEvaluation, evaluate_regressor
from .splits import RepeatedGroupKFold


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Scores of samples by models that never saw their group.

    Attributes
    ----------
    samples : Samples
        What was scored.
    scores : ndarray, shape (n_repeats, n_samples)
        Out-of-fold: score of the higher class, or the prediction of a regressor.
    folds : ndarray of int, shape (n_repeats, n_samples)
        The fold that each sample was tested in.
    classes : tuple
        The two labels, the higher one being signal; empty for a regressor.
    by_group : bool
        Whether groups were kept whole.
    naive : tuple of CrossValidation
        The same with groups torn apart, at most one: what leakage would make of it.
    """

    samples: Samples
    scores: np.ndarray
    folds: np.ndarray
    classes: tuple[Any, ...]
    by_group: bool
    naive: tuple[CrossValidation, ...] = ()

    @property
    def per_fold(self) -> QTable:
        """One row per repeat and fold: ``auc``, ``acceptance_<percent>``, ``loacc``, ``hiacc``."""
        if not self.classes:
            raise ValueError("per_fold is for classifiers. Use evaluate() for a regressor.")
        signal = self.samples.y == self.classes[1]
        weights = self.samples.weights
        weights = np.ones(len(signal)) if weights is None else weights.astype(float)
        rows = []
        for repeat, (scores, folds) in enumerate(zip(self.scores, self.folds, strict=True)):
            for fold in np.unique(folds):
                inside = folds == fold
                ranked = SortedScores.sort(signal[inside], scores[inside])
                rows.append((repeat, fold, *measure_roc(*ranked.compute_roc(weights[inside]))))
        return QTable(rows=rows, names=("repeat", "fold", *NAMES))

    def evaluate(
        self, *, repeat: int = 0, **options: Any
    ) -> ClassifierEvaluation | RegressorEvaluation:
        """Evaluate all scores of one repeat together.

        Parameters
        ----------
        repeat : int
            Which.
        options
            ``bands``, ``n_bootstrap``, ``rng`` and the like, for `evaluate_classifier` or
            `evaluate_regressor`. Weights and groups come with the samples.

        Returns
        -------
        ClassifierEvaluation or RegressorEvaluation
        """
        target, score = self.samples.y, self.scores[repeat]
        options = {"weights": self.samples.weights, "groups": self.samples.groups} | options
        if self.classes:
            return evaluate_classifier(target == self.classes[1], score, **options)
        return evaluate_regressor(target, score, **options)

    def __str__(self) -> str:
        split = "by group" if self.by_group else "naive, groups torn apart"
        n_folds = len(np.unique(self.folds[0]))
        text = f"{n_folds} folds x {len(self.scores)} repeats {split}: "
        if self.classes:
            table = self.per_fold
            parts = []
            for name in ("auc", "loacc", "hiacc"):
                values = np.asarray(table[name])
                # Folds share training data: their spread is a scale, not an exact error.
                error = values.std(ddof=1) / np.sqrt(n_folds)
                parts.append(f"{name} {values.mean():.4f} +- {error:.4f}")
            text += ", ".join(parts)
        else:
            text += str(self.evaluate(n_bootstrap=0))
        return "; ".join([text, *map(str, self.naive)])

    def to_dict(self) -> dict[str, Any]:
        """Mean and spread over the folds, and the pooled evaluation of each repeat."""
        plain: dict[str, Any] = {"by_group": self.by_group, "n_repeats": len(self.scores)}
        if self.classes:
            table = self.per_fold
            plain["mean_over_folds"] = {name: float(np.mean(table[name])) for name in NAMES}
            plain["std_over_folds"] = {name: float(np.std(table[name], ddof=1)) for name in NAMES}
        pooled = [self.evaluate(repeat=k, n_bootstrap=0) for k in range(len(self.scores))]
        plain["pooled"] = [
            {name: getattr(one, name) for name in ("auc", "loacc", "hiacc", "brier", "ece")}
            if isinstance(one, ClassifierEvaluation)
            else {name: getattr(one, name) for name in ("bias", "resolution", "rmse", "r2")}
            for one in pooled
        ]
        plain["naive"] = [one.to_dict() for one in self.naive]
        return plain


def cross_validate(
    estimator: Any,
    samples: Samples,
    *,
    n_splits: int = 10,
    n_repeats: int = 1,
    rng: Any = None,
    naive: bool = False,
    workers: int = 1,
) -> CrossValidation:
    """Score every sample with models that never saw its group.

    Parameters
    ----------
    estimator : classifier or regressor
        scikit-learn's contract; cloned for each fold. Its ``fit`` gets weights and, when it takes
        them, groups.
    samples : Samples
        With ``y``: two classes, or numbers for a regressor.
    n_splits, n_repeats : int
        Folds, and how often to shuffle and split again.
    rng : Generator, int or None
        For the splits; the estimator's own ``random_state`` is its own business.
    naive : bool
        Also split by sample, groups torn apart: the difference is what leakage would have given.
    workers : int
        Processes.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        Without labels, with other than two classes, or with fewer groups than folds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(200, 2))
    >>> samples = Samples(X, y=(X[:, 0] > 0).astype(int), groups=np.arange(200) // 2)
    >>> result = cross_validate(LogisticRegression(), samples, n_splits=5, rng=1)
    >>> result.scores.shape
    (1, 200)
    >>> bool(result.evaluate(n_bootstrap=0).auc > 0.98)
    True
    """
    if samples.y is None:
        raise ValueError("samples must have y, got None. Extract them with labels.")
    check_real("workers", workers, at_least=1)
    classes: tuple[Any, ...] = ()
    if is_classifier(estimator):
        labels = np.unique(samples.y)
        if len(labels) != 2:
            raise ValueError(
                f"samples must have two classes, got {len(labels)}, {labels[:5].tolist()}. "
                "Select two; -1 means unlabelled."
            )
        classes = tuple(labels.tolist())
    seed = int(np.random.default_rng(rng).integers(2**31 - 1))
    by_group = samples.groups is not None
    result = _run(estimator, samples, classes, n_splits, n_repeats, seed, by_group, int(workers))
    if not (naive and by_group):
        return result
    torn = _run(estimator, samples, classes, n_splits, n_repeats, seed, False, int(workers))
    return CrossValidation(
        samples, result.scores, result.folds, classes, by_group=True, naive=(torn,)
    )


def _run(
    estimator: Any,
    samples: Samples,
    classes: tuple[Any, ...],
    n_splits: int,
    n_repeats: int,
    seed: int,
    by_group: bool,
    workers: int,
) -> CrossValidation:
    splitter = RepeatedGroupKFold(n_splits, n_repeats=n_repeats, random_state=seed)
    groups = samples.groups if by_group else None
    splits = list(splitter.split(samples.X, samples.y, groups))
    parts = Parallel(n_jobs=workers)(
        delayed(_score_fold)(estimator, samples, train, test, by_group) for train, test in splits
    )
    scores = np.full((n_repeats, len(samples)), np.nan)
    folds = np.full((n_repeats, len(samples)), -1)
    for number, ((_, test), part) in enumerate(zip(splits, parts, strict=True)):
        scores[number // n_splits, test] = part
        folds[number // n_splits, test] = number % n_splits
    return CrossValidation(samples, scores, folds, classes, by_group=by_group)


def _score_fold(
    estimator: Any, samples: Samples, train: np.ndarray, test: np.ndarray, by_group: bool
) -> np.ndarray:
    """Fit on the training rows, score the test rows."""
    model = clone(estimator)
    takes = inspect.signature(model.fit).parameters
    extra = {}
    if samples.weights is not None:
        extra["sample_weight"] = samples.weights[train]
    if by_group and samples.groups is not None and "groups" in takes:
        extra["groups"] = samples.groups[train]
    model.fit(samples.X[train], samples.y[train], **extra)  # type: ignore[index]
    if not is_classifier(model):
        return np.asarray(model.predict(samples.X[test]))
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(samples.X[test]))[:, 1]
    return np.asarray(model.decision_function(samples.X[test]))
