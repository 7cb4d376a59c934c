"""Numbers in the range that a network learns from: standardised, missing values made explicit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

MISSING = ("indicator", "fill", "error")
SCALINGS = ("quantile", "standard")
MOST_KNOTS = 129
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
        """Raise unless the arrays are finite, of one length, ascending or positive as needed."""
        lengths = set()
        for field in fields(self):
            value = getattr(self, field.name)
            if value.dtype != (bool if field.name == "flagged" else np.float64):
                raise ValueError(f"{field.name} must have another type, got {value.dtype}.")
            if value.ndim != (2 if field.name in ("knots", "scores") else 1) or value.size == 0:
                raise ValueError(f"{field.name} must have one entry per feature.")
            if not np.isfinite(value).all() or (field.name == "scale" and not (value > 0).all()):
                raise ValueError(f"{field.name} must be finite, and a scale > 0.")
            if value.ndim == 2 and not (np.diff(value, axis=1) >= 0).all():
                raise ValueError(f"{field.name} must ascend.")
            lengths.add(len(value))
        if len(lengths) != 1:
            raise ValueError("the arrays must have one entry per feature.")


@dataclass(frozen=True)
class TableScaler(Scaler):
    """Bring columns to a common range; NaN becomes 0, with a column beside it that says so.

    ``flagged`` marks the features that get such a column: those with NaN in the training rows,
    when missing values are to be told to the network.
    """

    flagged: np.ndarray

    @property
    def n_inputs(self) -> int:
        """Length of a row as the network sees it."""
        return len(self.flagged) + int(self.flagged.sum())

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the rows for the network, float64."""
        gone = np.isnan(X)
        rows = np.where(gone, 0.0, self._scale(X))
        return np.column_stack([rows, gone[:, self.flagged]])

    def _scale(self, X: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True)
class StandardScaler(TableScaler):
    """Subtract the mean of each column, divide by its standard deviation."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def measure(
        cls, X: np.ndarray, weight: np.ndarray | None, *, flagged: np.ndarray
    ) -> StandardScaler:
        """Measure the training rows."""
        return cls(flagged, *measure_columns(X, weight))

    def _scale(self, X: np.ndarray) -> np.ndarray:
        return (X - self.mean) / self.scale

    def restore(self, rows: np.ndarray) -> np.ndarray:
        """Return rows without missing values in the units of the table."""
        return rows * self.scale + self.mean


@dataclass(frozen=True)
class QuantileScaler(TableScaler):
    """Replace each value by the normal deviate of its rank among the training rows.

    Linear between the knots; a value beyond the training rows counts as being at their edge. The
    median becomes 0, and so does NaN.
    """

    knots: np.ndarray
    scores: np.ndarray

    @classmethod
    def measure(
        cls, X: np.ndarray, weight: np.ndarray | None, *, flagged: np.ndarray
    ) -> QuantileScaler:
        """Measure the training rows."""
        pairs = [find_normal_scores(column, weight) for column in X.T]
        width = max(len(knots) for knots, _ in pairs)
        knots, scores = (
            np.array([np.pad(pair[k], (0, width - len(pair[k])), mode="edge") for pair in pairs])
            for k in (0, 1)
        )
        return cls(flagged, knots, scores)

    def _scale(self, X: np.ndarray) -> np.ndarray:
        columns = zip(X.T, self.knots, self.scores, strict=True)
        return np.column_stack([np.interp(x, knots, scores) for x, knots, scores in columns])


def find_normal_scores(
    column: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return values of a column and their normal deviates: its weighted distribution as a curve.

    The level of a value is the summed weight below it plus half its own.
    """
    seen = ~np.isnan(column)
    if not seen.any():
        return np.zeros(1), np.zeros(1)
    values, place = np.unique(column[seen], return_inverse=True)
    share = np.bincount(place, weights=None if weight is None else weight[seen])
    level = (np.cumsum(share) - 0.5 * share) / share.sum()
    scores = ndtri(level)
    if len(values) <= MOST_KNOTS:
        return values, scores
    even = np.linspace(scores[0], scores[-1], MOST_KNOTS)
    knots = np.interp(ndtr(even), level, values)
    return np.maximum.accumulate(knots), even


def check_missing(
    X: np.ndarray, *, missing: str, flagged: np.ndarray | None, names: Sequence[str]
) -> None:
    """Refuse NaN where the network was not told what to make of it.

    ``flagged`` is None in training, when NaN in any feature can still be learned from.
    """
    if missing == "fill" or (missing == "indicator" and flagged is None):
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
            "Choose missing='indicator' or missing='fill', or drop the rows."
        )
    raise ValueError(
        f"X must not contain NaN in features that were never missing in training, got some in "
        f"{where}. Train with missing='fill', or drop the rows."
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

    def restore(self, values: np.ndarray, *, stretch: str) -> np.ndarray:
        """Return images in the units of the training images; inverse of `transform`."""
        unit, mean, scale = (a[:, None, None] for a in (self.unit, self.mean, self.scale))
        return unit * unstretch_images(values * scale + mean, stretch)


def stretch_images(values: np.ndarray, stretch: str) -> np.ndarray:
    """Compress the bright end; odd functions all, so that noise around zero stays symmetric."""
    if stretch == "asinh":
        return np.arcsinh(values)
    if stretch == "sqrt":
        return np.sign(values) * np.sqrt(np.abs(values))
    return values


def unstretch_images(values: np.ndarray, stretch: str) -> np.ndarray:
    """Inverse of `stretch_images`."""
    if stretch == "asinh":
        return np.sinh(values)
    if stretch == "sqrt":
        return np.sign(values) * values**2
    return values
