"""Boosted decision trees, the work-horse of gamma-hadron separation: scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .._validation import check_choice, check_real
from ..samples import Samples
from ._lightgbm_text import load_booster, write_booster
from ._rows import check_rows, unpack_samples
from ._scoring import FEWEST_ROWS, can_tabulate, score_rows

LOSSES = {"squared_error": "regression", "absolute_error": "regression_l1"}


class _BoostedTrees(BaseEstimator):
    """What the classifier and the regressor share; `__init__` only stores, as scikit-learn asks."""

    def __init__(
        self,
        *,
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
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_leaves = max_leaves
        self.min_samples_leaf = min_samples_leaf
        self.l2 = l2
        self.subsample = subsample
        self.max_features = max_features
        self.linear_leaves = linear_leaves
        self.linear_l2 = linear_l2
        self.n_bags = n_bags
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_parameters(self) -> None:
        for name in ("n_estimators", "min_samples_leaf", "n_bags", "n_iter_no_change"):
            check_real(name, getattr(self, name), at_least=1)
        check_real("n_jobs", self.n_jobs or 1, at_least=-1024, at_most=1024)
        check_real("max_leaves", self.max_leaves, at_least=2)
        check_real("learning_rate", self.learning_rate, above=0)
        for name in ("l2", "linear_l2"):
            check_real(name, getattr(self, name), at_least=0)
        check_real("subsample", self.subsample, above=0, at_most=1)
        if self.max_features != "auto":
            check_real(
                "max_features", self.max_features, above=0, at_most=1, next_step="Or give 'auto'."
            )
        check_real("validation_fraction", self.validation_fraction, above=0, below=1)

    def _list_options(self, seed: int, n_features: int) -> dict[str, Any]:
        """LightGBM's names for our parameters; the fixed ones make a fit repeatable."""
        share = self.max_features
        if share == "auto":
            share = 0.5 if n_features >= 16 else 1.0
        options: dict[str, Any] = {
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": effective_n_jobs(self.n_jobs),
            "seed": int(seed),
            "learning_rate": float(self.learning_rate),
            "num_leaves": int(self.max_leaves),
            "min_data_in_leaf": int(self.min_samples_leaf),
            "lambda_l2": float(self.l2),
            "bagging_fraction": float(self.subsample),
            "bagging_freq": int(self.subsample < 1),
            "feature_fraction": float(share),
            # A column that takes few values is split between any two of them.
            "min_data_in_bin": 1,
        }
        if self.linear_leaves:
            options |= {"linear_tree": True, "linear_lambda": float(self.linear_l2)}
        return options

    def _split_validation(
        self, target: np.ndarray, groups: np.ndarray | None, seed: int, *, stratify: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows to fit on and rows to stop on; a group is never on both sides."""
        fraction = float(self.validation_fraction)
        if groups is not None:
            splitter: Any = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        elif stratify and np.bincount(target.astype(int)).min() > 1:
            splitter = StratifiedShuffleSplit(1, test_size=fraction, random_state=seed)
        else:
            splitter = ShuffleSplit(1, test_size=fraction, random_state=seed)
        fit_rows, stop_rows = next(splitter.split(target, target, groups))
        return fit_rows, stop_rows

    def _train(
        self,
        X: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray | None,
        groups: np.ndarray | None,
        objective: dict[str, Any],
    ) -> None:
        import lightgbm

        stratify = objective["objective"] != "regression" and target.dtype.kind in "iu"
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=int(self.n_bags))
        if self.linear_leaves:
            self._store_range(X)
        self.boosters_, self._trees, self.n_iter_ = [], [], []
        for seed in seeds:
            options = self._list_options(seed, X.shape[1]) | objective
            rows, valid = np.arange(len(target)), []
            callbacks: list[Callable[..., Any]] = []
            if self.early_stopping:
                rows, stop = self._split_validation(target, groups, int(seed), stratify=stratify)
                callbacks = [lightgbm.early_stopping(int(self.n_iter_no_change), verbose=False)]
            every = len(rows) == len(target)
            data = lightgbm.Dataset(
                X if every else X[rows],
                target if every else target[rows],
                weight=None if weight is None else weight[rows],
                params=options,
            )
            if self.early_stopping:
                valid = [
                    data.create_valid(
                        X[stop], target[stop], weight=None if weight is None else weight[stop]
                    )
                ]
            booster = lightgbm.train(
                options, data, int(self.n_estimators), valid_sets=valid, callbacks=callbacks
            )
            text = write_booster(booster)
            kept, trees = load_booster(text)
            self.boosters_.append(kept)
            self._trees.append(trees)
            self.n_iter_.append(kept.current_iteration())

    def _store_range(self, X: np.ndarray) -> None:
        """Remember the range of each feature: linear leaves must not extrapolate beyond it."""
        seen = ~np.isnan(X)
        self.feature_low_ = np.where(seen, X, np.inf).min(axis=0)
        self.feature_high_ = np.where(seen, X, -np.inf).max(axis=0)

    def _score_rows(self, X: Any) -> np.ndarray:
        """Mean raw score over the bags."""
        check_is_fitted(self)
        X = check_rows(self, X)
        if hasattr(self, "feature_low_"):
            seen = self.feature_high_ >= self.feature_low_
            low = np.where(seen, self.feature_low_, -np.inf).astype(X.dtype)
            high = np.where(seen, self.feature_high_, np.inf).astype(X.dtype)
            X = np.clip(X, low, high)
        n_jobs = effective_n_jobs(self.n_jobs)
        if len(X) >= FEWEST_ROWS and can_tabulate(self._trees):
            n_outputs = self.boosters_[0].num_model_per_iteration()
            return score_rows(self._trees, X, n_outputs=n_outputs, n_jobs=n_jobs)
        total = 0.0
        for booster in self.boosters_:
            total = total + booster.predict(X, raw_score=True, num_threads=n_jobs)
        return np.asarray(total) / len(self.boosters_)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Fitted state as plain values and named pieces of LightGBM text, for `save_model`."""
        state: dict[str, Any] = {"n_iter": [int(n) for n in self.n_iter_]}
        if hasattr(self, "feature_low_"):
            state["feature_low"] = [float(value) for value in self.feature_low_]
            state["feature_high"] = [float(value) for value in self.feature_high_]
        texts = [write_booster(booster).encode("ascii") for booster in self.boosters_]
        return state, {f"bag_{k:03d}.txt": text for k, text in enumerate(texts)}

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        """Inverse of `_get_fitted`; the texts are checked before LightGBM sees them."""
        n_outputs = len(self.classes_) if len(getattr(self, "classes_", ())) > 2 else 1
        loaded = [
            load_booster(
                weights[name].decode("ascii"), n_features=self.n_features_in_, n_outputs=n_outputs
            )
            for name in sorted(weights)
        ]
        self.boosters_ = [booster for booster, _ in loaded]
        self._trees = [trees for _, trees in loaded]
        self.n_iter_ = [int(n) for n in state["n_iter"]]
        if len(self.boosters_) != len(self.n_iter_) or not self.boosters_:
            raise ValueError("the number of boosters must match n_iter")
        if "feature_low" in state:
            for name in ("feature_low", "feature_high"):
                values = np.array(state[name], dtype=float)
                if values.shape != (self.n_features_in_,):
                    raise ValueError(f"{name} must have one value per feature")
                setattr(self, f"{name}_", values)


class BDTClassifier(ClassifierMixin, _BoostedTrees):
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


class BDTRegressor(RegressorMixin, _BoostedTrees):
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
