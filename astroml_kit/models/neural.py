"""Neural networks for tables, the alternative to boosted trees: scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice
from ..samples import Samples
from ._dense_network import DenseNetwork
from ._network_inputs import Scaler, TargetScaler
from ._neural_classifier import NetworkClassifier
from ._rows import unpack_samples

LOSSES = ("squared_error", "absolute_error", "huber")


class NeuralClassifier(NetworkClassifier, DenseNetwork):
    """A neural network for classes: fully connected layers, trained with early stopping.

    The output is a sigmoid for two classes, a softmax for more, and independent sigmoids where
    ``y`` has a column of 0 and 1 per label. Columns are brought to a common range inside, as
    measured on the training rows.

    Parameters
    ----------
    hidden_layers : tuple of int
        Width of each hidden layer; empty is logistic regression on the scaled columns.
    activation : {"relu", "leaky_relu", "silu", "hardswish", "tanh", "sigmoid"}
        Between the layers.
    dropout : float
        Share of the hidden units that is switched off in each training step.
    l1, l2 : float
        Penalties of the weights (not the biases). L1 is decoupled from the gradient: each step
        moves a weight towards zero by learning rate x ``l1``, so that weights become exactly
        zero. L2 is decoupled with "adamw" and added to the gradient with the other optimisers.
    optimizer : {"adamw", "adam", "sgd"}
        "sgd" has Nesterov ``momentum``.
    momentum : float
        Of "sgd".
    learning_rate : float
        Of the first epoch.
    schedule : {"constant", "cosine", "step", "plateau"}
        The learning rate after it: falling to zero at ``max_epochs``, multiplied by
        ``schedule_factor`` every ``schedule_epochs``, or whenever the loss (of the held-out rows
        if there are any) has not fallen for as many epochs.
    schedule_epochs, schedule_factor : int, float
        See ``schedule``.
    clip_norm : float or None
        Longest gradient of a step; a longer one is shortened to it.
    batch_size : int
        Samples per step.
    max_epochs : int
        Most passes over the training rows.
    early_stopping : bool or "auto"
        Hold out ``validation_fraction`` of the samples (of the groups, where ``fit`` gets groups),
        stop after ``n_iter_no_change`` epochs without a lower loss on them, and keep the weights
        of the lowest. "auto" does so from 1000 samples (and 10 groups) on.
    validation_fraction, n_iter_no_change : float, int
        See ``early_stopping``.
    class_weight : None, "balanced" or mapping of label to weight
        Multiplies the sample weights; "balanced" gives each class the same sum.
    scaling : {"quantile", "standard"}
        "quantile": each value becomes the normal deviate of its rank among the training rows,
        which suits the long tails of charges and energies; beyond the training rows it counts as
        being at their edge. "standard": mean 0 and standard deviation 1.
    missing : {"indicator", "fill", "error"}
        What becomes of NaN in ``X``. "indicator": the median (mean, for "standard") takes its
        place, with one more input per feature that says so; NaN at predict in a feature that had
        none in training is refused. "fill": the median or mean alone. "error": refused.
    precision : {"auto", "float32", "float64"}
        Of weights and arithmetic; "auto" is double on "cpu" and single elsewhere.
    device : str
        "cpu", "cuda", "cuda:1", "mps", or "auto" for a graphics card if there is one. A model
        trained on one device runs on another after ``set_params(device=...)``.
    n_jobs : int or None
        Threads on the CPU; None is one, -1 all.
    checkpoint : path-like or None
        Folder to write the training to after each epoch. A fit with the same data, parameters and
        seed goes on from there and ends with the weights of an uninterrupted one.
    progress : bool
        Show a bar over the epochs.
    random_state : int, RandomState or None
        The same integer gives the same model, bit for bit, at one ``n_jobs``; torch's own random
        numbers are left as they were.

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted; the numbers of the labels where they are independent.
    history_ : `~astropy.table.Table`
        One row per epoch: ``epoch``, ``train_loss``, ``valid_loss``, ``train_metric``,
        ``valid_metric``, ``learning_rate``; ``meta["metric"]`` says which metric ("auc" for two
        classes, else "accuracy"), ``meta["best_epoch"]`` is `best_epoch_`.
    best_epoch_ : int
        The epoch, counted from 1, whose weights were kept: the last without early stopping.
    interrupted_ : bool
        Whether Ctrl-C ended the training; the weights so far are kept, with a warning.
    module_ : torch.nn.Module
        The network; it takes scaled inputs.
    feature_names_in_ : ndarray of str
        When ``X`` was a `Samples` with names or a data frame; checked at predict.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.normal(size=(400, 2))
    >>> y = (X[:, 0] ** 2 + X[:, 1] ** 2 > 1).astype(int)
    >>> model = NeuralClassifier(max_epochs=80, learning_rate=0.01, random_state=1)
    >>> bool(model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.9)
    True
    >>> model.history_.colnames
    ['epoch', 'train_loss', 'train_metric', 'learning_rate']
    """

    def __init__(
        self,
        *,
        hidden_layers: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-4,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        schedule_epochs: int = 10,
        schedule_factor: float = 0.3,
        clip_norm: float | None = None,
        batch_size: int = 128,
        max_epochs: int = 200,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 20,
        class_weight: Any = None,
        scaling: str = "quantile",
        missing: str = "indicator",
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
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
        self.class_weight = class_weight
        self.scaling = scaling
        self.missing = missing
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> NeuralClassifier:
        """Train.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or Samples
            Finite, or NaN as ``missing`` allows. A `Samples` brings its own ``y``, weights, groups
            and feature names.
        y : array_like, shape (n_samples,) or (n_samples, n_labels)
            Labels of two classes or more, or 0 and 1 for each of several independent labels.
        sample_weight : array_like, shape (n_samples,), optional
            Weights, >= 0; a sample with weight 0 is as good as not there.
        groups : array_like, shape (n_samples,), optional
            What early stopping must not split: the shower, the run.

        Raises
        ------
        ValueError
            For one class only, unlabelled (-1) `Samples`, a parameter out of range, NaN where it
            is refused, or a loss that does not stay finite.
        """
        self._check_parameters()
        X, y, sample_weight, groups, names = unpack_samples(
            X, y, sample_weight, groups, labels=True
        )
        X, y = self._take_rows(X, y, names)
        self._fit_classes(X, y, sample_weight, groups)
        return self


class NeuralRegressor(RegressorMixin, DenseNetwork):
    """A neural network for one continuous target or several, with errors on request.

    Parameters
    ----------
    loss : {"squared_error", "absolute_error", "huber"}
        What is minimised, of the standardised targets; not used with ``uncertainty``.
    uncertainty : bool
        Learn a standard deviation beside each mean, by the likelihood of a normal distribution
        (Nix & Weigend 1994, doi:10.1109/ICNN.1994.374138): the scatter of the target at a point,
        not what the model does not know. ``predict(X, return_std=True)`` returns both.
    hidden_layers, activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, \
schedule_epochs, schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, \
validation_fraction, n_iter_no_change, scaling, missing, precision, device, n_jobs, checkpoint, \
progress, random_state
        As for `NeuralClassifier`.

    Attributes
    ----------
    n_outputs_ : int
        Targets.
    history_, best_epoch_, interrupted_, module_, feature_names_in_
        As for `NeuralClassifier`; the metric is "r2", the mean over targets. Losses are those of
        the standardised targets.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = rng.uniform(-1, 1, size=(400, 1))
    >>> y = X[:, 0] ** 2 + 0.1 * rng.normal(size=400)
    >>> model = NeuralRegressor(uncertainty=True, learning_rate=0.01, max_epochs=60,
    ...                         random_state=1).fit(X, y)
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> bool(abs(mean[0] - 0.25) < 0.1), bool(abs(std[0] - 0.1) < 0.04)
    (True, True)
    """

    def __init__(
        self,
        *,
        loss: str = "squared_error",
        uncertainty: bool = False,
        hidden_layers: tuple[int, ...] = (64, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-4,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        learning_rate: float = 1e-3,
        schedule: str = "constant",
        schedule_epochs: int = 10,
        schedule_factor: float = 0.3,
        clip_norm: float | None = None,
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
        self.loss = loss
        self.uncertainty = uncertainty
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("loss", self.loss, LOSSES)
        check_choice("uncertainty", self.uncertainty, (True, False))

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> NeuralRegressor:
        """Train; arguments as for `NeuralClassifier.fit`, ``y`` one or several finite numbers."""
        self._check_parameters()
        X, y, sample_weight, groups, names = unpack_samples(X, y, sample_weight, groups)
        X, y = self._take_rows(X, y, names)
        X, y, weight, groups = self._weigh_rows(X, y, sample_weight, groups)
        y = np.asarray(y, dtype=np.float64)
        self._flat = y.ndim == 1
        y = y[:, None] if self._flat else y
        self.n_outputs_ = y.shape[1]
        self._train(X, y, weight, groups, kind="gaussian" if self.uncertainty else self.loss)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the estimates, and on request their standard deviations.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or Samples
            Finite, or NaN as ``missing`` allows.
        return_std : bool
            Also return standard deviations; needs ``uncertainty=True``.

        Returns
        -------
        ndarray, shape (n_samples,) or (n_samples, n_outputs), as ``y`` was
            The estimates; with ``return_std`` a pair of such arrays.
        """
        check_is_fitted(self)
        if return_std and self._kind != "gaussian":
            raise ValueError(
                "return_std must be False for a model without an error, got True. "
                "Train with uncertainty=True."
            )
        output = self._run(self._check_rows(X))
        mean = self._targets.restore(output[:, : self.n_outputs_])
        if not return_std:
            return mean[:, 0] if self._flat else mean
        std = self._find_std(output) * self._targets.scale
        return (mean[:, 0], std[:, 0]) if self._flat else (mean, std)

    def _find_std(self, output: np.ndarray) -> np.ndarray:
        import torch

        from ._networks import split_gaussian

        _, variance = split_gaussian(torch.from_numpy(output))
        return np.sqrt(variance.numpy())

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Coefficient of determination R^2, the mean over targets."""
        if isinstance(X, Samples):
            y, sample_weight = X.y, X.weights
        return super().score(X, y, sample_weight)

    def _measure_targets(
        self, target: np.ndarray, rows: np.ndarray, weight: np.ndarray | None
    ) -> np.ndarray:
        self._targets = TargetScaler.measure(target[rows], weight)
        return self._targets.transform(target)

    def _count_columns(self) -> int:
        return 2 * self.n_outputs_ if self.uncertainty else self.n_outputs_

    def _list_scalers(self) -> dict[str, Scaler]:
        return {"inputs": self._inputs, "targets": self._targets}

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        super()._read_scalers(arrays)
        self._targets = TargetScaler.from_arrays(arrays["targets"])
        if self._targets.mean.shape != (self.n_outputs_,):
            raise ValueError("the target scaler must have one entry per output")

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | {"flat": self._flat}, weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        super()._set_fitted(state, weights)
        self._flat = bool(state["flat"])
        if self._flat and self.n_outputs_ != 1:
            raise ValueError("several outputs are not flat")

    def _check_kind(self) -> None:
        if self._kind != ("gaussian" if self.uncertainty else self.loss):
            raise ValueError("kind must be that of the parameters")
