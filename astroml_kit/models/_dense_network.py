"""Networks for tables: what the classifier and the regressor do with rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import validate_data

from .._validation import check_choice, invalid
from ._network_inputs import (
    MISSING,
    SCALINGS,
    QuantileScaler,
    Scaler,
    StandardScaler,
    TableScaler,
    check_missing,
)
from ._neural_estimator import MOST_LAYERS, MOST_WIDTH, NeuralEstimator
from ._rows import check_rows

if TYPE_CHECKING:
    import torch


class DenseNetwork(NeuralEstimator):
    """Fully connected layers on the columns of a table."""

    hidden_layers: tuple[int, ...]
    scaling: str
    missing: str
    n_features_in_: int
    _inputs: TableScaler

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "error"
        return tags

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("scaling", self.scaling, SCALINGS)
        check_choice("missing", self.missing, MISSING)
        widths = self.hidden_layers
        rule = f"a tuple of at most {MOST_LAYERS} whole numbers from 1 to {MOST_WIDTH}"
        if not isinstance(widths, tuple | list) or len(widths) > MOST_LAYERS:
            raise invalid("hidden_layers", rule, widths)
        for width in widths:
            if not isinstance(width, int | np.integer) or not 1 <= width <= MOST_WIDTH:
                raise invalid("hidden_layers", rule, width)

    def _check_rows(self, X: Any) -> np.ndarray:
        rows = check_rows(self, X).astype(np.float64, copy=False)
        check_missing(
            rows, missing=self.missing, flagged=self._inputs.flagged, names=self._list_names()
        )
        return rows

    def _take_rows(self, X: Any, y: Any, names: tuple[str, ...]) -> tuple[np.ndarray, Any]:
        """Check the training data as scikit-learn does."""
        X, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            order="C",
            ensure_all_finite="allow-nan",
            multi_output=True,
            y_numeric=isinstance(self, RegressorMixin),
        )
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        check_missing(X, missing=self.missing, flagged=None, names=self._list_names())
        return X, y

    def _list_names(self) -> list[str]:
        return [str(name) for name in getattr(self, "feature_names_in_", ())]

    def _measure_inputs(self, X: np.ndarray, weight: np.ndarray | None) -> Scaler:
        flagged = np.isnan(X).any(axis=0) & (self.missing == "indicator")
        return self._get_scaler_class().measure(X, weight, flagged=flagged)

    def _get_scaler_class(self) -> type[QuantileScaler] | type[StandardScaler]:
        return QuantileScaler if self.scaling == "quantile" else StandardScaler

    def _transform_inputs(self, X: np.ndarray) -> np.ndarray:
        return self._inputs.transform(X)

    def _build_network(self) -> torch.nn.Module:
        from ._networks import build_dense

        return build_dense(
            self._inputs.n_inputs,
            self._count_columns(),
            hidden_layers=self.hidden_layers,
            activation=self.activation,
            dropout=float(self.dropout),
        )

    def _count_columns(self) -> int:
        return self.n_outputs_

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self._inputs = self._get_scaler_class().from_arrays(arrays["inputs"])
        if len(self._inputs.flagged) != self.n_features_in_:
            raise ValueError("the input scaler must have one entry per feature")
