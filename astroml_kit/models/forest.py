"""Forests of independent trees: little to set, and other mistakes than boosted trees make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .._validation import check_choice, check_real
from ..samples import Samples
from ._rows import check_rows, unpack_samples
from ._tensors import read_tensors, write_tensors
from ._tree_paths import TreePaths
from .cards import Carded

KINDS = {"extra": ExtraTreesClassifier, "random": RandomForestClassifier}


class ForestClassifier(ClassifierMixin, Carded, BaseEstimator):
    """Extremely randomised trees or a random forest for classes: scikit-learn's, saved as numbers.

    Where labels are few or wrong a forest is often the better model, and beside boosted trees it
    is a good second member of a `BlendedClassifier`. Its probabilities are shares of leaves: take
    `CalibratedClassifier` for those to be read as such. NaN is a missing value.

    Parameters
    ----------
    kind : {"extra", "random"}
        "extra" draws the thresholds at random and grows each tree on all samples; "random" looks
        for the best ones on samples drawn with replacement.
    n_estimators : int
        Trees.
    max_features : float or "sqrt"
        Share of the features tried for each split; "sqrt" is the square root of their number.
    min_samples_leaf : int
        Fewest samples in a leaf.
    max_depth : int or None
        Most splits on a path; None for no limit.
    random_state : int, RandomState or None
        The same integer gives the same model, bit for bit.
    n_jobs : int or None
        Threads for fit; None is one, -1 all.

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted.
    feature_importances_ : ndarray, shape (n_features,)
        Share of each feature in what the splits gain. It favours features of many values.
    feature_names_in_ : ndarray of str
        When ``X`` was a `Samples` with names or a data frame; checked at predict.

    References
    ----------
    Geurts, Ernst & Wehenkel 2006, doi:10.1007/s10994-006-6226-1; Breiman 2001,
    doi:10.1023/A:1010933404324.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(400, 3))
    >>> y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)
    >>> model = ForestClassifier(n_estimators=50, random_state=1).fit(X[:300], y[:300])
    >>> bool(model.score(X[300:], y[300:]) > 0.8)
    True
    """

    def __init__(
        self,
        kind: str = "extra",
        *,
        n_estimators: int = 300,
        max_features: float | str = "sqrt",
        min_samples_leaf: int = 1,
        max_depth: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = 1,
    ) -> None:
        self.kind = kind
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.max_depth = max_depth
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_parameters(self) -> None:
        check_choice("kind", self.kind, KINDS)
        for name in ("n_estimators", "min_samples_leaf"):
            check_real(name, getattr(self, name), at_least=1)
        if self.max_depth is not None:
            check_real("max_depth", self.max_depth, at_least=1)
        if self.max_features != "sqrt":
            check_real(
                "max_features", self.max_features, above=0, at_most=1, next_step="Or give 'sqrt'."
            )
        check_real("n_jobs", self.n_jobs or 1, at_least=-1024, at_most=1024)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> ForestClassifier:
        """Train.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or Samples
            Finite or NaN. A `Samples` brings its own ``y``, weights and feature names.
        y : array_like, shape (n_samples,)
            Labels, two classes or more.
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0, some above 0.
        groups : array_like, shape (n_samples,), optional
            Taken as by the other models, and not needed: nothing is held out.

        Raises
        ------
        ValueError
            For one class only, unlabelled (-1) `Samples`, or a parameter out of range.
        """
        self._check_parameters()
        X, y, sample_weight, _, names = unpack_samples(X, y, sample_weight, groups, labels=True)
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
        forest = KINDS[self.kind](
            n_estimators=int(self.n_estimators),
            max_features="sqrt" if self.max_features == "sqrt" else float(self.max_features),
            min_samples_leaf=int(self.min_samples_leaf),
            max_depth=None if self.max_depth is None else int(self.max_depth),
            random_state=self.random_state,
            n_jobs=self.n_jobs,
        ).fit(X, target, sample_weight=weight)
        self._paths = TreePaths.read(forest.estimators_)
        self.feature_importances_ = forest.feature_importances_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the mean share of each class in the leaves, shape (n_samples, n_classes)."""
        check_is_fitted(self)
        return self._paths.average_shares(check_rows(self, X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the label with the largest share."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy, as scikit-learn defines it for classifiers."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Fitted state as plain values and the arrays of the trees, for `save_model`."""
        state = {"importances": self.feature_importances_.tolist()}
        return state, {"trees.safetensors": write_tensors(self._paths.to_arrays())}

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        """Inverse of `_get_fitted`; no index is used before it was checked."""
        self._paths = TreePaths.from_arrays(
            read_tensors(weights["trees.safetensors"]),
            n_features=self.n_features_in_,
            n_classes=len(self.classes_),
        )
        self.feature_importances_ = np.array(state["importances"], dtype=float)
        if self.feature_importances_.shape != (self.n_features_in_,):
            raise ValueError("importances must have one value per feature.")
