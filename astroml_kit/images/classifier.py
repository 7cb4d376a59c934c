"""Stamps in, classes out: shapes, a pretrained network and a small one vote as one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from astropy.table import QTable

from .._validation import check_choice, invalid
from ..samples import Samples
from .isophotes import extract_isophote_features, extract_lobe_features
from .shapes import extract_shape_features
from .stamps import Stamps

FEATURES = {
    "isophotes": extract_isophote_features,
    "lobes": extract_lobe_features,
    "shapes": extract_shape_features,
}
N_COMPONENTS = 64  # of embeddings, at most
SMALLEST_SHARE = 1e-4
# Chosen on development folds of Galaxy Zoo 1.
TREES: dict[str, Any] = {
    "n_estimators": 120, "learning_rate": 0.06, "max_leaves": 8, "min_samples_leaf": 5,
    "max_features": 0.3, "l2": 5.0,
}  # fmt: skip
WEIGHTED = ("trees", "forest")
EMPHASIS = 0.5
FOREST: dict[str, Any] = {"n_estimators": 200, "min_samples_leaf": 2, "max_features": 0.3}


class MorphologyClassifier:
    """Classify galaxies by what is measured on them and, if asked, by what networks see.

    Measured features become normal ranks. Boosted trees, extra trees and a linear discriminant
    with shrunk covariance learn from them; with an embedder a second discriminant learns from
    ranks and principal components of the embeddings; a network learns from the images. All are
    asked as if the classes were equally frequent, their log-probabilities are averaged, and the
    shares of the classes come in at the end, so that members that learned from different shares
    can vote together. Members that know few galaxies of a class trust it too little: the vote is
    divided by the square root of the shares, which on development folds of Galaxy Zoo 1 lowers
    the log-loss, with equal shares from 0.61 to 0.56, and raises the recall of what is rare.

    Parameters
    ----------
    features : sequence of {"isophotes", "lobes", "shapes"}
        What is measured: `extract_isophote_features`, `extract_lobe_features` (for radio
        sources), `extract_shape_features`.
    embedder : `~astroml_kit.models.ImageEmbedder`, optional
        Unfitted; with a pretrained backbone it learns nothing but brightness.
    network : `~astroml_kit.models.ImageClassifier`, optional
        Unfitted.
    priors : {"balanced", "training"}
        Shares of the classes that predictions are for: equal ones, which give the best balanced
        accuracy, or those among the labels, which give the best accuracy.
    random_state : int, optional

    Attributes
    ----------
    classes_ : ndarray
    shares_ : ndarray
        Of the classes among the labels.
    members_ : list of str
        Who votes.
    feature_names_ : tuple of str

    References
    ----------
    Ledoit & Wolf 2004, doi:10.1016/S0047-259X(03)00096-4, for the discriminant.

    Examples
    --------
    >>> y, x = np.mgrid[:32, :32] - 15.5
    >>> rng = np.random.default_rng(1)
    >>> ratio = np.where(np.arange(60) % 2, 0.9, 0.3) + 0.05 * rng.normal(size=60)
    >>> images = np.exp(-np.hypot(x, y / ratio[:, None, None]) / 4)
    >>> images += 0.01 * rng.normal(size=images.shape)
    >>> kind = np.where(np.arange(60) % 2, "round", "flat")
    >>> stamps = Stamps(images[:, None], table=QTable({"id": np.arange(60), "label": kind}))
    >>> model = MorphologyClassifier(random_state=1).fit(stamps[:40])
    >>> table = model.predict(stamps[40:])
    >>> table.colnames, bool(np.mean(table["class"] == kind[40:]) > 0.9)
    (['id', 'class', 'p_flat', 'p_round'], True)
    """

    def __init__(
        self,
        features: Sequence[str] = ("isophotes",),
        *,
        embedder: Any = None,
        network: Any = None,
        priors: str = "balanced",
        random_state: int | None = None,
    ) -> None:
        if isinstance(features, str) or not features:
            raise invalid("features", f"some of {[*FEATURES]}", features)
        for name in features:
            check_choice("features", name, FEATURES)
        self.features = tuple(features)
        self.embedder, self.network = embedder, network
        self.priors = check_choice("priors", priors, ("balanced", "training"))
        self.random_state = random_state

    def __str__(self) -> str:
        if not hasattr(self, "members_"):
            return f"classifier of galaxies by {', '.join(self.features)}, not fitted"
        return (f"classifier of galaxies, {len(self.classes_)} classes: "
                f"{', '.join(self.members_)} on {len(self.feature_names_)} features")  # fmt: skip

    def measure(self, stamps: Any) -> Samples:
        """Return the features of stamps: give them to `fit` and `predict` to measure once only."""
        parts = [FEATURES[name](stamps) for name in self.features]
        names = tuple(name for part in parts for name in part.feature_names)
        return Samples(np.hstack([part.X for part in parts]), feature_names=names)

    def fit(
        self,
        stamps: Stamps,
        *,
        label: str = "label",
        measured: Samples | None = None,
        embedded: np.ndarray | None = None,
    ) -> MorphologyClassifier:
        """Train.

        Parameters
        ----------
        stamps : Stamps
            Labels that are missing, -1 or "" mark stamps without: they count for ranks and
            principal components alone.
        label : str
            Column of the stamps' table.
        measured : Samples, optional
            From `measure`.
        embedded : ndarray, shape (n, n_outputs), optional
            Of the stamps, where they are known; then the embedder is not asked.

        Raises
        ------
        ValueError
            For a column that is not there, fewer than two classes, a class of one stamp, and as the
            members do.
        """
        from sklearn.base import clone

        y = stamps.to_samples(label).y
        y = np.asarray(y)
        known = np.flatnonzero(y != "" if y.dtype.kind in "US" else y != -1)
        self.classes_, code = np.unique(y[known], return_inverse=True)
        if len(self.classes_) < 2:
            raise invalid("label", "of two classes or more", self.classes_.tolist())
        if (alone := np.bincount(code)).min() < 2:
            raise ValueError(
                "label must be given to two stamps of each class or more, got one of "
                f"{self.classes_[alone < 2].tolist()}. Add labels, or leave these classes out."
            )
        measured = self.measure(stamps) if measured is None else measured
        self.feature_names_ = measured.feature_names
        self.shares_ = np.bincount(code) / len(code)
        self._ranks = _make_ranks(len(stamps)).fit(measured.X)
        ranks = self._rank(measured.X)
        self._models = self._fit_shapes(ranks[known], code)
        self._embedder = None
        if self.embedder is not None or embedded is not None:
            if embedded is None:
                self._embedder = clone(self.embedder).fit(stamps.to_samples().X)
                embedded = self._embedder.transform(stamps.to_samples().X)
            self._components = _fit_components(embedded)
            both = np.hstack([ranks, self._components.transform(embedded)])
            self._models["embeddings"] = _make_discriminant().fit(both[known], code)
        if self.network is not None:
            images = stamps[known].to_samples(label).X
            self._models["network"] = clone(self.network).fit(images, code)
        self.members_ = list(self._models)
        return self

    def _fit_shapes(self, ranks: np.ndarray, code: np.ndarray) -> dict[str, Any]:
        from ..models import BDTClassifier, ForestClassifier

        weight = 1 / (self.shares_ * len(self.shares_))
        trees = BDTClassifier(**TREES, random_state=self.random_state)
        forest = ForestClassifier(**FOREST, random_state=self.random_state)
        return {
            "trees": trees.fit(ranks, code, sample_weight=weight[code]),
            "forest": forest.fit(ranks, code, sample_weight=weight[code]),
            "discriminant": _make_discriminant().fit(ranks, code),
        }

    def _rank(self, X: np.ndarray) -> np.ndarray:
        ranks = self._ranks.transform(X)
        return np.where(np.isfinite(ranks), np.clip(ranks, -3, 3), 0.0)

    def predict_members(
        self, stamps: Any, *, measured: Samples | None = None, embedded: np.ndarray | None = None
    ) -> Mapping[str, np.ndarray]:
        """Probabilities by each member, as if the classes were equally frequent.

        Arguments as for `predict`.
        """
        if not hasattr(self, "members_"):
            raise ValueError("the classifier must be fitted first. Call fit.")
        measured = self.measure(stamps) if measured is None else measured
        if measured.feature_names != self.feature_names_:
            raise invalid("measured", "of the features of the training", measured.feature_names)
        ranks = self._rank(measured.X)
        found = {}
        for name, model in self._models.items():
            inputs = ranks
            if name == "embeddings":
                if embedded is None:
                    if self._embedder is None:
                        raise invalid("embedded", "given, as for fit", None)
                    embedded = self._embedder.transform(_get_images(stamps))
                inputs = np.hstack([ranks, self._components.transform(embedded)])
            elif name == "network":
                inputs = _get_images(stamps)
            share = np.asarray(model.predict_proba(inputs))
            # those that learned with equal weights of the classes need no correction
            if getattr(model, "class_weight", None) != "balanced" and name not in WEIGHTED:
                share = share / self.shares_
            found[name] = share / share.sum(axis=1, keepdims=True)
        return found

    def predict_proba(
        self, stamps: Any, *, measured: Samples | None = None, embedded: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities, shape (n, n_classes), in the order of ``classes_``."""
        each = self.predict_members(stamps, measured=measured, embedded=embedded)
        share = average_shares(list(each.values())) / self.shares_**EMPHASIS
        if self.priors == "training":
            share = share * self.shares_
        return share / share.sum(axis=1, keepdims=True)

    def predict(
        self, stamps: Any, *, measured: Samples | None = None, embedded: np.ndarray | None = None
    ) -> QTable:
        """Return the class of every stamp.

        Parameters
        ----------
        stamps : Stamps or array_like
            Like those of the training.
        measured, embedded
            As for `fit`.

        Returns
        -------
        QTable
            ``id``, ``class``, and ``p_<class>`` for each class.

        Raises
        ------
        ValueError
            Before `fit`, and for stamps unlike those of the training.
        """
        share = self.predict_proba(stamps, measured=measured, embedded=embedded)
        own = isinstance(stamps, Stamps)
        table = QTable({"id": stamps.table["id"] if own else np.arange(len(share))})
        table["class"] = self.classes_[share.argmax(axis=1)]
        for name, column in zip(self.classes_, share.T, strict=True):
            table[f"p_{name}"] = column
        return table


def average_shares(each: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of log-probabilities, normalised; each of shape (n, n_classes)."""
    logs = np.mean([np.log(np.maximum(share, SMALLEST_SHARE)) for share in each], axis=0)
    share: np.ndarray = np.exp(logs - logs.max(axis=1, keepdims=True))
    return share / share.sum(axis=1, keepdims=True)


def _get_images(stamps: Any) -> np.ndarray:
    return stamps.to_samples().X if isinstance(stamps, Stamps) else np.asarray(stamps)


def _make_ranks(n: int) -> Any:
    from sklearn.preprocessing import QuantileTransformer

    return QuantileTransformer(
        n_quantiles=min(200, n), output_distribution="normal", subsample=None
    )


def _make_discriminant() -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def _fit_components(embedded: np.ndarray) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    n = min(N_COMPONENTS, embedded.shape[1], len(embedded) - 1)
    parts = PCA(n, svd_solver="randomized", random_state=0)
    return make_pipeline(StandardScaler(), parts, StandardScaler(with_mean=False)).fit(embedded)
