"""Scores made into probabilities, on samples that trained nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real
from ._calibrators import METHODS, Calibrator
from ._wrapper import (
    ClassifierWrapper,
    complete_seeds,
    draw_seed,
    encode_labels,
    fit_model,
    hold_out,
    score_folds,
)


class CalibratedClassifier(ClassifierWrapper):
    """A classifier whose scores may be read as probabilities, for objects like the training ones.

    With ``n_splits`` of two or more every sample is scored by a model that has not seen its
    group; one map is fitted to all these scores, and one model is trained on everything. With
    ``n_splits=1`` a share is held out for the map, and one model is trained on the rest.

    Parameters
    ----------
    estimator : classifier, optional
        Any member with ``predict_proba``; `BDTClassifier()` when None.
    method : {"temperature", "platt", "isotonic"}
        "temperature": one number by which log-probabilities are divided; labels stay as they
        are. "platt": a line in the log-odds. "isotonic": any rising map; it needs a thousand
        samples or more.
    n_splits : int
        See above.
    fraction : float
        What ``n_splits=1`` holds out.
    random_state : int, RandomState or None
        For the splits, and for a random_state of None inside.

    Attributes
    ----------
    model_ : estimator
    calibrator_ : fitted map
    classes_ : ndarray

    References
    ----------
    Platt 1999; Zadrozny & Elkan 2002, doi:10.1145/775047.775151; Guo et al. 2017,
    arXiv:1706.04599.

    Examples
    --------
    >>> from astroml_kit.models import BDTClassifier
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(400, 2))
    >>> y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    >>> model = CalibratedClassifier(BDTClassifier(n_estimators=200, random_state=1),
    ...                              random_state=1).fit(X, y)
    >>> bool(model.calibrator_.values[0][0] > 1.2)  # it was too sure of itself
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: str = "temperature",
        n_splits: int = 5,
        fraction: float = 0.2,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.n_splits = n_splits
        self.fraction = fraction
        self.random_state = random_state

    def _check_parameters(self) -> None:
        check_choice("method", self.method, METHODS)
        check_real("n_splits", self.n_splits, at_least=1, next_step="Give a whole number.")
        check_real("fraction", self.fraction, above=0, below=1)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> CalibratedClassifier:
        """Train and calibrate; arguments as for ``estimator.fit``.

        Raises
        ------
        ValueError
            When a class has fewer samples than splits, and as for ``estimator.fit``.
        """
        self._check_parameters()
        data = self._open(X, y, sample_weight, groups)
        n_splits = int(self.n_splits)
        classes, code = encode_labels(data.y, least=2 if n_splits == 1 else n_splits)
        seed = draw_seed(self.random_state)
        model = complete_seeds(self._get_estimator(), seed)
        if n_splits > 1:
            held = np.arange(len(data))
            p = score_folds(model, data, code, n_splits=n_splits, seed=seed)
            self.model_ = fit_model(clone(model), data)
        else:
            rows, held = hold_out(data, code, fraction=float(self.fraction), seed=seed)
            self.model_ = fit_model(clone(model), data.take(rows))
            if len(self.model_.classes_) != len(classes):
                raise ValueError("fraction must leave samples of every class to train on.")
            p = self.model_.predict_proba(data.show(held))
        weight = None if data.weight is None else data.weight[held]
        self.calibrator_ = Calibrator.fit(self.method, p, code[held], weight)
        self.classes_ = self.model_.classes_
        self._store_shape(self.model_)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability per class, shape (n_samples, n_classes)."""
        check_is_fitted(self)
        return self.calibrator_.apply(self.model_.predict_proba(X))

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        values = [list(row) for row in self.calibrator_.values]
        return {"calibrator": values}, {"model_0000": self.model_}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.model_ = parts["model_0000"]
        if self.model_.classes_.tolist() != self.classes_.tolist():
            raise ValueError("the model inside must have the same classes.")
        self.calibrator_ = Calibrator.from_lists(
            self.method, state["calibrator"], len(self.classes_)
        )
