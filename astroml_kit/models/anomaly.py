"""What does not belong: rows and images that are easy to set apart, hard to repeat, or far off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from astropy.table import Table
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .._validation import check_choice, check_real, invalid
from ._isolation import IsolationTrees
from ._network_inputs import SCALINGS
from ._normality import Components, Ranks, find_quantile, measure_neighbours
from ._rows import unpack_unlabelled
from ._rows_or_images import RowsOrImages, check_widths
from ._tensors import read_tensors, take_prefixed, write_tensors
from .autoencoders import Autoencoder
from .cards import Carded

METHODS = ("isolation_forest", "reconstruction", "embedding")
EMBEDDINGS = ("pca", "latent")
DISTANCES = ("neighbors", "mahalanobis")
LEADING_SHARE = 0.9  # of the variance, held by the latent numbers that "auto" takes
CHUNK = 4096
# Parameters that it shares with the autoencoder inside.
AUTOENCODER = (
    "hidden_layers",
    "channels",
    "stretch",
    "activation",
    "learning_rate",
    "batch_size",
    "max_epochs",
    "device",
    "n_jobs",
    "checkpoint",
    "progress",
)


class AnomalyDetector(Carded, OutlierMixin, RowsOrImages, BaseEstimator):
    """Outliers in tables and images by several methods, and by the mean of their ranks.

    An isolation forest sees rows that few random cuts set apart (Liu, Ting & Zhou 2008,
    doi:10.1109/ICDM.2008.17), an autoencoder those that it cannot repeat, and the distance in an
    embedding those that lie far from the others. Each misses what another finds; the mean of the
    ranks needs no common scale.

    Parameters
    ----------
    methods : tuple of {"isolation_forest", "reconstruction", "embedding"}
        What to use. One alone gives its own score, several the mean of their ranks.
    contamination : float
        Share of outliers among the training samples, in (0, 0.5]; it sets the threshold and does
        not change the scores.
    n_estimators, max_samples : int
        Trees of the forest, and rows that each is grown on. Images enter it as their principal
        components.
    n_latent : int or None
        Latent numbers of the autoencoder; None takes as many as principal components hold 90 % of
        the variance, and always fewer than columns.
    hidden_layers, channels, stretch, activation, learning_rate, batch_size, max_epochs
        Of the autoencoder, as for `Autoencoder`.
    scaling : {"standard", "quantile"}
        How columns of a table come to one scale for the forest and the embedding: by mean and
        standard deviation, or by the normal deviate of their ranks, where the few largest values
        of one column cannot hide what is odd in the others.
    embedding : {"pca", "latent"}
        Space of the distance: at most 32 principal components (of tables
        brought to one variance, so that columns that go together count once), or the
        autoencoder's latent space.
    distance : {"neighbors", "mahalanobis"}
        Mean distance to the ``n_neighbors`` nearest training samples, or distance from their mean
        in units of their spread.
    n_neighbors : int
        See ``distance``.
    max_reference : int
        Training samples that are kept as neighbours; more are thinned out at random.
    device, n_jobs, checkpoint, progress, random_state
        As for `NeuralClassifier`; the checkpoint is the autoencoder's.

    Attributes
    ----------
    offset_ : float
        Threshold of the score.
    image_shape_, n_features_in_, feature_names_in_
        As for `Autoencoder`.

    Notes
    -----
    scikit-learn's signs: a higher score is more normal, `decision_function` is negative and
    `predict` -1 for an outlier.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(300, 1)) @ [[1.0, 2.0, -1.0]] + 0.1 * rng.normal(size=(300, 3))
    >>> X[0] = [1.0, -2.0, -1.0]  # no value is unusual, their company is
    >>> model = AnomalyDetector(contamination=0.01, max_epochs=30, random_state=1).fit(X)
    >>> model.predict(X[:2]).tolist()
    [-1, 1]
    """

    offset_: float
    _spread: Any
    _names: tuple[str, ...]

    def __init__(
        self,
        methods: tuple[str, ...] = METHODS,
        *,
        contamination: float = 0.05,
        n_estimators: int = 200,
        max_samples: int = 256,
        n_latent: int | None = None,
        hidden_layers: tuple[int, ...] = (64,),
        channels: tuple[int, ...] = (16, 32),
        stretch: str = "asinh",
        activation: str = "relu",
        learning_rate: float = 3e-3,
        batch_size: int = 128,
        max_epochs: int = 100,
        scaling: str = "standard",
        embedding: str = "pca",
        distance: str = "neighbors",
        n_neighbors: int = 20,
        max_reference: int = 10_000,
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.methods = methods
        self.contamination = contamination
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.n_latent = n_latent
        self.hidden_layers = hidden_layers
        self.channels = channels
        self.stretch = stretch
        self.activation = activation
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.scaling = scaling
        self.embedding = embedding
        self.distance = distance
        self.n_neighbors = n_neighbors
        self.max_reference = max_reference
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def _check_parameters(self) -> None:
        methods = self.methods
        if not isinstance(methods, tuple | list) or not methods:
            raise invalid("methods", f"a tuple with some of {METHODS}", methods)
        for name in methods:
            check_choice("methods", name, METHODS)
        if len(set(methods)) != len(methods):
            raise invalid("methods", "different ones", methods)
        check_real("contamination", self.contamination, above=0, at_most=0.5)
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("embedding", self.embedding, EMBEDDINGS)
        check_choice("distance", self.distance, DISTANCES)
        for name in ("n_estimators", "n_neighbors", "max_reference", "max_samples"):
            check_widths(name, (getattr(self, name),), 1, 1, 2**31)
        self._make_autoencoder(self.n_latent or 1)._check_parameters()

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> AnomalyDetector:
        """Learn what is normal.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), (n_images, height, width) or \
(n_images, n_channels, height, width), or Samples
            Finite; mostly normal, but outliers among them do little harm.
        y : ignored
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0. A sample without weight is as good as not there; neighbours count as
            samples, whatever their weight.
        groups : array_like, shape (n_samples,), optional
            What the autoencoder's early stopping must not split.
        """
        self._check_parameters()
        X, weight, groups, names = unpack_unlabelled(X, sample_weight, groups)
        X = self._store_rows(X, names)
        if weight is not None:
            weight = _check_sample_weight(weight, X, ensure_non_negative=True, dtype=np.float64)
            kept = weight > 0
            X, weight = X[kept], weight[kept]
            groups = None if groups is None else np.asarray(groups)[kept]
        rng = check_random_state(self.random_state)
        seeds = [int(seed) for seed in rng.randint(2**31 - 1, size=3)]
        self._names = tuple(self.methods)
        self._inputs = self._measure_inputs(X, weight)
        chosen = np.arange(len(X))
        if len(X) > self.max_reference:
            picked = np.random.RandomState(seeds[0]).choice(len(X), self.max_reference, False)
            chosen = np.sort(picked)
        self._components = Components.measure(
            self._flatten(X[chosen]), None if weight is None else weight[chosen], seed=seeds[0]
        )
        self._fit_members(X, weight, groups, chosen, seeds)
        each = self._score_all(X)
        self._ranks = {name: Ranks.measure(each[name], weight) for name in self._names}
        self.offset_ = find_quantile(self._combine(each), weight, float(self.contamination))
        return self

    def _fit_members(
        self, X: np.ndarray, weight: Any, groups: Any, chosen: np.ndarray, seeds: list[int]
    ) -> None:
        self._trees = self._autoencoder = self._reference = None
        self._spread = None
        if "isolation_forest" in self._names:
            self._trees = IsolationTrees.grow(
                np.concatenate([self._find_forest_rows(part) for part in cut(X)]),
                weight,
                seed=seeds[1],
                n_jobs=self.n_jobs,
                n_estimators=int(self.n_estimators),
                max_samples=min(int(self.max_samples), len(X)),
            )
        if "reconstruction" in self._names or self._uses_latent():
            most = max(1, self.n_features_in_ - 1)
            n_latent = self.n_latent or min(self._components.count_leading(LEADING_SHARE), most)
            model = self._make_autoencoder(n_latent)
            model.set_params(random_state=seeds[2])
            self._autoencoder = model.fit(X, sample_weight=weight, groups=groups)
        if "embedding" in self._names:
            points = self._embed(X[chosen])
            share = None if weight is None else weight[chosen]
            self._spread = Components.measure(points, share, seed=seeds[0])
            self._reference = points if self.distance == "neighbors" else None

    def _uses_latent(self) -> bool:
        return "embedding" in self.methods and self.embedding == "latent"

    def _make_autoencoder(self, n_latent: int) -> Autoencoder:
        return Autoencoder(n_latent, **{name: getattr(self, name) for name in AUTOENCODER})

    def _flatten(self, X: np.ndarray) -> np.ndarray:
        return self._transform_inputs(X).reshape(len(X), -1).astype(np.float64, copy=False)

    def _find_forest_rows(self, X: np.ndarray) -> np.ndarray:
        rows = self._flatten(X)
        return rows if self.image_shape_ is None else self._components.transform(rows)

    def _embed(self, X: np.ndarray) -> np.ndarray:
        if self._uses_latent() and self._autoencoder is not None:
            return self._autoencoder._encode(X)
        points = self._components.transform(self._flatten(X))
        # Columns that go together count once. Of images most components are noise: they stay small.
        return points if self.image_shape_ else points / np.sqrt(self._components.variance)

    def _score_all(self, X: np.ndarray) -> dict[str, np.ndarray]:
        """Score checked rows by every method, a part at a time."""
        parts = [{name: self._score(name, part) for name in self._names} for part in cut(X)]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._names}

    def _score(self, name: str, X: np.ndarray) -> np.ndarray:
        if name == "isolation_forest" and self._trees is not None:
            return self._trees.score(self._find_forest_rows(X))
        if name == "reconstruction" and self._autoencoder is not None:
            return self._autoencoder._score_rows(X)
        points = self._embed(X)
        if self._reference is not None:
            return -measure_neighbours(points, self._reference, int(self.n_neighbors))
        away = self._spread.transform(points)
        return -np.sqrt(np.sum(away**2 / self._spread.variance, axis=1))

    def _combine(self, each: Mapping[str, np.ndarray]) -> np.ndarray:
        if len(self._names) == 1:
            return each[self._names[0]]
        return np.mean([self._ranks[name].rank(each[name]) for name in self._names], axis=0)

    def score_each(self, X: Any) -> Table:
        """Score samples by every method, in its own units; higher is more normal.

        Returns
        -------
        `~astropy.table.Table`
            One column per method: "isolation_forest" as scikit-learn gives it, "reconstruction"
            the negative mean squared error, "embedding" the negative distance.
        """
        check_is_fitted(self)
        return Table(self._score_all(self._check_rows(X)))

    def score_samples(self, X: Any) -> np.ndarray:
        """Score samples; higher is more normal.

        Returns
        -------
        ndarray, shape (n_samples,)
            Mean rank among the training samples, from 0 to 1, or the score of the only method.
        """
        check_is_fitted(self)
        return self._combine(self._score_all(self._check_rows(X)))

    def decision_function(self, X: Any) -> np.ndarray:
        """Score above the threshold; negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Return 1 for normal samples and -1 for outliers."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        check_is_fitted(self)
        state: dict[str, Any] = self._describe_shape() | {"offset": float(self.offset_)}
        state["autoencoder"] = None
        groups: dict[str, Mapping[str, np.ndarray]] = {
            "inputs": self._inputs.to_arrays(),
            "components": self._components.to_arrays(),
        }
        for name, ranks in self._ranks.items():
            groups[f"ranks_{name}"] = {"values": ranks.values, "levels": ranks.levels}
        if self._trees is not None:
            groups["trees"] = self._trees.to_arrays()
        if self._spread is not None:
            groups["spread"] = self._spread.to_arrays()
        if self._reference is not None:
            groups["reference"] = {"points": self._reference}
        weights = {}
        if self._autoencoder is not None:
            own, held = self._autoencoder._get_fitted()
            state["autoencoder"] = own | {"n_latent": int(self._autoencoder.n_latent)}
            (weights["autoencoder.safetensors"],) = held.values()
        arrays = {f"{group}.{name}": value for group, values in groups.items()
                  for name, value in values.items()}  # fmt: skip
        return state, weights | {"detector.safetensors": write_tensors(arrays)}

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_shape(state)
        self._names = tuple(self.methods)
        self.offset_ = float(state["offset"])
        arrays = read_tensors(weights["detector.safetensors"])
        self._read_scalers({"inputs": take_prefixed(arrays, "inputs.")})
        self._components = Components.from_arrays(take_prefixed(arrays, "components."))
        if len(self._components.mean) != self.n_features_in_:
            raise ValueError("components must have one entry per feature")
        self._ranks = {}
        for name in self._names:
            own = take_prefixed(arrays, f"ranks_{name}.")
            self._ranks[name] = Ranks(**{field.name: own[field.name] for field in fields(Ranks)})
            self._ranks[name].check()
        self._trees = self._autoencoder = self._reference = None
        self._spread = None
        n_components = len(self._components.variance)
        if "isolation_forest" in self._names:
            n_columns = self.n_features_in_ if self.image_shape_ is None else n_components
            self._trees = IsolationTrees.from_arrays(
                take_prefixed(arrays, "trees."), n_features=n_columns
            )
        if "reconstruction" in self._names or self._uses_latent():
            own_state = state["autoencoder"]
            check_widths("n_latent", (own_state["n_latent"],), 1, 1, 2**16)
            model = self._make_autoencoder(own_state["n_latent"])
            model._check_parameters()
            model.n_features_in_ = self.n_features_in_
            model._set_fitted(own_state, {"network": weights["autoencoder.safetensors"]})
            if model.image_shape_ != self.image_shape_:
                raise ValueError("the autoencoder must take what the detector takes")
            self._autoencoder = model
            if self._uses_latent():
                n_components = model.n_outputs_
        if "embedding" not in self._names:
            return
        self._spread = Components.from_arrays(take_prefixed(arrays, "spread."))
        if len(self._spread.mean) != n_components:
            raise ValueError("the spread must have one entry per component")
        if self.distance == "neighbors":
            self._reference = take_prefixed(arrays, "reference.")["points"]
            shape = self._reference.shape
            if self._reference.dtype != np.float64 or len(shape) != 2 or not len(self._reference):
                raise ValueError("reference must hold points")
            if shape[1] != n_components:
                raise ValueError("reference must have one column per component")


def cut(X: np.ndarray) -> list[np.ndarray]:
    """Parts of ``X`` that a machine of any size can hold while it scores them."""
    return [X[start : start + CHUNK] for start in range(0, len(X), CHUNK)]
