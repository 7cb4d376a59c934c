"""Rows in: unpacks `Samples` and compares feature names, so that columns cannot be mixed up."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from ..samples import Samples


def unpack_samples(
    X: Any, y: Any, sample_weight: Any, groups: Any, *, labels: bool = False
) -> tuple[Any, Any, Any, Any, tuple[str, ...]]:
    """Return X, y, sample_weight, groups and feature names of a `Samples` or of plain arrays."""
    if not isinstance(X, Samples):
        groups = None if groups is None else np.asarray(groups)
        if groups is not None and (groups.ndim != 1 or len(groups) != len(X)):
            raise ValueError(
                f"groups must have one entry per sample, got {len(groups)} for {len(X)} samples."
            )
        return X, y, sample_weight, groups, ()
    given = [("y", y), ("sample_weight", sample_weight), ("groups", groups)]
    for name, value in given:
        if value is not None:
            raise ValueError(f"{name} must be left out when X is Samples, which brings its own.")
    if X.y is None:
        raise ValueError("X must have labels to train on, got Samples with y=None.")
    if labels and X.y.dtype.kind in "if" and np.any(X.y == -1):
        raise ValueError(
            f"y must be labelled, got {int(np.sum(X.y == -1))} entries of -1, which means "
            "unlabelled. Take samples.select(samples.y != -1)."
        )
    return X.X, X.y, X.weights, X.groups, X.feature_names


def check_rows(model: Any, X: Any) -> np.ndarray:
    """Return the rows to score as a C-contiguous array with the columns of the training data."""
    if not isinstance(X, Samples):
        return validate_data(
            model,
            X,
            reset=False,
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite="allow-nan",
        )
    trained = tuple(getattr(model, "feature_names_in_", ()))
    if trained and X.feature_names and X.feature_names != trained:
        missing = [name for name in trained if name not in X.feature_names]
        surplus = [name for name in X.feature_names if name not in trained]
        what = (
            f"it lacks {missing} and has {surplus} besides"
            if missing or surplus
            else "they are the same in another order"
        )
        raise ValueError(
            f"X must have the {len(trained)} features that the model was trained on, but {what}. "
            "Extract it with the same features."
        )
    rows = check_array(
        X.X, dtype=[np.float64, np.float32], order="C", ensure_all_finite="allow-nan"
    )
    if rows.shape[1] != model.n_features_in_:
        raise ValueError(
            f"X must have {model.n_features_in_} features, got {rows.shape[1]}. "
            "Extract it with the same features."
        )
    return rows


def unpack_unlabelled(
    X: Any, sample_weight: Any, groups: Any
) -> tuple[Any, Any, Any, tuple[str, ...]]:
    """Return X, sample_weight, groups and feature names, of a `Samples` or of plain arrays."""
    if not isinstance(X, Samples):
        X, _, sample_weight, groups, names = unpack_samples(X, None, sample_weight, groups)
        return X, sample_weight, groups, names
    for name, value in (("sample_weight", sample_weight), ("groups", groups)):
        if value is not None:
            raise ValueError(f"{name} must be left out when X is Samples, which brings its own.")
    return X.X, X.weights, X.groups, X.feature_names
