"""Networks that classify series of any length and sampling: light curves, spectra, events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..samples import Samples
from ._neural_classifier import NetworkClassifier
from ._rows import unpack_samples
from ._sequence_inputs import pad_series
from ._sequence_member import SequenceMember

if TYPE_CHECKING:
    import torch


class SequenceClassifier(SequenceMember, NetworkClassifier):
    """A network for series: recurrent, convolutional or a transformer.

    A series is an array with one row per step: its time, values, and on request errors and a
    band. The network sees the intervals between the steps, not the times, so that a series may
    begin whenever it likes, and may be sampled irregularly and end anywhere.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "transformer", "conv"}
        "lstm", "gru", "rnn": recurrent layers, of which "rnn" forgets soonest. "conv": residual
        convolutions along the steps, each reaching four times as far as the one before; three
        layers see 84 steps. "transformer": attention among all steps, which know how long they
        are after the first one; it needs the most examples, and memory for steps squared.
    hidden_size, n_layers : int
        Features of each step, and layers.
    bidirectional : bool
        Whether a step sees those after it as well as those before it.
    pooling : {"attention", "mean", "last"}
        How a series becomes one state: a mean with learned weights, the mean, or the last step
        (of each way of a recurrent layer).
    time_column : int or None
        Column of the time, in any unit; None where the steps follow each other evenly.
    band_column : int or None
        Column of the band, as whole numbers. Steps in several bands may have the same time.
    error_columns : tuple of int
        Columns of errors, one for each column of values, in their order.
    normalise : {"training", "sample", None}
        What is subtracted from each value: the mean of its band over the training series; of its
        own series as well, so that brightness counts for nothing; nothing. Except for None it is
        then divided by the spread of what is left in the training series.
    absolute_time : bool
        Tell the network the times themselves. What it then learns may be the order in which
        things were observed.
    class_weight : None, "balanced" or mapping of label to weight
        As for `NeuralClassifier`.
    activation, dropout, l1, l2, optimizer, momentum, learning_rate, schedule, schedule_epochs, \
schedule_factor, clip_norm, batch_size, max_epochs, early_stopping, validation_fraction, \
n_iter_no_change, precision, device, n_jobs, checkpoint, progress, random_state
        As for `NeuralClassifier`; ``activation`` is that of "conv" and "transformer", ``dropout``
        is between the layers and before the output, and ``precision="auto"`` is single everywhere.

    Attributes
    ----------
    band_labels_ : ndarray
        The bands of the training series.
    n_features_in_ : int
        Columns.
    classes_, history_, best_epoch_, interrupted_, module_
        As for `NeuralClassifier`.

    Notes
    -----
    LSTM: Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735. GRU: Cho et al. 2014,
    arXiv:1406.1078. On light curves: Naul et al. 2018, doi:10.1038/s41550-017-0321-z.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> y = np.arange(120) % 2
    >>> X = []
    >>> for label in y:
    ...     time = np.sort(rng.uniform(0, 10, rng.integers(20, 40)))
    ...     flux = rng.normal(size=len(time)) + 6 * label * np.exp(-(((time - 5) / 2) ** 2))
    ...     X.append(np.column_stack([time, flux]))
    >>> model = SequenceClassifier("gru", hidden_size=16, n_layers=1, max_epochs=8,
    ...                            learning_rate=0.02, random_state=1).fit(X[:80], y[:80])
    >>> bool(model.score(X[80:], y[80:]) > 0.9)
    True
    >>> weights = model.predict_attention(X[80:])
    >>> len(weights[0]) == len(X[80]), bool(abs(weights[0].sum() - 1) < 1e-6)
    (True, True)
    """

    def __init__(
        self,
        cell: str = "lstm",
        *,
        hidden_size: int = 64,
        n_layers: int = 2,
        bidirectional: bool = True,
        pooling: str = "attention",
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
        class_weight: Any = None,
        precision: str = "auto",
        device: str = "cpu",
        n_jobs: int | None = 1,
        checkpoint: Any = None,
        progress: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.cell = cell
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
        self.class_weight = class_weight
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
        return tags

    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> SequenceClassifier:
        """Train.

        Parameters
        ----------
        X : list of array_like, shape (n_steps, n_columns), or one array, or Samples
            Finite series of any length >= 1 whose times increase; or all of them as one array of
            the shape (n_series, n_steps, n_columns), in which steps that are NaN throughout are
            padding. A `Samples` of such arrays brings its own ``y``, weights and groups.
        y, sample_weight, groups
            As for `NeuralClassifier.fit`, one entry per series; a group may be the star.

        Raises
        ------
        ValueError
            For series that are empty, not finite or out of order, for columns that are not
            there, and as for `NeuralClassifier.fit`.
        """
        self._check_parameters()
        if not isinstance(X, Samples):
            X = pad_series(X)
        X, y, sample_weight, groups, _ = unpack_samples(X, y, sample_weight, groups, labels=True)
        series = self._store_series(X)
        if y is None:
            raise ValueError("y must be given, got None. A classifier needs labels.")
        if len(y) != len(series):
            raise ValueError(
                f"y must have one label per series, got {len(y)} for {len(series)} series."
            )
        self._fit_classes(series, np.asarray(y), sample_weight, groups)
        return self

    def predict_attention(self, X: Any) -> list[np.ndarray]:
        """Return how much each step counts for the score, adding up to one in each series.

        With ``pooling="attention"`` these are the weights of the pooling. For a transformer they
        are followed through its layers back to the steps (attention rollout, Abnar & Zuidema
        2020, arXiv:2005.00928), with any pooling. Weights say where a network looks, which is
        not always why it decides.

        Parameters
        ----------
        X : as for `fit`

        Returns
        -------
        list of ndarray, shape (n_steps,)
            One array per series, without the padding.

        Raises
        ------
        ValueError
            When neither pooling nor cell has attention.
        """
        check_is_fitted(self)
        if self.pooling != "attention" and self.cell != "transformer":
            raise ValueError(
                f"pooling must be 'attention' for weights per step, got {self.pooling!r}. "
                "Train with it, or with cell='transformer'."
            )
        series = self._check_rows(X)
        length = (~np.isnan(series[..., 0])).sum(axis=1)
        return [row[:n].copy() for row, n in zip(self._attend(series), length, strict=True)]

    def _build_network(self) -> torch.nn.Module:
        from ._sequence_networks import ClassHead, SequenceNetwork

        encoder = self._build_encoder()
        head = ClassHead(encoder.width, self.n_outputs_, dropout=float(self.dropout))
        return SequenceNetwork(encoder, self._build_pooling(encoder.width), head)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        state, weights = super()._get_fitted()
        return state | self._describe_series(), weights

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        self._restore_series(state)
        super()._set_fitted(state, weights)
