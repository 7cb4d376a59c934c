"""Samples: what every domain hands to every model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ._validation import check_same_length

__all__ = ["Samples"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Features, labels and the groups that must never be split between training and test.

    Parameters
    ----------
    X : array_like, shape (n_samples, ...)
        Features; the first axis runs over samples.
    y : array_like, shape (n_samples,) or (n_samples, n_outputs), optional
        Labels or targets; -1 means unlabelled.
    groups : array_like, shape (n_samples,), optional
        The shower, run, star or galaxy that each sample came from.
    weights : array_like, shape (n_samples,), optional
        Sample weights.
    feature_names : sequence of str
        One name per column of a two-dimensional ``X``; empty when there are none.
    meta : mapping
        Where the samples came from: anything worth keeping beside the numbers.

    Examples
    --------
    >>> samples = Samples([[0.1, 0.2], [0.3, 0.4]], y=[0, 1], feature_names=("width", "length"))
    >>> samples.select([False, True]).y
    array([1])
    """

    X: np.ndarray
    y: np.ndarray | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("X", "y", "groups", "weights"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value))
        object.__setattr__(self, "feature_names", tuple(self.feature_names))
        object.__setattr__(self, "meta", MappingProxyType(dict(self.meta)))
        if self.X.ndim == 0:
            raise ValueError("X must be an array with one entry per sample, got a scalar.")
        check_same_length(X=self.X, y=self.y, groups=self.groups, weights=self.weights)
        if self.feature_names and (self.X.ndim != 2 or len(self.feature_names) != self.X.shape[1]):
            raise ValueError(
                f"feature_names must name every column of X, got {len(self.feature_names)} names "
                f"for shape {self.X.shape}. Leave them out when X is not a table."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # the read-only view on meta does not pickle; worker processes need that
        fields = (self.X, self.y, self.groups, self.weights, self.feature_names, dict(self.meta))
        return Samples, fields

    def __len__(self) -> int:
        return len(self.X)

    def __str__(self) -> str:
        text = f"Samples: {len(self)} x {'x'.join(map(str, self.X.shape[1:])) or 'scalar'}"
        if self.y is not None and self.y.ndim == 1 and self.y.dtype.kind in "iub":
            labels, counts = np.unique(self.y, return_counts=True)
            text += ", y " + ", ".join(f"{k}: {n}" for k, n in zip(labels, counts, strict=True))
        if self.groups is not None:
            text += f", {len(np.unique(self.groups))} groups"
        return text

    def select(self, rows: Any) -> Samples:
        """Return the samples at ``rows`` (boolean mask, indices or slice), everything aligned."""
        rows = rows if isinstance(rows, slice) else np.asarray(rows)
        y, groups, weights = (
            None if value is None else value[rows] for value in (self.y, self.groups, self.weights)
        )
        return replace(self, X=self.X[rows], y=y, groups=groups, weights=weights)

    @classmethod
    def stack(cls, parts: list[Samples]) -> Samples:
        """Concatenate samples with the same columns; a field that one part lacks is refused."""
        if not parts:
            raise ValueError("parts must be a non-empty list of Samples, got [].")
        first = parts[0]
        for part in parts[1:]:
            if part.feature_names != first.feature_names:
                raise ValueError(
                    f"parts must have the same feature_names, got {first.feature_names} and "
                    f"{part.feature_names}. Extract them with the same features."
                )
        joined: dict[str, Any] = {}
        for name in ("X", "y", "groups", "weights"):
            values = [getattr(part, name) for part in parts]
            present = [value is not None for value in values]
            if any(present) and not all(present):
                raise ValueError(f"parts must all have {name} or none of them, got a mixture.")
            joined[name] = np.concatenate(values) if all(present) else None
        return cls(**joined, feature_names=first.feature_names, meta=first.meta)
