"""What members made of other members share: data of any shape, splits, out-of-fold scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import get_tags
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
)

from ..samples import Samples
from ._rows import unpack_samples
from ._splitting import split_rows
from .cards import Carded

SMALLEST = 1e-12  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class Data:
    """Inputs of any shape with what belongs to each of them."""

    X: Any
    y: np.ndarray
    weight: np.ndarray | None = None
    groups: np.ndarray | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: np.ndarray) -> Data:
        """Return some of the rows."""
        weight, groups = (None if v is None else v[rows] for v in (self.weight, self.groups))
        return replace(
            self, X=take_rows(self.X, rows), y=self.y[rows], weight=weight, groups=groups
        )

    def show(self, rows: Any = slice(None)) -> Any:
        """Return inputs of some of the rows as `fit_model` gives them, with their names."""
        return name_inputs(take_rows(self.X, rows), self.names)


def take_rows(X: Any, rows: Any) -> Any:
    """Rows of an array, a table or a list."""
    if isinstance(X, list):
        return X[rows] if isinstance(rows, slice) else [X[row] for row in rows]
    return X.iloc[rows] if hasattr(X, "iloc") else np.asarray(X)[rows]


def name_inputs(X: Any, names: tuple[str, ...]) -> Any:
    """Return columns with their names, where they have some: a model that knows them asks."""
    return Samples(X, feature_names=names) if _has_columns(X, names) else X


def _has_columns(X: Any, names: tuple[str, ...]) -> bool:
    return bool(names) and not isinstance(X, list) and np.ndim(X) == 2


def draw_seed(random_state: Any) -> int:
    """Return a seed for splits and members from what `random_state` may be."""
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(2**31 - 1))


def seed_model(model: Any, seed: int) -> Any:
    """Return an unfitted copy whose every random_state is drawn from a seed."""
    return _seed(model, seed, lambda value: True)


def complete_seeds(model: Any, seed: int) -> Any:
    """Return an unfitted copy in which a random_state of None is drawn from a seed."""
    return _seed(model, seed, lambda value: value is None)


def _seed(model: Any, seed: int, wanted: Callable[[Any], bool]) -> Any:
    rng = np.random.RandomState(seed % 2**32)
    model = clone(model)
    names = {
        name: int(rng.randint(2**31 - 1))
        for name, value in sorted(model.get_params().items())
        if name.rpartition("__")[2] == "random_state" and wanted(value)
    }
    return model.set_params(**names)


class Wrapper(Carded, MetaEstimatorMixin, BaseEstimator):
    """A member around another one, `estimator`, that it trains."""

    estimator: Any

    def _get_estimator(self) -> Any:
        from .bdt import BDTClassifier

        return BDTClassifier() if self.estimator is None else self.estimator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._get_estimator())
        tags.input_tags = inner.input_tags
        return tags

    def _open(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Data:
        X, y, sample_weight, groups, names = unpack_samples(
            X, y, sample_weight, groups, labels=True
        )
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        if not isinstance(X, list) and not hasattr(X, "iloc"):
            from sklearn.utils import check_array

            X = check_array(X, dtype=None, allow_nd=True, ensure_all_finite=False)
        y = np.asarray(y)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        check_consistent_length(X, y)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, np.zeros((len(y), 1)), dtype=np.float64, ensure_non_negative=True
            )
        return Data(X, y, sample_weight, groups, names)

    def _store_shape(self, inner: Any) -> None:
        self.n_features_in_ = inner.n_features_in_
        if hasattr(inner, "feature_names_in_"):
            self.feature_names_in_ = inner.feature_names_in_


class ClassifierWrapper(ClassifierMixin, Wrapper):
    """A wrapper that says probabilities."""

    classes_: np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))


def fit_model(model: Any, data: Data) -> Any:
    """Fit with as much of the data as the model takes."""
    given = {"sample_weight": data.weight, "groups": data.groups}
    extra = {k: v for k, v in given.items() if v is not None and has_fit_parameter(model, k)}
    if data.weight is not None and "sample_weight" not in extra:
        raise ValueError(
            f"sample_weight must be left out, got weights: a {type(model).__name__} takes none."
        )
    if _has_columns(data.X, data.names):
        return model.fit(Samples(data.X, data.y, data.groups, data.weight, data.names))
    return model.fit(data.X, data.y, **extra)


def hold_out(data: Data, labels: np.ndarray | None, *, fraction: float, seed: int) -> Any:
    """Return rows to fit on and rows to hold out, groups kept whole."""
    return split_rows(labels, data.groups, n_samples=len(data), fraction=fraction, seed=seed)


def list_folds(
    data: Data, labels: np.ndarray | None, *, n_splits: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return folds, by group where there are groups and by class where there are classes."""
    options = {"shuffle": True, "random_state": seed}
    if data.groups is None:
        cls = KFold if labels is None else StratifiedKFold
    else:
        cls = GroupKFold if labels is None else StratifiedGroupKFold
    return list(cls(n_splits, **options).split(np.zeros(len(data)), labels, data.groups))


def encode_labels(y: np.ndarray, *, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return classes and class numbers; two classes of ``least`` samples at least."""
    from sklearn.utils.multiclass import check_classification_targets

    if len(y) == 0:
        raise ValueError("X must hold samples, got none.")
    check_classification_targets(y)
    classes, code = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y must hold two classes or more, got one class, {classes[0]!r}.")
    if (poorest := np.bincount(code).min()) < least:
        raise ValueError(
            f"y must have {least} samples of every class, got {poorest} of "
            f"{classes[np.bincount(code).argmin()]!r}. Use fewer splits or more samples."
        )
    return classes, code.ravel()


def score_folds(
    model: Any, data: Data, code: np.ndarray, *, n_splits: int, seed: int
) -> np.ndarray:
    """Out-of-fold probabilities, shape (n_samples, n_classes)."""
    probability = np.zeros((len(data), code.max() + 1))
    for train, test in list_folds(data, code, n_splits=n_splits, seed=seed):
        part = replace(data.take(train), y=code[train])
        fitted = fit_model(clone(model), part)
        # a class may be missing in a fold whose groups hold all of it
        probability[np.ix_(test, fitted.classes_)] = fitted.predict_proba(data.show(test))
    return probability
