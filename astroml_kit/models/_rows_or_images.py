"""Tables or images in: what the members share that learn from either without labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from .._validation import check_choice, invalid
from ..samples import Samples
from ._image_inputs import MOST_BLOCKS, MOST_SIDE, check_images
from ._network_inputs import (
    STRETCHES,
    ImageScaler,
    QuantileScaler,
    Scaler,
    StandardScaler,
)
from ._neural_estimator import MOST_LAYERS, MOST_WIDTH
from ._rows import check_rows

MOST_LATENT = 512


class RowsOrImages:
    """Rows of a table, or images; ``image_shape_`` is None for a table.

    Mixed into estimators: it checks, scales and restores what comes in either form.
    """

    n_latent: Any
    hidden_layers: tuple[int, ...]
    channels: tuple[int, ...]
    stretch: str
    scaling: str = "standard"  # of tables; "quantile" where a member offers it

    image_shape_: tuple[int, ...] | None
    n_features_in_: int
    feature_names_in_: np.ndarray
    _inputs: Any
    _with_channels: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.three_d_array = True
        return tags

    def _check_shape_parameters(self) -> None:
        check_choice("stretch", self.stretch, STRETCHES)
        check_widths("n_latent", (self.n_latent,), 1, 1, MOST_LATENT)
        check_widths("hidden_layers", self.hidden_layers, 0, MOST_LAYERS, MOST_WIDTH)
        check_widths("channels", self.channels, 1, MOST_BLOCKS, MOST_WIDTH)

    def _store_rows(self, X: Any, names: tuple[str, ...]) -> np.ndarray:
        """Check what to train on, and note its shape."""
        n_axes = X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim
        if n_axes in (3, 4):
            images = check_images(X)
            self.image_shape_ = tuple(int(n) for n in images.shape[1:])
            self._with_channels = n_axes == 4
            self.n_features_in_ = int(np.prod(self.image_shape_))
            if hasattr(self, "feature_names_in_"):
                del self.feature_names_in_
            return images
        rows = validate_data(self, X, dtype=np.float64, order="C")
        self.image_shape_, self._with_channels = None, False
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        return rows

    def _check_rows(self, X: Any) -> np.ndarray:
        if self.image_shape_ is not None:
            images = check_images(X.X if isinstance(X, Samples) else X)
            if images.shape[1:] != self.image_shape_:
                raise ValueError(
                    f"X must have images of the shape {self.image_shape_} that the model was "
                    f"trained on, got {images.shape[1:]}."
                )
            return images
        if not isinstance(X, Samples):
            return validate_data(self, X, reset=False, dtype=np.float64, order="C")
        rows = check_rows(self, X).astype(np.float64, copy=False)
        if np.isnan(rows).any():
            raise ValueError("X must not contain NaN. Drop those rows or fill them.")
        return rows

    def _measure_inputs(self, X: np.ndarray, weight: np.ndarray | None) -> Scaler:
        if self.image_shape_ is not None:
            return ImageScaler.measure(X, weight, stretch=self.stretch)
        return self._get_table_scaler().measure(X, weight, flagged=np.zeros(X.shape[1], dtype=bool))

    def _get_table_scaler(self) -> type[QuantileScaler] | type[StandardScaler]:
        return QuantileScaler if self.scaling == "quantile" else StandardScaler

    def _transform_inputs(self, X: np.ndarray) -> np.ndarray:
        if self.image_shape_ is not None:
            return self._inputs.transform(X, stretch=self.stretch)
        return self._inputs.transform(X)

    def _restore_inputs(self, values: np.ndarray) -> np.ndarray:
        """Inverse of `_transform_inputs` for flat rows, in the form of the training data."""
        if self.image_shape_ is None:
            return self._inputs.restore(values)
        images = self._inputs.restore(
            values.reshape(len(values), *self.image_shape_), stretch=self.stretch
        )
        return images if self._with_channels else images[:, 0]

    def _read_scalers(self, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        table = self.image_shape_ is None
        kind: type[Scaler] = self._get_table_scaler() if table else ImageScaler
        self._inputs = kind.from_arrays(arrays["inputs"])
        n_scales = self.n_features_in_ if self.image_shape_ is None else self.image_shape_[0]
        held = self._inputs.knots if isinstance(self._inputs, QuantileScaler) else self._inputs.mean
        if len(held) != n_scales:
            raise ValueError("the input scaler must have one entry per feature or channel")
        if self.image_shape_ is None and self._inputs.flagged.any():
            raise ValueError("the input scaler must not expect missing values")

    def _describe_shape(self) -> dict[str, Any]:
        """Return what a model file keeps of the shape of the inputs."""
        shape = None if self.image_shape_ is None else list(self.image_shape_)
        return {"image_shape": shape, "with_channels": self._with_channels}

    def _restore_shape(self, state: Mapping[str, Any]) -> None:
        """Inverse of `_describe_shape`; every value is checked."""
        self._with_channels = bool(state["with_channels"])
        if state["image_shape"] is None:
            self.image_shape_ = None
            return
        shape = tuple(state["image_shape"])
        sizes = all(type(n) is int and 1 <= n <= MOST_SIDE for n in shape)
        if len(shape) != 3 or not sizes or np.prod(shape) != self.n_features_in_:
            raise ValueError("image_shape must be channels, height and width")
        self.image_shape_ = shape


def check_widths(name: str, widths: Any, fewest: int, most: int, widest: int) -> None:
    """Raise unless ``widths`` are whole numbers from 1 to ``widest``, as many as allowed."""
    rule = f"{fewest} to {most} whole numbers from 1 to {widest}" if most > 1 else (
        f"a whole number from 1 to {widest}"
    )  # fmt: skip
    if not isinstance(widths, tuple | list) or not fewest <= len(widths) <= most:
        raise invalid(name, rule, widths)
    for width in widths:
        whole = isinstance(width, int | np.integer) and not isinstance(width, bool)
        if not whole or not 1 <= width <= widest:
            raise invalid(name, rule, width)
