"""Boosted decision trees, the work-horse of gamma-hadron separation: scikit-learn's contract."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from .._validation import check_choice
from ..samples import Samples
from ._boosting import BoostedTrees
from ._rows import unpack_samples

LOSSES = {"squared_error": "regression", "absolute_error": "regression_l1"}


class BDTClassifier(ClassifierMixin, BoostedTrees):
    """Boosted decision trees for classes: LightGBM, repeatable, averaged over bags on request.

    The defaults were chosen on MAGIC events with development folds and serve a few thousand to a
    few million events with 10 to 100 image parameters. NaN is a missing value.

    Parameters
    ----------
    n_estimators : int
        Boosting rounds; the most when ``early_stopping``.
    learning_rate : float
        Shrinkage of each tree.
    max_leaves : int
        Leaves of a tree.
    min_samples_leaf : int
        Fewest samples in a leaf.
    l2 : float
        L2 penalty of the leaf values.
    subsample : float
        Share of the samples drawn for each tree, without replacement.
    max_features : float or "auto"
        Share of the features drawn for each tree; "auto" is half of them, or all where there are
        fewer than 16.
    linear_leaves : bool
        A leaf holds a linear function of the features that lead to it instead of a constant.
        Better on smooth problems with few columns, slower to score. Beyond the range of the
        training data a feature counts as being at its edge: leaves never extrapolate.
    linear_l2 : float
        L2 penalty of the linear functions.
    n_bags : int
        Boosters of different seeds whose raw scores are averaged.
    early_stopping : bool
        Hold out ``validation_fraction`` of the samples (of the groups, where ``fit`` gets groups)
        for each bag and stop after ``n_iter_no_change`` rounds without a better log-loss.
    validation_fraction, n_iter_no_change : float, int
        See ``early_stopping``.
    random_state : int, RandomState or None
        The same integer gives the same model, bit for bit, at one ``n_jobs``.
    n_jobs : int or None
        Threads for fit and predict; None is one, -1 all.

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted; the score is for the last of two.
    boosters_ : list of lightgbm.Booster
        One per bag.
    n_iter_ : list of int
        Rounds of each.
    feature_names_in_ : ndarray of str
        When ``X`` was a `Samples` with names or a data frame; checked at predict.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(400, 3))
    >>> y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)
    >>> model = BDTClassifier(n_estimators=50, random_state=1).fit(X[:300], y[:300])
    >>> bool(model.score(X[300:], y[300:]) > 0.8)
    True
    """

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> BDTClassifier:
        """Train.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or Samples
            Finite or NaN. A `Samples` brings its own ``y``, weights, groups and feature names.
        y : array_like, shape (n_samples,)
            Labels, two classes or more.
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0.
        groups : array_like, shape (n_samples,), optional
            What early stopping must not split: the shower, the run.

        Raises
        ------
        ValueError
            For one class only, unlabelled (-1) `Samples`, or a parameter out of range.
        """
        self._check_parameters()
        X, y, sample_weight, groups, names = unpack_samples(
            X, y, sample_weight, groups, labels=True
        )
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", ensure_all_finite="allow-nan"
        )
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        check_classification_targets(y)
        weight = None if sample_weight is None else _check_sample_weight(
            sample_weight, X, ensure_non_negative=True
        )  # fmt: skip
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must hold two classes or more, got one class, {self.classes_[0]!r}. "
                "Add samples of another class."
            )
        if len(self.classes_) == 2:
            objective: dict[str, Any] = {"objective": "binary"}
        else:
            objective = {"objective": "multiclass", "num_class": len(self.classes_)}
        self._train(X, target, weight, groups, objective)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Raw score: log-odds of ``classes_[1]``, or one column per class when there are more.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or Samples
            Finite or NaN.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_classes)
        """
        return self._score_rows(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Score in [0, 1] per class, shape (n_samples, n_classes); a score until calibrated."""
        score = self._score_rows(X)
        if score.ndim == 2:
            return softmax(score, axis=1)
        signal = expit(score)
        return np.column_stack([1 - signal, signal])

    def predict(self, X: Any) -> np.ndarray:
        """Return the label with the largest score."""
        score = self._score_rows(X)
        best = score.argmax(axis=1) if score.ndim == 2 else (score > 0).astype(int)
        return self.classes_[best]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy, as scikit-learn defines it for classifiers."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)


class BDTRegressor(RegressorMixin, BoostedTrees):
    """Boosted decision trees for a continuous target, the energy for one.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error"}
        What is minimised: the first estimates the mean, the second the median.
    n_estimators, learning_rate, max_leaves, min_samples_leaf, l2, subsample, max_features, \
linear_leaves, linear_l2, n_bags, early_stopping, validation_fraction, n_iter_no_change, \
random_state, n_jobs
        As for `BDTClassifier`; linear leaves need the squared error.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(size=(400, 2))
    >>> model = BDTRegressor(n_estimators=100, random_state=1).fit(X, 3 * X[:, 0])
    >>> bool(abs(model.predict([[0.5, 0.5]])[0] - 1.5) < 0.1)
    True
    """

    def __init__(
        self,
        *,
        loss: str = "squared_error",
        n_estimators: int = 400,
        learning_rate: float = 0.03,
        max_leaves: int = 24,
        min_samples_leaf: int = 20,
        l2: float = 5.0,
        subsample: float = 0.7,
        max_features: float | str = "auto",
        linear_leaves: bool = False,
        linear_l2: float = 1.0,
        n_bags: int = 1,
        early_stopping: bool = False,
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 50,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = 1,
    ) -> None:
        super().__init__(
            n_estimators=n_estimators,
            learning_rate=learning_rate,
            max_leaves=max_leaves,
            min_samples_leaf=min_samples_leaf,
            l2=l2,
            subsample=subsample,
            max_features=max_features,
            linear_leaves=linear_leaves,
            linear_l2=linear_l2,
            n_bags=n_bags,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.loss = loss

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> BDTRegressor:
        """Train; arguments as for `BDTClassifier.fit`, ``y`` a finite number per sample."""
        self._check_parameters()
        check_choice("loss", self.loss, LOSSES)
        if self.linear_leaves and self.loss != "squared_error":
            raise ValueError(
                f"loss must be 'squared_error' with linear leaves, got {self.loss!r}. "
                "Set linear_leaves=False."
            )
        X, y, sample_weight, groups, names = unpack_samples(X, y, sample_weight, groups)
        X, y = validate_data(
            self,
            X,
            y,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite="allow-nan",
            y_numeric=True,
            ensure_min_samples=2,
        )
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        weight = None if sample_weight is None else _check_sample_weight(
            sample_weight, X, ensure_non_negative=True
        )  # fmt: skip
        self._train(X, np.asarray(y, dtype=float), weight, groups, {"objective": LOSSES[self.loss]})
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the estimate per sample, shape (n_samples,)."""
        return self._score_rows(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)
