"""What the sequence members share: checks, columns, scales, encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._validation import check_choice, invalid
from ..samples import Samples
from ._network_inputs import Scaler
from ._neural_estimator import NeuralEstimator
from ._sequence_inputs import Columns, check_steps, pad_series
from ._sequence_scaler import SequenceScaler, count_inputs, read_scaler

CELLS = ("lstm", "gru", "rnn", "transformer", "conv")
POOLINGS = ("attention", "mean", "last")
NORMALISATIONS = ("training", "sample", None)
MOST_SIZE, MOST_LAYERS, MOST_BANDS, MOST_COLUMNS = 2**12, 64, 256, 2**12
CHUNK = 512


class SequenceMember(NeuralEstimator):
    """Series in, inputs of a network out, and the encoder behind them; mixed into the members."""

    cell: str
    hidden_size: int
    n_layers: int
    bidirectional: bool
    pooling: str
    time_column: int | None
    band_column: int | None
    error_columns: tuple[int, ...]
    normalise: str | None
    absolute_time: bool

    n_features_in_: int
    band_labels_: np.ndarray
    module_: Any
    _inputs: SequenceScaler
    _chunk = CHUNK

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("cell", self.cell, CELLS)
        check_choice("pooling", self.pooling, POOLINGS)
        check_choice("normalise", self.normalise, NORMALISATIONS)
        check_choice("bidirectional", self.bidirectional, (True, False))
        check_choice("absolute_time", self.absolute_time, (True, False))
        check_whole("hidden_size", self.hidden_size, 1, MOST_SIZE)
        check_whole("n_layers", self.n_layers, 1, MOST_LAYERS)
        for name in ("time_column", "band_column"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 0, MOST_COLUMNS)
        if not isinstance(self.error_columns, tuple | list):
            raise invalid("error_columns", "a tuple of column numbers", self.error_columns)
        for column in self.error_columns:
            check_whole("error_columns", column, 0, MOST_COLUMNS)
        if self.absolute_time and self.time_column is None:
            raise ValueError(
                "absolute_time must be False without times, got True. Set time_column."
            )

    def _find_columns(self) -> Columns:
        return Columns.find(
            self.n_features_in_,
            time=self.time_column,
            band=self.band_column,
            errors=tuple(self.error_columns),
        )

    def _store_series(self, X: Any) -> np.ndarray:
        """Check series to train on, and note their columns and bands."""
        series = pad_series(X)
        self.n_features_in_ = series.shape[2]
        columns = self._find_columns()
        check_steps(series, columns)
        self.band_labels_ = np.zeros(1)
        if columns.band is not None:
            band = series[..., columns.band]
            self.band_labels_ = np.unique(band[~np.isnan(band)])
            if len(self.band_labels_) > MOST_BANDS:
                raise ValueError(
                    f"X must have at most {MOST_BANDS} bands, got {len(self.band_labels_)} in "
                    f"column {columns.band}."
                )
        return series

    def _check_rows(self, X: Any) -> np.ndarray:
        series = pad_series(X.X if isinstance(X, Samples) else X)
        if series.shape[2] != self.n_features_in_:
            raise ValueError(
                f"X must have the {self.n_features_in_} columns that the model was trained on, "
                f"got {series.shape[2]}."
            )
        check_steps(series, self._find_columns(), bands=self.band_labels_)
        return series

    def _choose_dtype(self, device: str) -> str:
        return "float32" if self.precision == "auto" else self.precision

    def _count_ahead(self, X: np.ndarray) -> int:
        """How many of the last steps are to be predicted."""
        return 0

    def _measure_inputs(self, X: np.ndarray, weight: np.ndarray | None) -> Scaler:
        return SequenceScaler.measure(
            X,
            weight,
            columns=self._find_columns(),
            bands=self.band_labels_,
            normalise=self.normalise,
            absolute=bool(self.absolute_time),
            n_ahead=self._count_ahead(X),
        )

    def _transform_inputs(self, X: np.ndarray) -> np.ndarray:
        return self._inputs.transform(
            X,
            columns=self._find_columns(),
            normalise=self.normalise,
            absolute=bool(self.absolute_time),
            n_ahead=self._count_ahead(X),
        )

    def _attend(self, X: np.ndarray) -> np.ndarray:
        """Return the weight of each step of checked series, padded with 0."""
        from ._sequence_networks import AttentionView

        view = AttentionView(self.module_)
        parts = [
            self._apply(view, self._transform_inputs(X[start : start + CHUNK]), dtype=self._dtype)
            for start in range(0, len(X), CHUNK)
        ]
        return np.concatenate(parts)

    def _build_encoder(self) -> Any:
        from ._sequence_networks import ConvEncoder, RecurrentEncoder, TransformerEncoder

        n_inputs = count_inputs(
            self._find_columns(), self.band_labels_, absolute=bool(self.absolute_time)
        )
        common: dict[str, Any] = {
            "n_layers": int(self.n_layers),
            "dropout": float(self.dropout),
            "both": bool(self.bidirectional),
        }
        size = int(self.hidden_size)
        if self.cell == "transformer":
            span = self._inputs.span
            return TransformerEncoder(
                n_inputs, size, **common, activation=self.activation, span=span
            )
        if self.cell == "conv":
            return ConvEncoder(n_inputs, size, **common, activation=self.activation)
        return RecurrentEncoder(n_inputs, size, **common, cell=self.cell)

    def _build_pooling(self, width: int) -> Any:
        from ._sequence_networks import RECURRENT, Pooling

        both = bool(self.bidirectional) and self.cell in RECURRENT
        return Pooling(width, kind=self.pooling, both_recurrent=both)

    def _draw_network(self) -> Any:
        network: Any = super()._draw_network()
        network.draw()
        return network

    def _describe_series(self) -> dict[str, Any]:
        """Return what a model file keeps beside the weights, as plain values."""
        return {"bands": self.band_labels_.tolist()}

    def _restore_series(self, state: Mapping[str, Any]) -> None:
        """Inverse of `_describe_series`; every value is checked."""
        bands = np.array(state["bands"], dtype=np.float64)
        if bands.ndim != 1 or not 1 <= len(bands) <= MOST_BANDS or not np.isfinite(bands).all():
            raise ValueError("bands must be a list of numbers")
        if self.band_column is None and bands.tolist() != [0.0]:
            raise ValueError("bands need a column")
        if self.n_features_in_ > MOST_COLUMNS:
            raise ValueError("the columns must be fewer")
        self.band_labels_ = bands
        self._find_columns()

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self._inputs = read_scaler(
            arrays["inputs"], columns=self._find_columns(), bands=self.band_labels_
        )


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Raise unless a parameter is a whole number in range."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise invalid(name, f"a whole number from {least} to {most}", value)
    if not least <= value <= most:
        raise invalid(name, f"a whole number from {least} to {most}", value)
