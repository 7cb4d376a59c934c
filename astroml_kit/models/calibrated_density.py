"""Distributions of a target that hold as often as they say: several densities, set right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._validation import check_real, invalid
from ..samples import Samples
from ._mixture import Mixture
from ._wrapper import Wrapper, draw_seed, fit_model, list_folds, seed_model
from .conformal import find_bound
from .mixture_density import check_levels, check_values

SMALLEST_LEVEL = 1e-11  # of a quantile: further out a distribution says nothing
# Knots of the map from levels as said to levels as they hold, and rows for each: what is finer is
# noise, and would be seen in the densities.
MOST_KNOTS, ROWS_PER_KNOT = 20, 50
N_TABULATED = 2001
FEWEST = 50  # rows in a band, below which its map would be noise


class CalibratedRegressor(RegressorMixin, Wrapper):
    """A distribution for every row, the mean of several, calibrated on rows that trained none.

    Each of ``n_splits`` models trains without one fold of the rows and says where in its
    distributions the targets of that fold lie. These levels, which would be even from 0 to 1 if
    the distributions were right, give a map for the levels of the mean distribution and the width
    of central intervals. Every row trains and every row calibrates. In bands of one column, such
    as the magnitude, the faint have a calibration of their own.

    Parameters
    ----------
    estimator : regressor with ``predict_mixture``, optional
        ``MixtureDensityRegressor()`` when None.
    n_splits : int
        Folds, and models.
    band_column : int or None
        Column of ``X`` that defines bands; NaN joins the highest. None calibrates all rows alike.
    n_bands : int
        Bands with equal numbers of training rows.
    confidence : float
        Of the intervals, unless `predict_interval` is told another.
    random_state : int, RandomState or None
        For the folds and, different in each model, for every random_state inside.

    Attributes
    ----------
    models_ : list of estimator
    edges_ : ndarray
        Inner edges of the bands.
    levels_ : list of ndarray
        For each band, the levels of its training rows, ascending.

    Notes
    -----
    That the levels come from one model and are used for the mean of all makes intervals slightly
    too wide, since the mean is the better one: their coverage is at least as promised in practice,
    though proven only for ``1 - 2 (1 - confidence)`` (Barber et al. 2021, doi:10.1214/20-AOS1965).

    References
    ----------
    Levels as conformity scores: Chernozhukov, Wuethrich & Zhu 2021, doi:10.1073/pnas.2107794118.
    The map of levels: Bordoloi, Lilly & Amara 2010, doi:10.1111/j.1365-2966.2010.16765.x. Bands:
    Vovk, Gammerman & Shafer 2005, doi:10.1007/b106715.

    Examples
    --------
    >>> from astroml_kit.models import MixtureDensityRegressor
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(0, 1, size=(900, 1))
    >>> y = X[:, 0] * rng.normal(size=900)
    >>> net = MixtureDensityRegressor(n_components=2, max_epochs=15, learning_rate=0.01)
    >>> model = CalibratedRegressor(net, n_splits=3, random_state=1).fit(X[:600], y[:600])
    >>> low, high = model.predict_interval(X[600:]).T
    >>> bool(0.86 < np.mean((low <= y[600:]) & (y[600:] <= high)) < 0.96)
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        n_splits: int = 5,
        band_column: int | None = None,
        n_bands: int = 5,
        confidence: float = 0.9,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.band_column = band_column
        self.n_bands = n_bands
        self.confidence = confidence
        self.random_state = random_state

    def _get_estimator(self) -> Any:
        from .mixture_density import MixtureDensityRegressor

        return MixtureDensityRegressor() if self.estimator is None else self.estimator

    def _check_parameters(self) -> None:
        for name, least in (("n_splits", 2), ("n_bands", 1)):
            value = check_real(name, getattr(self, name), at_least=least, at_most=1000)
            if value != np.floor(value):
                raise invalid(name, "a whole number", getattr(self, name))
        check_real("confidence", self.confidence, above=0, below=1)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> CalibratedRegressor:
        """Train a model without each fold, and calibrate on it; arguments as for the estimator.

        Weights are for training: every row counts the same in the calibration.
        """
        self._check_parameters()
        data = self._open(X, y, sample_weight, groups)
        if data.y.ndim != 1:
            raise ValueError(f"y must be one value per sample, got shape {data.y.shape}.")
        if len(data) < self.n_splits:
            raise invalid("n_splits", f"at most the number of samples, {len(data)}", self.n_splits)
        seed = draw_seed(self.random_state)
        folds = list_folds(data, None, n_splits=int(self.n_splits), seed=seed)
        levels = np.zeros(len(data))
        self.models_ = []
        for number, (train, test) in enumerate(folds):
            model = seed_model(self._get_estimator(), seed + 7919 * number)
            model = fit_model(model, data.take(train))
            levels[test] = model.predict_mixture(data.show(test)).find_cdf(data.y[test])
            self.models_.append(model)
        self._store_shape(self.models_[0])
        band = self._set_bands(data.X)
        self.levels_ = [np.sort(levels[band == k]) for k in range(len(self.edges_) + 1)]
        return self

    def _set_bands(self, X: Any) -> np.ndarray:
        """Choose bands of equal numbers and return that of each row."""
        self.edges_ = np.zeros(0)
        if self.band_column is None:
            return np.zeros(len(X), dtype=int)
        columns = np.shape(X)[1]
        if not 0 <= int(self.band_column) < columns:
            raise invalid("band_column", f"from 0 to {columns - 1}", self.band_column)
        values = np.asarray(X)[:, int(self.band_column)].astype(float)
        known = values[np.isfinite(values)]
        share = np.linspace(0, 1, int(self.n_bands) + 1)[1:-1]
        self.edges_ = np.unique(np.quantile(known, share)) if len(known) else self.edges_
        band = self._find_bands(X)
        if (fewest := np.bincount(band, minlength=len(self.edges_) + 1).min()) < FEWEST:
            raise ValueError(
                f"n_bands must leave {FEWEST} rows in every band, got {fewest}. Use fewer bands."
            )
        return band

    def _find_bands(self, X: Any) -> np.ndarray:
        rows = X.X if isinstance(X, Samples) else np.asarray(X)
        if self.band_column is None:
            return np.zeros(len(rows), dtype=int)
        # NaN sorts behind every number
        return np.searchsorted(
            self.edges_, rows[:, int(self.band_column)].astype(float), side="right"
        )

    def predict_mixture(self, X: Any) -> Mixture:
        """Return the mean distribution as it is before calibration."""
        check_is_fitted(self)
        return Mixture.pool([model.predict_mixture(X) for model in self.models_])

    def predict(self, X: Any) -> np.ndarray:
        """Return the median of each mean distribution; calibration leaves it as it is."""
        return self.predict_mixture(X).find_quantiles([0.5])[:, 0]

    def predict_quantiles(self, X: Any, levels: Any) -> np.ndarray:
        """Return calibrated quantiles, shape (n_samples, n_levels)."""
        levels, mixture = check_levels(levels), self.predict_mixture(X)
        said = np.array([np.interp(levels, *self._map(k)[::-1]) for k in range(len(self.levels_))])
        inside = np.clip(said[self._find_bands(X)], 1e-9, 1 - 1e-9)
        return mixture.find_quantiles(inside)

    def predict_cdf(self, X: Any, y: Any) -> np.ndarray:
        """Return the calibrated probability of less than ``y``, one or several for each row."""
        mixture = self.predict_mixture(X)
        said = mixture.find_cdf(check_values(y, len(mixture)))
        band = self._find_bands(X)
        out = np.empty_like(said)
        for k in range(len(self.levels_)):
            out[band == k] = np.interp(said[band == k], *self._map(k))
        return out

    def predict_pdf(self, X: Any, y: Any) -> np.ndarray:
        """Return the calibrated density at ``y``, one or several for each row.

        The slope of the calibration map times the density of the mixture.
        """
        mixture = self.predict_mixture(X)
        values = check_values(y, len(mixture))
        said, density = mixture.find_cdf(values), mixture.find_pdf(values)
        band = self._find_bands(X)
        for k in range(len(self.levels_)):
            said_at, holds_at = self._map(k)
            slope = np.diff(holds_at) / np.diff(said_at)
            cell = np.clip(np.searchsorted(said_at, said[band == k]) - 1, 0, len(slope) - 1)
            density[band == k] *= slope[cell]
        return density

    def _map(self, band: int) -> tuple[np.ndarray, np.ndarray]:
        """Levels as said, ascending from 0 to 1, and as they hold; smooth between knots."""
        levels = self.levels_[band]
        n_knots = int(np.clip(len(levels) // ROWS_PER_KNOT, 2, MOST_KNOTS))
        holds = np.linspace(0, 1, n_knots + 1)
        said = np.concatenate([[0.0], np.quantile(levels, holds[1:-1]), [1.0]])
        # A trace of the identity: where levels repeat, the map must still rise.
        said = 1e-6 * holds + (1 - 1e-6) * said
        grid = np.union1d(np.linspace(0, 1, N_TABULATED), said)
        return grid, PchipInterpolator(said, holds)(grid)

    def predict_interval(self, X: Any, confidence: float | None = None) -> np.ndarray:
        """Return central intervals: lower and upper ends, shape (n_samples, 2).

        They hold the truth of ``confidence`` of the rows in each band; infinite where a band has
        too few rows for that, or distributions so narrow that its truths lie at levels within
        1e-11 of 0 or 1.
        """
        check_is_fitted(self)
        confidence = float(
            self.confidence if confidence is None
            else check_real("confidence", confidence, above=0, below=1)
        )  # fmt: skip
        bounds = np.array(
            [find_bound(np.sort(np.abs(part - 0.5)), confidence) for part in self.levels_]
        )
        bounds[bounds > 0.5 - SMALLEST_LEVEL] = np.inf
        half = bounds[self._find_bands(X)]
        known = np.where(np.isfinite(half), half, 0.0)
        ends = self.predict_mixture(X).find_quantiles(np.column_stack([0.5 - known, 0.5 + known]))
        return np.where(np.isfinite(half)[:, None], ends, [-np.inf, np.inf])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        state = {
            "edges": self.edges_.tolist(),
            "levels": [part.tolist() for part in self.levels_],
        }
        return state, {f"model_{k:04d}": model for k, model in enumerate(self.models_)}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        self.models_ = [parts[f"model_{k:04d}"] for k in range(len(parts))]
        self.edges_ = np.array(state["edges"], dtype=float)
        self.levels_ = [np.array(part, dtype=float) for part in state["levels"]]
        if not self.models_ or not all(hasattr(m, "predict_mixture") for m in self.models_):
            raise ValueError("the models inside must say mixtures.")
        if self.edges_.ndim != 1 or not np.all(np.diff(self.edges_) > 0):
            raise ValueError("the edges of bands must ascend.")
        if len(self.levels_) != len(self.edges_) + 1:
            raise ValueError("there must be levels for every band.")
        for part in self.levels_:
            if part.ndim != 1 or not len(part) or not np.all((part >= 0) & (part <= 1)):
                raise ValueError("levels must be from 0 to 1.")
            if np.any(np.diff(part) < 0):
                raise ValueError("levels must ascend.")
