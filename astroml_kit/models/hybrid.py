"""A table and a series of each object in one row: trees read the one, networks the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from .._validation import check_choice, check_real, invalid
from ._rows import check_rows
from ._wrapper import Data
from .blended import BlendedClassifier


class HybridClassifier(BlendedClassifier):
    """Classifiers of features and classifiers of series, blended.

    A row holds the features of an object and then its series, step by step. Members for series
    get the series, all others the features; a `BlendedClassifier` weighs them by out-of-fold
    scores, groups kept whole.

    Parameters
    ----------
    estimators : list of (str, classifier)
        Any members with ``predict_proba``; a BDT and a recurrent network when empty.
    sequence_shape : (int, int)
        Steps and columns of the series: the last ``n_steps * n_columns`` columns of ``X``.
    average, n_splits, random_state
        As for `BlendedClassifier`.

    Attributes
    ----------
    models_ : list of estimator
    weights_ : ndarray, shape (n_estimators,)
    classes_ : ndarray
    n_features_in_ : int
        Columns, those of the series included.

    References
    ----------
    Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1.

    Examples
    --------
    >>> from astroml_kit.models import BDTClassifier, SequenceClassifier
    >>> rng = np.random.default_rng(1)
    >>> y = np.arange(120) % 2
    >>> table, series = rng.normal(size=(120, 2)), rng.normal(size=(120, 8, 1))
    >>> table[:, 0] += 2 * y
    >>> series[:, 3] += 3 * y[:, None]
    >>> X = np.column_stack([table, series.reshape(120, -1)])
    >>> members = [
    ...     ("trees", BDTClassifier(n_estimators=20, min_samples_leaf=5)),
    ...     ("net", SequenceClassifier("gru", hidden_size=8, time_column=None, max_epochs=10,
    ...                                learning_rate=0.02)),
    ... ]
    >>> model = HybridClassifier(members, sequence_shape=(8, 1), n_splits=2, random_state=1)
    >>> bool(model.fit(X[:80], y[:80]).score(X[80:], y[80:]) > 0.8)
    True
    """

    def __init__(
        self,
        estimators: Any = (),
        *,
        sequence_shape: tuple[int, int] = (64, 7),
        average: str = "log",
        n_splits: int = 5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(estimators, average=average, n_splits=n_splits, random_state=random_state)
        self.sequence_shape = sequence_shape

    def _list_estimators(self) -> list[tuple[str, Any]]:
        from .bdt import BDTClassifier
        from .sequence_classifier import SequenceClassifier

        usual = [("trees", BDTClassifier()), ("net", SequenceClassifier("gru", time_column=None))]
        return list(self.estimators) or usual

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        tags.input_tags.allow_nan = True
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> HybridClassifier:
        """Train every classifier and weigh them.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features + n_steps * n_columns), or Samples
            NaN as far as the members allow it: trees do, and networks for steps that are NaN
            throughout.
        y, sample_weight, groups
            As for `BDTClassifier.fit`.

        Raises
        ------
        ValueError
            For fewer columns than the series needs and one more, and as for the members.
        """
        check_choice("average", self.average, ("log", "linear"))
        check_real("n_splits", self.n_splits, at_least=2, next_step="Give a whole number.")
        self._check_parameters()
        data = self._open(X, y, sample_weight, groups)
        rows = validate_data(self, data.X, dtype=np.float64, ensure_all_finite="allow-nan")
        n_columns = rows.shape[1]
        if n_columns <= math.prod(self.sequence_shape):
            raise ValueError(
                f"X must have more than the {math.prod(self.sequence_shape)} columns of "
                f"sequence_shape, {tuple(self.sequence_shape)}, got {n_columns} feature(s). "
                "Features come first, then the series."
            )
        names = data.names or self._get_names()
        self._fit_all(replace(data, X=rows, names=names))
        # of the whole row: each member has stored those of its part
        self.n_features_in_ = n_columns
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def _check_parameters(self) -> None:
        shape = self.sequence_shape
        if (
            not isinstance(shape, tuple | list)
            or len(shape) != 2
            or not all(isinstance(n, int | np.integer) and 1 <= n < 2**20 for n in shape)
        ):
            raise invalid("sequence_shape", "two whole numbers, steps and columns", str(shape))

    def _show(self, data: Data, model: Any) -> Data:
        """Return the series for a member of series, else the features with their names."""
        first = data.X.shape[1] - math.prod(self.sequence_shape)
        if _reads_series(model):
            series = data.X[:, first:].reshape(len(data.X), *self.sequence_shape)
            return replace(data, X=series, names=())
        return replace(data, X=data.X[:, :first], names=data.names[:first])

    def predict_proba(self, X: Any) -> np.ndarray:
        """Blended probability per class, shape (n_samples, n_classes)."""
        check_is_fitted(self)
        data = Data(check_rows(self, X), np.zeros(0), names=self._get_names())
        return self._average([m.predict_proba(self._show(data, m).show()) for m in self.models_])

    def _get_names(self) -> tuple[str, ...]:
        return tuple(getattr(self, "feature_names_in_", ()))

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        super()._set_parts(state, parts)
        n_features = self.n_features_in_ - math.prod(self.sequence_shape)
        wanted = [self.sequence_shape[1] if _reads_series(m) else n_features for m in self.models_]
        if [m.n_features_in_ for m in self.models_] != wanted:
            raise ValueError("the models inside must fit sequence_shape.")


def _reads_series(model: Any) -> bool:
    tags = get_tags(model).input_tags
    return bool(tags.three_d_array and not tags.two_d_array)
