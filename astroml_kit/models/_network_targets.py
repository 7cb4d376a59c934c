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
    1 for those left out.
    """
    if class_weight is None:
        return weight
    if kind == "multilabel":
        raise ValueError(
            f"class_weight must be None where labels are independent, got {class_weight!r}. "
            "Give sample_weight instead."
        )
    number = target.astype(int).ravel()
    own = np.ones(len(number)) if weight is None else weight
    if isinstance(class_weight, str) and class_weight == BALANCED:
        total = np.bincount(number, weights=own, minlength=len(classes))
        factor = own.sum() / (len(classes) * total)
    elif isinstance(class_weight, Mapping):
        known = classes.tolist()
        if strange := [label for label in class_weight if label not in known]:
            raise ValueError(f"class_weight must name classes of y, {known}, got {strange}.")
        factor = np.array([float(class_weight.get(label, 1)) for label in known])
        if not np.all(np.isfinite(factor) & (factor > 0)):
            raise ValueError(
                f"class_weight must be finite and > 0, got {class_weight!r}. "
                "Leave the samples of a class out instead of giving it no weight."
            )
    else:
        raise ValueError(
            f"class_weight must be None, 'balanced' or a mapping of label to weight, got "
            f"{class_weight!r}."
        )
    return own * factor[number]
