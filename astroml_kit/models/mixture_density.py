"""Whole distributions of a continuous target: a network that says a mixture for every row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real, invalid
from ..samples import Samples
from ._dense_network import DenseNetwork
from ._mixture import Mixture
from ._network_inputs import Scaler, TargetScaler
from ._rows import unpack_samples

POINTS = ("median", "mean")
MOST_COMPONENTS = 100


class MixtureDensityRegressor(RegressorMixin, DenseNetwork):
    """A neural network that says the whole distribution of a target, by its likelihood.

    Each row gets a mixture of normal distributions, so that the density may be skew, have long
    tails or several peaks, as that of a redshift whose colours fit two distances.

    Parameters
    ----------
    n_components : int
        Normal distributions in each mixture.
    point : {"median", "mean"}
        What `predict` returns.
    hidden_layers, activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, \
schedule_epochs, schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, \
validation_fraction, n_iter_no_change, scaling, missing, precision, device, n_jobs, checkpoint, \
progress, random_state
        As for `NeuralRegressor`.

    Attributes
    ----------
    history_, best_epoch_, interrupted_, module_, feature_names_in_
        As for `NeuralRegressor`; the loss is minus the mean log-density of the standardised target.

    References
    ----------
    Bishop 1994, Mixture density networks, NCRG/94/004.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(-1, 1, size=(600, 1))
    >>> y = rng.choice([-1, 1], 600) * (1 + X[:, 0]) + 0.05 * rng.normal(size=600)
    >>> model = MixtureDensityRegressor(n_components=2, learning_rate=0.01, batch_size=32,
    ...                                 max_epochs=60, random_state=1).fit(X, y)
    >>> low, high = model.predict_quantiles([[0.5]], [0.25, 0.75])[0]
    >>> bool(abs(low + 1.5) < 0.1), bool(abs(high - 1.5) < 0.1)
    (True, True)
    """

    def __init__(
        self,
        *,
        n_components: int = 5,
        point: str = "median",
        hidden_layers: tuple[int, ...] = (64, 64),
        activation: str = "silu",
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-4,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        schedule_epochs: int = 10,
        schedule_factor: float = 0.3,
        clip_norm: float | None = 1.0,
        batch_size: int = 128,
        max_epochs: int = 200,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 20,
        scaling: str = "quantile",
        missing: str = "indicator",
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.point = point
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.dropout = dropout
        self.l1 = l1
        self.l2 = l2
        self.optimizer = optimizer
        self.momentum = momentum
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.schedule_epochs = schedule_epochs
        self.schedule_factor = schedule_factor
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.scaling = scaling
        self.missing = missing
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("point", self.point, POINTS)
        n = check_real("n_components", self.n_components, at_least=1, at_most=MOST_COMPONENTS)
        if n != np.floor(n):
            raise invalid("n_components", "a whole number", self.n_components)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> MixtureDensityRegressor:
        """Train; arguments as for `NeuralRegressor.fit`, ``y`` one finite number per sample."""
        self._check_parameters()
        X, y, sample_weight, groups, names = unpack_samples(X, y, sample_weight, groups)
        X, y = self._take_rows(X, y, names)
        if np.ndim(y) == 2 and np.shape(y)[1] == 1:
            y = column_or_1d(y, warn=True)
        if np.ndim(y) != 1:
            raise invalid("y", "one value per sample", y, "Train one model per column.")
        X, y, weight, groups = self._weigh_rows(X, y, sample_weight, groups)
        self.n_outputs_ = 1
        self._train(X, np.asarray(y, dtype=float)[:, None], weight, groups, kind="mixture")
        return self

    def predict_mixture(self, X: Any) -> Mixture:
        """Return weights, means and widths of the parts, each of shape (n_samples, n_components).

        The methods of the result give densities, quantiles and draws.
        """
        check_is_fitted(self)
        from scipy.special import logsumexp

        from ._networks import SMALLEST_WIDTH

        weight, mean, raw = np.split(self._run(self._check_rows(X)), 3, axis=1)
        width = logsumexp([raw, np.zeros_like(raw)], axis=0) + SMALLEST_WIDTH
        return Mixture(softmax(weight, axis=1), self._targets.restore(mean),
                       width * self._targets.scale)  # fmt: skip

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the median or the mean of each density, and on request standard deviations."""
        mixture = self.predict_mixture(X)
        if self.point == "mean":
            centre = mixture.find_mean()
        else:
            centre = mixture.find_quantiles([0.5])[:, 0]
        return (centre, mixture.find_std()) if return_std else centre

    def predict_quantiles(self, X: Any, levels: Any) -> np.ndarray:
        """Return quantiles at levels between 0 and 1, shape (n_samples, n_levels)."""
        return self.predict_mixture(X).find_quantiles(check_levels(levels))

    def predict_cdf(self, X: Any, y: Any) -> np.ndarray:
        """Return the probability of less than ``y``, one value or several for each row."""
        mixture = self.predict_mixture(X)
        return mixture.find_cdf(check_values(y, len(mixture)))

    def predict_pdf(self, X: Any, y: Any) -> np.ndarray:
        """Return the density at ``y``, one value or several for each row."""
        mixture = self.predict_mixture(X)
        return mixture.find_pdf(check_values(y, len(mixture)))

    def sample(self, X: Any, n_draws: int = 1, *, random_state: Any = None) -> np.ndarray:
        """Draw from the density of each row, shape (n_samples, n_draws)."""
        mixture = self.predict_mixture(X)
        check_real("n_draws", n_draws, at_least=1, next_step="Give a whole number.")
        seed = check_random_state(random_state).randint(2**31 - 1)
        return mixture.draw(int(n_draws), np.random.default_rng(seed))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)

    def _measure_targets(
        self, target: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray:
        self._targets = TargetScaler.measure(target[rows], weight)
        return self._targets.transform(target)

    def _count_columns(self) -> int:
        return 3 * int(self.n_components)

    def _list_scalers(self) -> dict[str, Scaler]:
        return {"inputs": self._inputs, "targets": self._targets}

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        super()._read_scalers(arrays)
        self._targets = TargetScaler.from_arrays(arrays["targets"])
        if self._targets.mean.shape != (1,):
            raise ValueError("the target scaler must have one entry")

    def _check_kind(self) -> None:
        if self._kind != "mixture" or self.n_outputs_ != 1:
            raise ValueError("kind must be a mixture of one target")


def check_levels(levels: Any) -> np.ndarray:
    """Return levels of quantiles, one-dimensional."""
    return np.atleast_1d(check_real("levels", levels, above=0, below=1))


def check_values(y: Any, n_samples: int) -> np.ndarray:
    """Return values of the target: one per row, or the same number of columns for each row."""
    values = check_real("y", y)
    if values.ndim not in (1, 2) or len(values) != n_samples:
        raise invalid("y", f"of shape ({n_samples},) or ({n_samples}, n_values)", y,
                      "Repeat a common grid with numpy.tile.")  # fmt: skip
    return values
