"""Labels as a network learns them: one logit, one per class, or one per independent label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

BALANCED = "balanced"


def read_labels(y: Any) -> tuple[str, np.ndarray, np.ndarray]:
    """Return the kind of task, the classes and the target of each row.

    The kind is "binary" (target of shape (n, 1), 0 or 1), "multiclass" (class numbers of shape
    (n,)) or "multilabel" (0 or 1 of shape (n, n_labels); the classes are the label numbers).
    """
    check_classification_targets(y)
    kind = type_of_target(y)
    if kind == "multilabel-indicator":
        target = np.asarray(y.toarray() if hasattr(y, "toarray") else y, dtype=float)
        return "multilabel", np.arange(target.shape[1]), target
    if kind == "multiclass-multioutput":
        raise ValueError(
            "y must be one label per sample, or 0 and 1 per label, got several columns of classes. "
            "Train one model per column."
        )
    classes, target = np.unique(column_or_1d(y, warn=True), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"y must hold two classes or more, got one class, {classes[:1].tolist()}. "
            "Add samples of another class."
        )
    if len(classes) == 2:
        return "binary", classes, target[:, None].astype(float)
    return "multiclass", classes, target.astype(np.int64)


def read_votes(y: Any) -> tuple[str, np.ndarray, np.ndarray]:
    """Return the kind "votes", the numbers of the answers, and their counts, shape (n, n_answers).

    Counts need not be whole: votes are often weighted by how well a volunteer does.
    """
    votes = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
    if votes.dtype.kind not in "biuf" or votes.ndim != 2 or votes.shape[1] < 2:
        raise ValueError(
            "y must have one row of counts per sample, one column per answer, with target='votes', "
            f"got {votes.dtype} of shape {votes.shape}. For labels choose target='labels'."
        )
    votes = votes.astype(np.float64)
    if not np.all(np.isfinite(votes) & (votes >= 0)):
        n_bad = int(np.sum(~(np.isfinite(votes) & (votes >= 0)).all(axis=1)))
        raise ValueError(f"y must hold counts >= 0, got others in {n_bad} rows. Drop these rows.")
    empty = int(np.sum(votes.sum(axis=1) == 0))
    if empty:
        raise ValueError(
            f"y must have a vote in every row, got none in {empty} of {len(votes)}. "
            "Drop these rows: they say nothing."
        )
    return "votes", np.arange(votes.shape[1]), votes


def weigh_labels(class_weight: Any, target: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return the weights of a 0 and of a 1 of each independent label.

    "balanced" gives both the same summed weight, with the mean one; a mapping names the weight of
    the 1 of some labels.
    """
    n, n_labels = target.shape
    if class_weight is None:
        return ()
    if isinstance(class_weight, str) and class_weight == BALANCED:
        present = target.sum(axis=0)
        return tuple(
            (1.0, 1.0) if ones in (0, n) else (n / (2 * (n - ones)), n / (2 * ones))
            for ones in present.tolist()
        )
    factor = _read_weights(class_weight, list(range(n_labels)))
    return tuple((1.0, float(weight)) for weight in factor)


def weigh_classes(
    class_weight: Any,
    *,
    kind: str,
    classes: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
) -> np.ndarray | None:
    """Return the sample weights times the weights of their classes.

    "balanced" gives every class the same summed weight; a mapping names the weight of each class,
    1 for those left out. Independent labels have `weigh_labels`.
    """
    if class_weight is None or kind == "multilabel":
        return weight
    if kind == "votes":
        raise ValueError(
            f"class_weight must be None with target='votes', got {class_weight!r}. "
            "Give sample_weight instead."
        )
    number = target.astype(int).ravel()
    own = np.ones(len(number)) if weight is None else weight
    if isinstance(class_weight, str) and class_weight == BALANCED:
        total = np.bincount(number, weights=own, minlength=len(classes))
        factor = own.sum() / (len(classes) * total)
    else:
        factor = _read_weights(class_weight, classes.tolist())
    return own * factor[number]


def _read_weights(class_weight: Any, known: list[Any]) -> np.ndarray:
    """Return the weight that a mapping gives to each of the known labels."""
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"class_weight must be None, 'balanced' or a mapping of label to weight, got "
            f"{class_weight!r}."
        )
    if strange := [label for label in class_weight if label not in known]:
        raise ValueError(f"class_weight must name classes of y, {known}, got {strange}.")
    factor = np.array([float(class_weight.get(label, 1)) for label in known])
    if not np.all(np.isfinite(factor) & (factor > 0)):
        raise ValueError(
            f"class_weight must be finite and > 0, got {class_weight!r}. "
            "Leave the samples of a class out instead of giving it no weight."
        )
    return factor
