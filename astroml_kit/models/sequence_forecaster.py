"""Networks that say how a series goes on, and how sure that is."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, check_real, invalid
from ..samples import Samples
from ._forecast import Forecast
from ._rows import unpack_unlabelled
from ._sequence_forecasts import KINDS, WindowedSequences
from ._sequence_inputs import pad_series
from ._sequence_member import check_whole
from ._sequence_windows import append_ahead

MOST_LEVELS, MOST_STEPS = 99, 2**16


class SequenceForecaster(WindowedSequences):
    """A network that continues series: a distribution at each of several times ahead.

    It learns from windows cut out of the series, each with some steps and the ``horizon`` steps
    that follow, wherever in time those are: the times to predict are inputs. A distribution is
    relative to the last value before it.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "transformer", "conv"}
        As for `SequenceClassifier`.
    horizon : int
        Steps ahead to learn, and to predict where no times are given.
    distribution : {"quantiles", "normal", "student"}
        What is learned about each time: the quantiles at ``quantiles``, by their pinball loss;
        or location and scale, and for "student" the degrees of freedom, by likelihood.
    quantiles : tuple of float
        Ascending levels of "quantiles". They never cross.
    n_history : int or None
        Most steps to look back; None looks back to the start.
    min_history : int
        Fewest steps of a window. Series of fewer than ``min_history + horizon`` steps teach
        nothing; `n_skipped_` counts them.
    n_windows : int or None
        Most windows of a series, evenly spaced; None takes all of them.
    target_column : int or None
        Column of values to predict; None is the first one that is neither time, band nor error.
    hidden_size, n_layers, bidirectional, pooling, time_column, band_column, error_columns, \
normalise, absolute_time
        As for `SequenceClassifier`. ``normalise="sample"`` subtracts the mean of the steps that a
        window looks back at.
    activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, schedule_epochs, \
schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, validation_fraction, \
n_iter_no_change, precision, device, n_jobs, checkpoint, progress, random_state
        As for `SequenceClassifier`. What is held out for early stopping are whole series, or
        groups of them.

    Attributes
    ----------
    n_windows_, n_skipped_ : int
        Windows to train on, and series too short for one.
    n_outputs_ : int
        ``horizon``.
    band_labels_, n_features_in_, history_, best_epoch_, interrupted_, module_
        As for `SequenceClassifier`; the metric is "r2", of the step from the last value.

    Notes
    -----
    Quantiles: Koenker & Bassett 1978, doi:10.2307/1913643; several steps ahead by one network:
    Wen et al. 2017, arXiv:1711.11053. Likelihood: Salinas et al. 2020,
    doi:10.1016/j.ijforecast.2019.07.001.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> X = []
    >>> for phase in rng.uniform(0, 6, 60):
    ...     time = np.cumsum(rng.uniform(0.2, 0.6, 40))
    ...     X.append(np.column_stack([time, np.sin(time + phase)]))
    >>> model = SequenceForecaster("gru", horizon=3, hidden_size=24, n_layers=1, n_history=10,
    ...                            max_epochs=15, learning_rate=0.01, random_state=1).fit(X[:50])
    >>> model.predict(X[50:]).shape
    (10, 3)
    >>> bool(model.score(X[50:]) > 0.7)  # of the error of "as it was" avoided
    True
    >>> model.predict_quantiles(X[50:], [0.1, 0.9], times=[[t[-1, 0] + 1] for t in X[50:]]).shape
    (2, 10, 1)
    """

    def __init__(
        self,
        cell: str = "gru",
        *,
        horizon: int = 5,
        distribution: str = "quantiles",
        quantiles: tuple[float, ...] = (0.05, 0.25, 0.5, 0.75, 0.95),
        n_history: int | None = 64,
        min_history: int = 5,
        n_windows: int | None = 32,
        target_column: int | None = None,
        hidden_size: int = 64,
        n_layers: int = 1,
        bidirectional: bool = False,
        pooling: str = "last",
        time_column: int | None = 0,
        band_column: int | None = None,
        error_columns: tuple[int, ...] = (),
        normalise: str | None = "training",
        absolute_time: bool = False,
        activation: str = "relu",
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 1e-4,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        learning_rate: float = 2e-3,
        schedule: str = "constant",
        schedule_epochs: int = 5,
        schedule_factor: float = 0.3,
        clip_norm: float | None = 1.0,
        batch_size: int = 64,
        max_epochs: int = 50,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 8,
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.cell = cell
        self.horizon = horizon
        self.distribution = distribution
        self.quantiles = quantiles
        self.n_history = n_history
        self.min_history = min_history
        self.n_windows = n_windows
        self.target_column = target_column
        self.hidden_size = hidden_size
        self.n_layers = n_layers
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.time_column = time_column
        self.band_column = band_column
        self.error_columns = error_columns
        self.normalise = normalise
        self.absolute_time = absolute_time
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
        self.precision = precision
        self.device = device
        self.n_jobs = n_jobs
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = False
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("distribution", self.distribution, KINDS)
        check_whole("horizon", self.horizon, 1, MOST_STEPS - 1)
        check_whole("min_history", self.min_history, 1, MOST_STEPS)
        for name in ("n_history", "n_windows", "target_column"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), int(name != "target_column"), MOST_STEPS)
        levels, rule = self.quantiles, f"a tuple of 2 to {MOST_LEVELS} ascending levels"
        if not isinstance(levels, tuple | list) or not 2 <= len(levels) <= MOST_LEVELS:
            raise invalid("quantiles", rule, levels)
        if np.any(np.diff(check_real("quantiles", levels, above=0, below=1)) <= 0):
            raise invalid("quantiles", rule, levels)

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> SequenceForecaster:
        """Train.

        Parameters
        ----------
        X : list of array_like, shape (n_steps, n_columns), or one array, or Samples
            As for `SequenceClassifier.fit`.
        y : ignored
            A series is its own target.
        sample_weight, groups : array_like, shape (n_series,), optional
            As for `NeuralClassifier.fit`. Without groups each series is one.

        Raises
        ------
        ValueError
            When no series is long enough, and as for `SequenceClassifier.fit`.
        """
        self._check_parameters()
        if not isinstance(X, Samples):
            X = pad_series(X)
        X, sample_weight, groups, _ = unpack_unlabelled(X, sample_weight, groups)
        series = self._store_series(X)
        groups = np.arange(len(series)) if groups is None else groups
        series, groups, weight, _ = self._weigh_rows(series, groups, sample_weight, None)
        cut = self._cut_windows(series)
        self.n_windows_ = len(cut.X)
        self.n_skipped_ = len(series) - len(np.unique(cut.series))
        if self.n_windows_ == 0:
            raise ValueError(
                f"X must have a series of min_history + horizon = "
                f"{self.min_history + self.horizon} steps or more, got at most "
                f"{series.shape[1]}. Lower horizon or min_history."
            )
        self.n_outputs_ = int(self.horizon)
        weight = None if weight is None else weight[cut.series]
        self._cut = cut
        try:
            self._train(
                cut.X, cut.target, weight, groups[cut.series], kind=KINDS[self.distribution]
            )
        finally:
            self._cut = None
        return self

    def predict_distribution(self, X: Any, *, times: Any = None, bands: Any = None) -> Forecast:
        """Return the distribution at each time ahead.

        Parameters
        ----------
        X : as for `fit`
            Series up to now.
        times : array_like, shape (n_ahead,) or (n_series, n_ahead), optional
            When to predict, in the unit and from the origin of the column of times, as many as
            wanted; far beyond the leads of the training it is a guess. By default ``horizon``
            steps follow at the median interval of each series.
        bands : int or array_like, shape (n_ahead,) or (n_series, n_ahead), optional
            In which bands; by default in that of the last step.

        Returns
        -------
        Forecast
        """
        check_is_fitted(self)
        X, when = append_ahead(
            self._check_rows(X),
            self._find_columns(),
            n_history=self.n_history,
            horizon=int(self.horizon),
            times=times,
            bands=bands,
            known=self.band_labels_,
        )
        return self._forecast(X, when)

    def predict(self, X: Any, *, times: Any = None, bands: Any = None) -> np.ndarray:
        """Return the median at each time ahead, shape (n_series, n_ahead).

        Arguments as for `predict_distribution`. For "normal" and "student" it is the mean too.
        """
        return self.predict_distribution(X, times=times, bands=bands).median

    def predict_quantiles(
        self, X: Any, quantiles: Any = None, *, times: Any = None, bands: Any = None
    ) -> np.ndarray:
        """Return quantiles at each time ahead.

        Parameters
        ----------
        X, times, bands : as for `predict_distribution`
        quantiles : array_like, shape (n_levels,), optional
            Levels; those of the parameter ``quantiles`` by default. Others are interpolated, see
            `Forecast.compute_quantiles`.

        Returns
        -------
        ndarray, shape (n_levels, n_series, n_ahead)
            Ascending along ``quantiles`` if they are.
        """
        levels = self.quantiles if quantiles is None else quantiles
        return self.predict_distribution(X, times=times, bands=bands).compute_quantiles(levels)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Skill: 1 - CRPS / mean absolute error of the last value, over windows cut from ``X``.

        1 is perfect, 0 as good as to say that nothing changes. Windows are cut as in training.
        """
        check_is_fitted(self)
        if isinstance(X, Samples):
            X, sample_weight = X.X, X.weights
        cut = self._cut_windows(self._check_rows(X))
        if len(cut.X) == 0:
            raise ValueError(
                f"X must have a series of {self.min_history + self.horizon} steps or more."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight)[cut.series]
        forecast = self._forecast(cut.X, np.zeros(cut.target.shape))
        error = np.average(forecast.compute_crps(cut.target).mean(axis=1), weights=weight)
        still = np.average(np.abs(cut.target - self._find_base(cut.X)).mean(axis=1), weights=weight)
        return float(1 - error / still) if still > 0 else float("nan")
