"""Several classifiers averaged with weights that out-of-fold scores have chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real
from ._wrapper import (
    SMALLEST,
    ClassifierWrapper,
    Data,
    complete_seeds,
    draw_seed,
    encode_labels,
    fit_model,
    score_folds,
)


class BlendedClassifier(ClassifierWrapper):
    """A weighted mean of log-probabilities or probabilities of different classifiers.

    Weights are those of the smallest log-loss of out-of-fold scores, groups kept whole; then
    every classifier is trained on everything.

    Parameters
    ----------
    estimators : list of (str, classifier)
        Any members with ``predict_proba``; a BDT and a network when empty.
    average : {"log", "linear"}
        Of log-probabilities, whose weights need not add up to one and so calibrate the blend as a
        temperature does, or of probabilities.
    n_splits : int
        Folds.
    random_state : int, RandomState or None
        For the folds, and for a random_state of None inside.

    Attributes
    ----------
    models_ : list of estimator
    weights_ : ndarray, shape (n_estimators,)
    classes_ : ndarray

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1.

    Examples
    --------
    >>> from astroml_kit.models import BDTClassifier
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(300, 2))
    >>> y = (X[:, 0] > 0).astype(int)
    >>> few = [(str(n), BDTClassifier(n_estimators=n, random_state=1)) for n in (5, 50)]
    >>> model = BlendedClassifier(few, random_state=1).fit(X, y)
    >>> bool(model.weights_[1] > model.weights_[0])
    True
    """

    def __init__(
        self,
        estimators: Any = (),
        *,
        average: str = "log",
        n_splits: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimators = estimators
        self.average = average
        self.n_splits = n_splits
        self.random_state = random_state

    def _list_estimators(self) -> list[tuple[str, Any]]:
        from .bdt import BDTClassifier
        from .neural import NeuralClassifier

        usual = [("trees", BDTClassifier()), ("network", NeuralClassifier())]
        return list(self.estimators) or usual

    def _get_estimator(self) -> Any:
        return self._list_estimators()[-1][1]

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> BlendedClassifier:
        """Train every classifier and weigh them; arguments as for theirs."""
        check_choice("average", self.average, ("log", "linear"))
        check_real("n_splits", self.n_splits, at_least=2, next_step="Give a whole number.")
        return self._fit_all(self._open(X, y, sample_weight, groups))

    def _fit_all(self, data: Data) -> Any:
        """Weigh and train every classifier on what it sees of the data."""
        n_splits = int(self.n_splits)
        classes, code = encode_labels(data.y, least=n_splits)
        seed = draw_seed(self.random_state)
        models = [complete_seeds(model, seed) for _, model in self._list_estimators()]
        seen = [self._show(data, model) for model in models]
        scores = np.stack(
            [
                score_folds(model, part, code, n_splits=n_splits, seed=seed)
                for model, part in zip(models, seen, strict=True)
            ]
        )
        self.classes_, self.weights_ = classes, self._weigh(scores, code, data.weight)
        self.models_ = [
            fit_model(clone(model), part) for model, part in zip(models, seen, strict=True)
        ]
        self._store_shape(self.models_[-1])
        return self

    def _show(self, data: Data, model: Any) -> Data:
        """Return what a classifier sees of the data: all of it."""
        return data

    def _weigh(self, scores: np.ndarray, code: np.ndarray, weight: Any) -> np.ndarray:
        def loss(w: np.ndarray) -> float:
            p = np.clip(self._blend(scores, w), SMALLEST, None)
            return float(-np.average(np.log(p[np.arange(len(code)), code]), weights=weight))

        n = len(scores)
        total = () if self.average == "log" else ({"type": "eq", "fun": lambda w: w.sum() - 1},)
        found = minimize(loss, np.full(n, 1 / n), bounds=[(0, 5)] * n, constraints=total,
                         method="SLSQP", options={"maxiter": 300})  # fmt: skip
        return found.x

    def _blend(self, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        if self.average == "linear":
            return np.tensordot(weights, scores, axes=1)
        return softmax(
            np.tensordot(weights, np.log(np.clip(scores, SMALLEST, None)), axes=1), axis=1
        )

    def predict_proba(self, X: Any) -> np.ndarray:
        """Blended probability per class, shape (n_samples, n_classes)."""
        check_is_fitted(self)
        return self._average([model.predict_proba(X) for model in self.models_])

    def _average(self, each: list[np.ndarray]) -> np.ndarray:
        scores = np.stack(each)
        p = self._blend(scores, self.weights_)
        return p / p.sum(axis=1, keepdims=True)

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        parts = {f"model_{k:04d}": model for k, model in enumerate(self.models_)}
        return {"weights": self.weights_.tolist()}, parts

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.models_ = [parts[f"model_{k:04d}"] for k in range(len(parts))]
        self.weights_ = np.array(state["weights"], dtype=float)
        if self.weights_.shape != (len(self.models_),) or not np.all(self.weights_ >= 0):
            raise ValueError("there must be one weight, at least 0, per model.")
        if any(m.classes_.tolist() != self.classes_.tolist() for m in self.models_):
            raise ValueError("the models inside must have the same classes.")
