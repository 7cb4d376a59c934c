"""A Bayesian last layer: the error of a network's estimate, exact given its features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin, clone
from sklearn.linear_model import BayesianRidge
from sklearn.utils.validation import check_is_fitted

from ..samples import Samples
from ._wrapper import Wrapper, fit_model


class LaplaceRegressor(RegressorMixin, Wrapper):
    """A `NeuralRegressor` whose last layer is replaced by its exact Gaussian posterior.

    The network is trained as it is; what its last hidden layer says of the training samples are
    the columns of a Bayesian linear model, whose two precisions are those of the largest
    evidence. The Laplace approximation of the last layer is then exact, since that is linear.

    Parameters
    ----------
    estimator : NeuralRegressor, optional
        With one target, at least one hidden layer and ``uncertainty=False``.

    Attributes
    ----------
    model_ : NeuralRegressor
    coef_, intercept_, covariance_ : ndarray, float, ndarray
        Posterior mean and covariance of the last layer's weights.
    noise_ : float
        Standard deviation of the noise.

    References
    ----------
    MacKay 1992, doi:10.1162/neco.1992.4.3.448; Daxberger et al. 2021, arXiv:2106.14806.

    Examples
    --------
    >>> from astroml_kit.models import NeuralRegressor
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(-1, 1, (200, 1))
    >>> net = NeuralRegressor(hidden_layers=(16,), activation="tanh", max_epochs=40,
    ...                       learning_rate=0.02, random_state=1)
    >>> y = np.sin(3 * X[:, 0]) + 0.1 * rng.normal(size=200)
    >>> mean, std = LaplaceRegressor(net).fit(X, y).predict([[0.0], [6.0]], return_std=True)
    >>> bool(0.05 < std[0] < 0.2 and std[1] > std[0])
    True
    """

    def __init__(self, estimator: Any = None) -> None:
        self.estimator = estimator

    def _get_estimator(self) -> Any:
        from .neural import NeuralRegressor

        return NeuralRegressor() if self.estimator is None else self.estimator

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> LaplaceRegressor:
        """Train the network, then its last layer; arguments as for `NeuralRegressor.fit`."""
        from .neural import NeuralRegressor

        inner = self._get_estimator()
        if not isinstance(inner, NeuralRegressor) or inner.uncertainty or not inner.hidden_layers:
            raise ValueError(
                "estimator must be a NeuralRegressor with hidden layers and uncertainty=False, "
                f"got {type(inner).__name__}."
            )
        data = self._open(X, y, sample_weight, groups)
        if data.y.ndim != 1:
            raise ValueError(f"y must be one value per sample, got shape {data.y.shape}.")
        self.model_ = fit_model(clone(inner), data)
        self._store_shape(self.model_)
        target = self.model_._targets.transform(np.asarray(data.y, dtype=float)[:, None])[:, 0]
        line = BayesianRidge(max_iter=1000, tol=1e-6)
        line.fit(self._find_features(data.show()), target, data.weight)
        self.coef_, self.intercept_ = line.coef_, float(line.intercept_)
        self.covariance_, self.offset_ = line.sigma_, line.X_offset_
        self.noise_ = float(1 / np.sqrt(line.alpha_) * self._get_scale())
        return self

    def _get_scale(self) -> float:
        return float(np.ravel(self.model_._targets.scale)[0])

    def _find_features(self, X: Any) -> np.ndarray:
        """What the last hidden layer says."""
        model = self.model_
        rows = model._transform_inputs(model._check_rows(X))
        return model._apply(model.module_[:-1], rows, dtype=model._dtype)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the estimates, and on request their errors, noise included."""
        check_is_fitted(self)
        features = self._find_features(X)
        scaled = features @ self.coef_ + self.intercept_
        mean = self.model_._targets.restore(scaled[:, None])[:, 0]
        if not return_std:
            return mean
        away = features - self.offset_
        own = np.einsum("ij,jk,ik->i", away, self.covariance_, away) * self._get_scale() ** 2
        return mean, np.sqrt(np.clip(own, 0, None) + self.noise_**2)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)

    def _get_parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        state = {
            "coef": self.coef_.tolist(),
            "offset": np.asarray(self.offset_).tolist(),
            "covariance": self.covariance_.tolist(),
            "intercept": self.intercept_,
            "noise": self.noise_,
        }
        return state, {"model_0000": self.model_}

    def _set_parts(self, state: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        from .neural import NeuralRegressor

        self.model_ = parts["model_0000"]
        if not isinstance(self.model_, NeuralRegressor) or not self.model_.hidden_layers:
            raise ValueError("the model inside must be a NeuralRegressor with hidden layers.")
        width = int(self.model_.hidden_layers[-1])
        self.coef_, self.offset_ = (np.array(state[k], dtype=float) for k in ("coef", "offset"))
        self.covariance_ = np.array(state["covariance"], dtype=float)
        self.intercept_, self.noise_ = float(state["intercept"]), float(state["noise"])
        values = (self.coef_, self.offset_, self.covariance_, self.intercept_, self.noise_)
        if [np.shape(v) for v in values[:3]] != [(width,), (width,), (width, width)] or not all(
            np.isfinite(v).all() for v in values
        ):
            raise ValueError("the posterior must have one finite entry per feature.")
