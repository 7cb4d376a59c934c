"""Sets and intervals that hold the truth as often as they say, whatever the model inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real
from ..samples import Samples
from ._wrapper import (
    ClassifierWrapper,
    Wrapper,
    complete_seeds,
    draw_seed,
    encode_labels,
    fit_model,
    hold_out,
)


def find_bound(scores: np.ndarray, confidence: float) -> float:
    """Return the score below which the next one lies with at least this probability.

    ``scores`` are ascending; infinite when they are too few for the confidence.
    """
    rank = int(np.ceil((len(scores) + 1) * confidence))
    return float(scores[rank - 1]) if rank <= len(scores) else np.inf


class _Conformal(Wrapper):
    """Splitting, and the ascending scores of what was held out."""

    fraction: float
    confidence: float
    random_state: Any

    def _check_parameters(self) -> None:
        check_real("fraction", self.fraction, above=0, below=1)
        check_real("confidence", self.confidence, above=0, below=1)

    def _get_confidence(self, confidence: float | None) -> float:
        check_is_fitted(self)
        if confidence is None:
            return float(self.confidence)
        return float(check_real("confidence", confidence, above=0, below=1))

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        scores = [part.tolist() for part in self.scores_]
        return {"scores": scores}, {"model_0000": self.model_}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.model_ = parts["model_0000"]
        self.scores_ = [np.array(part, dtype=float) for part in state["scores"]]
        for part in self.scores_:
            if part.ndim != 1 or not np.isfinite(part).all() or np.any(np.diff(part) < 0):
                raise ValueError("conformity scores must be finite and ascending.")
        if len(self.scores_) not in (1, len(getattr(self, "classes_", (0,)))):
            raise ValueError("conformity scores must be one list, or one per class.")
        if hasattr(self, "classes_") and self.model_.classes_.tolist() != self.classes_.tolist():
            raise ValueError("the model inside must have the same classes.")


class ConformalClassifier(_Conformal, ClassifierWrapper):
    """Sets of classes that hold the true one with a stated confidence.

    A share is held out, groups kept whole; the model is trained on the rest. A class is in the
    set when its probability is no smaller than those of all but a share of 1 - confidence of the
    true classes held out. The coverage is that over objects like these, whatever the model.

    Parameters
    ----------
    estimator : classifier, optional
        Any member with ``predict_proba``; `BDTClassifier()` when None.
    confidence : float
        Of the sets, unless `predict_sets` is told another.
    per_class : bool
        Hold it for each class by itself, which costs larger sets; else on average over classes.
    fraction : float
        What is held out.
    random_state : int, RandomState or None
        For the split, and for a random_state of None inside.

    Attributes
    ----------
    model_ : estimator
    scores_ : list of ndarray
        One minus the probability of the true class, ascending; one list, or one per class.
    classes_ : ndarray

    Notes
    -----
    The same sets as MAPIE's split conformal classifier with the score "lac"; own code because
    these are few lines, take images and series, and can be saved without pickle.

    References
    ----------
    Vovk, Gammerman & Shafer 2005; Sadinle, Lei & Wasserman 2019,
    doi:10.1080/01621459.2017.1395341.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(900, 2))
    >>> y = (X[:, 0] + rng.normal(size=900) > 0).astype(int)
    >>> model = ConformalClassifier(random_state=1).fit(X[:600], y[:600])
    >>> sets = model.predict_sets(X[600:])
    >>> bool(0.85 < sets[np.arange(300), y[600:]].mean() < 0.95)
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        confidence: float = 0.9,
        per_class: bool = False,
        fraction: float = 0.25,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.confidence = confidence
        self.per_class = per_class
        self.fraction = fraction
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> ConformalClassifier:
        """Train, and score what is held out; arguments as for ``estimator.fit``.

        Weights are for training: every held-out sample counts the same.
        """
        self._check_parameters()
        data = self._open(X, y, sample_weight, groups)
        classes, code = encode_labels(data.y)
        seed = draw_seed(self.random_state)
        rows, held = hold_out(data, code, fraction=float(self.fraction), seed=seed)
        self.model_ = fit_model(complete_seeds(self._get_estimator(), seed), data.take(rows))
        if self.model_.classes_.tolist() != classes.tolist():
            raise ValueError("fraction must leave samples of every class to train on.")
        p = self.model_.predict_proba(data.show(held))
        scores = 1 - p[np.arange(len(held)), code[held]]
        parts = [scores]
        if self.per_class:
            parts = [scores[code[held] == k] for k in range(len(classes))]
        self.scores_ = [np.sort(part) for part in parts]
        self.classes_ = classes
        self._store_shape(self.model_)
        return self

    def predict_sets(self, X: Any, confidence: float | None = None) -> np.ndarray:
        """Return which classes are in each set: bool, shape (n_samples, n_classes)."""
        confidence = self._get_confidence(confidence)
        bounds = [find_bound(part, confidence) for part in self.scores_]
        return 1 - self.model_.predict_proba(X) <= np.array(bounds)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Score per class of the model inside."""
        check_is_fitted(self)
        return self.model_.predict_proba(X)


class ConformalRegressor(RegressorMixin, _Conformal):
    """Intervals that hold the true value with a stated confidence.

    A share is held out, groups kept whole; the interval is as wide as the residuals there are
    large, or as they are against the error that the model itself states.

    Parameters
    ----------
    estimator : regressor, optional
        `BDTRegressor()` when None.
    confidence : float
        Of the intervals, unless `predict_interval` is told another.
    scale : {"constant", "std"}
        "std" divides residuals by the error that ``predict(X, return_std=True)`` of the estimator
        gives, so that uncertain objects get wider intervals.
    fraction : float
        What is held out.
    random_state : int, RandomState or None
        For the split, and for a random_state of None inside.

    Attributes
    ----------
    model_ : estimator
    scores_ : list of one ndarray
        Residuals held out, ascending.

    References
    ----------
    Lei et al. 2018, doi:10.1080/01621459.2017.1307116.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(900, 1))
    >>> y = X[:, 0] + 0.3 * rng.normal(size=900)
    >>> model = ConformalRegressor(random_state=1).fit(X[:600], y[:600])
    >>> low, high = model.predict_interval(X[600:]).T
    >>> bool(0.85 < np.mean((low <= y[600:]) & (y[600:] <= high)) < 0.95)
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        confidence: float = 0.9,
        scale: str = "constant",
        fraction: float = 0.25,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.confidence = confidence
        self.scale = scale
        self.fraction = fraction
        self.random_state = random_state

    def _get_estimator(self) -> Any:
        from .bdt import BDTRegressor

        return BDTRegressor() if self.estimator is None else self.estimator

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("scale", self.scale, ("constant", "std"))

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> ConformalRegressor:
        """Train, and measure what is held out; arguments as for ``estimator.fit``."""
        self._check_parameters()
        data = self._open(X, y, sample_weight, groups)
        if data.y.ndim != 1:
            raise ValueError(f"y must be one value per sample, got shape {data.y.shape}.")
        seed = draw_seed(self.random_state)
        rows, held = hold_out(data, None, fraction=float(self.fraction), seed=seed)
        self.model_ = fit_model(complete_seeds(self._get_estimator(), seed), data.take(rows))
        mean, scale = self._estimate(data.show(held))
        self.scores_ = [np.sort(np.abs(data.y[held] - mean) / scale)]
        self._store_shape(self.model_)
        return self

    def _estimate(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        if self.scale == "constant":
            mean = self.model_.predict(X)
            return mean, np.ones(len(mean))
        return self.model_.predict(X, return_std=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the estimates of the model inside."""
        check_is_fitted(self)
        return self.model_.predict(X)

    def predict_interval(self, X: Any, confidence: float | None = None) -> np.ndarray:
        """Return lower and upper ends, shape (n_samples, 2)."""
        confidence = self._get_confidence(confidence)
        bound = find_bound(self.scores_[0], confidence)
        mean, scale = self._estimate(X)
        return np.column_stack([mean - bound * scale, mean + bound * scale])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)
