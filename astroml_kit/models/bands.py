"""One model per band of energy and zenith: showers differ, and so must what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import Table
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from .._validation import check_real, invalid
from ..samples import Samples
from ._rows import check_rows, unpack_samples
from .bdt import BDTClassifier
from .cards import Carded


class BandedClassifier(Carded, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """One classifier per band of some columns of ``X``, commonly energy x zenith.

    A band with fewer than ``min_count`` samples of any class is served by the model of the
    nearest band that has enough; `bands_` says which. Samples beyond the outer edges belong to
    the outermost band, and `n_outside_` counts them.

    Parameters
    ----------
    estimator : classifier, optional
        Trained once per band; `BDTClassifier()` when None.
    band_columns : sequence of int or str
        The columns of ``X`` that define the bands, by index or by feature name. They stay
        features. Empty means one band that holds everything.
    band_edges : sequence of array_like
        Ascending edges for each of ``band_columns``; n edges make n - 1 bands, lower edge in.
    min_count : int
        Fewest samples of each class in a band for a model of its own. With a single band there is
        nothing to fall back on and it does not apply.
    random_state : int, RandomState or None
        When given, every ``random_state`` inside ``estimator`` is drawn from it.

    Attributes
    ----------
    bands_ : `~astropy.table.Table`
        One row per band: ``band``, ``<column>_min``, ``<column>_max`` for each band column,
        ``n_<class>`` for each class, ``fallback_from`` (the band whose model serves this one;
        -1 for its own).
    models_ : dict of int to estimator
        Band number to its own model.
    n_outside_ : int
        Training samples beyond the outer edges.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = np.column_stack([rng.normal(size=600), rng.uniform(-1, 1, 600)])
    >>> y = (X[:, 0] * np.sign(X[:, 1]) > 0).astype(int)
    >>> model = BandedClassifier(BDTClassifier(n_estimators=20, random_state=1), band_columns=[1],
    ...                          band_edges=[[-1, 0, 1]], min_count=50).fit(X, y)
    >>> model.bands_.colnames
    ['band', 'x1_min', 'x1_max', 'n_0', 'n_1', 'fallback_from']
    >>> model.bands_["fallback_from"].tolist()
    [-1, -1]
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        band_columns: Sequence[int | str] = (),
        band_edges: Sequence[Any] = (),
        min_count: int = 100,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.band_columns = band_columns
        self.band_edges = band_edges
        self.min_count = min_count
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(BDTClassifier() if self.estimator is None else self.estimator)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> BandedClassifier:
        """Train one model per band; arguments as for `BDTClassifier.fit`.

        Raises
        ------
        ValueError
            When edges do not ascend, a band column is unknown or NaN, or no band has enough
            samples of each class.
        """
        X, y, sample_weight, groups, names = unpack_samples(
            X, y, sample_weight, groups, labels=True
        )
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], order="C", ensure_all_finite="allow-nan"
        )
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        check_classification_targets(y)
        check_real("min_count", self.min_count, at_least=1)
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must hold two classes or more, got one class, {self.classes_[0]!r}. "
                "Add samples of another class."
            )
        self._store_edges()
        weight = None if sample_weight is None else _check_sample_weight(
            sample_weight, X, ensure_non_negative=True
        )  # fmt: skip
        band, outside = self._find_bands(X)
        self.n_outside_ = int(outside.sum())
        counts = np.zeros((int(np.prod(self._count_bands())), len(self.classes_)), dtype=int)
        np.add.at(counts, (band, target), 1)
        served_by = self._choose_models(counts)
        inner = self._seed_estimator()
        self.models_ = {}
        for number in np.flatnonzero(served_by == np.arange(len(served_by))):
            rows = band == number
            extra = {"sample_weight": weight, "groups": groups}
            extra = {
                key: value[rows]
                for key, value in extra.items()
                if value is not None and (key == "sample_weight" or has_fit_parameter(inner, key))
            }
            self.models_[int(number)] = clone(inner).fit(X[rows], y[rows], **extra)
        self._write_bands(counts, served_by)
        return self

    def _seed_estimator(self) -> Any:
        inner = BDTClassifier() if self.estimator is None else clone(self.estimator)
        if self.random_state is None:
            return inner
        rng = check_random_state(self.random_state)
        seeds = {
            name: int(rng.randint(2**31 - 1))
            for name in sorted(inner.get_params(deep=True))
            if name == "random_state" or name.endswith("__random_state")
        }
        return inner.set_params(**seeds)

    def _store_edges(self) -> None:
        columns, edges = list(self.band_columns), list(self.band_edges)
        if len(columns) != len(edges):
            raise ValueError(
                f"band_edges must have one array of edges per band column, got {len(edges)} for "
                f"{len(columns)} columns. Give [[...], ...]."
            )
        self.edges_ = []
        for column, given in zip(columns, edges, strict=True):
            values = check_real(f"band_edges of {column}", given)
            if values.ndim != 1 or len(values) < 2 or np.any(np.diff(values) <= 0):
                raise invalid(f"band_edges of {column}", "two or more ascending numbers", given)
            self.edges_.append(values)
        names = list(getattr(self, "feature_names_in_", ()))
        self.columns_ = []
        for column in columns:
            if isinstance(column, str):
                if column not in names:
                    raise ValueError(
                        f"band_columns must be features of X, got {column!r}; it has "
                        f"{names or 'no names'}. Give an index, or X with feature names."
                    )
                self.columns_.append(names.index(column))
            else:
                if not -self.n_features_in_ <= column < self.n_features_in_:
                    raise invalid("band_columns", f"below {self.n_features_in_}", column)
                self.columns_.append(int(column) % self.n_features_in_)

    def _place_bands(self, n_bands: int) -> tuple[np.ndarray, ...]:
        """Position of each band along each band column."""
        shape: tuple[int, ...] = self._count_bands() or (1,)
        return np.unravel_index(np.arange(n_bands), shape)

    def _count_bands(self) -> tuple[int, ...]:
        return tuple(len(edges) - 1 for edges in self.edges_)

    def _find_bands(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the band number of each row, and whether it lies beyond the outer edges."""
        outside = np.zeros(len(X), dtype=bool)
        if not self.edges_:
            return np.zeros(len(X), dtype=int), outside
        indices = []
        for column, edges in zip(self.columns_, self.edges_, strict=True):
            values = check_real(
                f"column {column} of X, which defines bands,",
                X[:, column],
                next_step="Select the samples that have it.",
            )
            outside |= (values < edges[0]) | (values > edges[-1])
            place = np.searchsorted(edges, values, side="right") - 1
            indices.append(np.clip(place, 0, len(edges) - 2))
        return np.ravel_multi_index(indices, self._count_bands()), outside

    def _choose_models(self, counts: np.ndarray) -> np.ndarray:
        """Return, for each band, the band whose model serves it: its own or the nearest."""
        enough = counts.min(axis=1) >= self.min_count
        if len(counts) == 1:
            enough[:] = True
        if not enough.any():
            raise ValueError(
                f"min_count must be at most {counts.min(axis=1).max()} here, got "
                f"{self.min_count}: no band has that many samples of each class. "
                "Use wider bands or a smaller min_count."
            )
        grid = np.array(self._place_bands(len(counts))).T
        valid = np.flatnonzero(enough)
        # Distance in steps; of equally near bands the one with more samples wins.
        steps = np.abs(grid[:, None, :] - grid[None, valid, :]).sum(axis=2)
        tie = counts[valid].min(axis=1) / (counts[valid].min(axis=1).max() + 1.0)
        return valid[np.argmin(steps - 0.5 * tie, axis=1)]

    def _write_bands(self, counts: np.ndarray, served_by: np.ndarray) -> None:
        number = np.arange(len(counts))
        table = Table({"band": number})
        place = self._place_bands(len(counts))
        names = list(getattr(self, "feature_names_in_", ()))
        for k, (column, edges) in enumerate(zip(self.columns_, self.edges_, strict=True)):
            name = names[column] if names else f"x{column}"
            table[f"{name}_min"] = edges[:-1][place[k]]
            table[f"{name}_max"] = edges[1:][place[k]]
        for k, label in enumerate(self.classes_):
            table[f"n_{label}"] = counts[:, k]
        table["fallback_from"] = np.where(served_by == number, -1, served_by)
        table["fallback_from"].description = "band whose model serves this one; -1: its own"
        self.bands_ = table

    def _score_bands(self, X: Any, method: str) -> np.ndarray:
        check_is_fitted(self)
        X = check_rows(self, X)
        band, _ = self._find_bands(X)
        fallback = np.asarray(self.bands_["fallback_from"])
        server = np.where(fallback < 0, np.arange(len(fallback)), fallback)[band]
        shape: tuple[int, ...] = (len(X), len(self.classes_))
        if method == "decision_function" and len(self.classes_) == 2:
            shape = (len(X),)
        score = np.empty(shape)
        for number, model in self.models_.items():
            rows = server == number
            if rows.any():
                score[rows] = getattr(model, method)(X[rows])
        return score

    def decision_function(self, X: Any) -> np.ndarray:
        """Raw score from the model of each sample's band; scores of two bands are not alike."""
        return self._score_bands(X, "decision_function")

    def predict_proba(self, X: Any) -> np.ndarray:
        """Score in [0, 1] per class, from the model of each sample's band."""
        return self._score_bands(X, "predict_proba")

    def predict(self, X: Any) -> np.ndarray:
        """Return the label with the largest score."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Accuracy, as scikit-learn defines it for classifiers."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        state = {
            "counts": np.column_stack(
                [np.asarray(self.bands_[f"n_{label}"]) for label in self.classes_]
            ).tolist(),
            "fallback_from": np.asarray(self.bands_["fallback_from"]).tolist(),
            "n_outside": self.n_outside_,
        }
        return state, {f"band_{number:04d}": model for number, model in self.models_.items()}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self._store_edges()
        self.models_ = {int(key.removeprefix("band_")): model for key, model in parts.items()}
        counts = np.array(state["counts"], dtype=int)
        fallback = np.array(state["fallback_from"], dtype=int)
        n_bands = int(np.prod(self._count_bands()))
        served_by = np.where(fallback < 0, np.arange(len(fallback)), fallback)
        if counts.shape != (n_bands, len(self.classes_)) or fallback.shape != (n_bands,):
            raise ValueError("the table of bands must have one row per band.")
        if set(served_by.tolist()) != set(self.models_):
            raise ValueError("every band must be served by a model of the file.")
        for model in self.models_.values():
            if not set(model.classes_.tolist()) <= set(self.classes_.tolist()):
                raise ValueError("the models of all bands must have the same classes.")
        self.n_outside_ = int(state["n_outside"])
        self._write_bands(counts, served_by)
