"""Numbers in the range that a network learns from: standardised, missing values made explicit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

MISSING = ("indicator", "mean", "error")
STRETCHES = ("asinh", "sqrt", "none")


def measure_columns(
    X: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of each column over what is not NaN.

    A constant column, or one without values, has the deviation 1. Columns are divided by their
    largest value on the way, so that the squares of huge numbers do not overflow.
    """
    seen = ~np.isnan(X)
    share = seen * (1.0 if weight is None else weight[:, None])
    total = share.sum(axis=0)
    share = share / np.where(total > 0, total, 1)
    largest = np.abs(np.where(seen, X, 0)).max(axis=0)
    largest[largest == 0] = 1
    scaled = np.where(seen, X, 0) / largest
    mean = (share * scaled).sum(axis=0)
    variance = (share * (scaled - mean) ** 2).sum(axis=0)
    # What rounding leaves of a constant is no spread.
    variance[variance <= (10 * len(X) * np.finfo(float).eps * np.abs(mean)) ** 2] = 0
    spread = np.sqrt(variance) * largest
    return mean * largest, np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True)
class Scaler:
    """Arrays that make inputs ready, measured on the training rows only."""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for a model file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Any:
        """Inverse of `to_arrays`; the values are checked."""
        names = [field.name for field in fields(cls)]
        if set(arrays) != set(names):
            raise ValueError(f"the arrays must be {names}, got {sorted(arrays)}.")
        scaler = cls(**{name: np.asarray(arrays[name]) for name in names})
        scaler.check()
        return scaler

    def check(self) -> None:
        """Raise unless every array is finite and every scale positive."""
        shapes = set()
        for field in fields(self):
            value = getattr(self, field.name)
            shapes.add(value.shape)
            if value.dtype != (bool if field.name == "flagged" else np.float64):
                raise ValueError(f"{field.name} must have another type, got {value.dtype}.")
            if not np.isfinite(value).all() or (field.name == "scale" and not (value > 0).all()):
                raise ValueError(f"{field.name} must be finite, and a scale > 0.")
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise ValueError("the arrays must have one entry per feature.")


@dataclass(frozen=True)
class TableScaler(Scaler):
    """Standardise columns; NaN becomes the mean, with a column beside it that says so.

    ``flagged`` marks the features that get such a column: those with NaN in the training rows,
    when missing values are to be told to the network.
    """

    mean: np.ndarray
    scale: np.ndarray
    flagged: np.ndarray

    @classmethod
    def measure(cls, X: np.ndarray, weight: np.ndarray | None, *, missing: str) -> TableScaler:
        """Measure the training rows."""
        mean, scale = measure_columns(X, weight)
        flagged = np.isnan(X).any(axis=0) & (missing == "indicator")
        return cls(mean, scale, flagged)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row as the network sees it."""
        return (len(self.mean) + int(self.flagged.sum()),)

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the rows for the network, float64."""
        gone = np.isnan(X)
        rows = np.where(gone, 0.0, (X - self.mean) / self.scale)
        return np.column_stack([rows, gone[:, self.flagged]])


def check_missing(
    X: np.ndarray, *, missing: str, flagged: np.ndarray | None, names: Sequence[str]
) -> None:
    """Refuse NaN where the network was not told what to make of it.

    ``flagged`` is None in training, when NaN in any feature can still be learned from.
    """
    if missing == "mean" or (missing == "indicator" and flagged is None):
        return
    gone = np.isnan(X).any(axis=0)
    if missing == "indicator" and flagged is not None:
        gone &= ~flagged
    if not gone.any():
        return
    where = [names[k] if len(names) else int(k) for k in np.flatnonzero(gone)[:8]]
    if missing == "error":
        raise ValueError(
            f"X must not contain NaN, got some in the features {where}. "
            "Choose missing='indicator' or missing='mean', or drop the rows."
        )
    raise ValueError(
        f"X must not contain NaN in features that were never missing in training, got some in "
        f"{where}. Train with missing='mean', or drop the rows."
    )


@dataclass(frozen=True)
class TargetScaler(Scaler):
    """Standardise the targets of a regression, and bring predictions back."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def measure(cls, y: np.ndarray, weight: np.ndarray | None) -> TargetScaler:
        """Measure the training targets, shape (n_samples, n_outputs)."""
        return cls(*measure_columns(y, weight))

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Return targets for the network."""
        return (y - self.mean) / self.scale

    def restore(self, y: np.ndarray) -> np.ndarray:
        """Return predictions in the units of the targets."""
        return y * self.scale + self.mean


@dataclass(frozen=True)
class ImageScaler(Scaler):
    """Stretch images and standardise each channel.

    ``unit`` is the typical size of a value of the channel, at which the stretch turns from linear
    to compressing; ``mean`` and ``scale`` are measured after the stretch.
    """

    unit: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def measure(cls, X: np.ndarray, weight: np.ndarray | None, *, stretch: str) -> ImageScaler:
        """Measure the training images, shape (n_images, n_channels, height, width)."""
        share = np.ones(len(X)) if weight is None else weight
        share = share / share.sum()
        peak = np.abs(X).max(axis=(0, 2, 3)).astype(float)
        peak[peak == 0] = 1
        square = np.mean((X / peak[:, None, None]) ** 2, axis=(2, 3), dtype=float)
        unit = np.sqrt(np.tensordot(share, square, axes=1)) * peak
        unit[unit == 0] = 1
        values = stretch_images(X / unit[:, None, None], stretch)
        mean = np.tensordot(share, values.mean(axis=(2, 3), dtype=float), axes=1)
        spread = np.mean((values - mean[:, None, None]) ** 2, axis=(2, 3), dtype=float)
        scale = np.sqrt(np.tensordot(share, spread, axes=1))
        scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1)] = 1
        return cls(unit, mean, scale)

    def transform(self, X: np.ndarray, *, stretch: str) -> np.ndarray:
        """Return images for the network."""
        unit, mean, scale = (
            a.astype(X.dtype)[:, None, None] for a in (self.unit, self.mean, self.scale)
        )
        return (stretch_images(X / unit, stretch) - mean) / scale


def stretch_images(values: np.ndarray, stretch: str) -> np.ndarray:
    """Compress the bright end; odd functions all, so that noise around zero stays symmetric."""
    if stretch == "asinh":
        return np.arcsinh(values)
    if stretch == "sqrt":
        return np.sign(values) * np.sqrt(np.abs(values))
    return values
