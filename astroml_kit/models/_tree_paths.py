"""Decision trees as plain numbers, one behind the other: no pickle, and every path ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

LEAF = -1
AT_ONCE = 2**18  # paths followed together: a few MB
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class TreePaths:
    """Trees of scikit-learn, whose leaves hold a share per class.

    Attributes
    ----------
    roots : ndarray of int, shape (n_trees,)
        First node of each tree.
    left, right, feature : ndarray of int, shape (n_nodes,)
        Children and the column that decides; -1 in leaves.
    threshold : ndarray of float, shape (n_nodes,)
        A row goes left when its column, in single precision, is not larger.
    missing_left : ndarray of bool, shape (n_nodes,)
        Whether a row without a value goes left.
    shares : ndarray of float, shape (n_leaves, n_classes)
        Of the classes in each leaf, in the order of the nodes.
    """

    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    shares: np.ndarray

    @classmethod
    def read(cls, estimators: list[Any]) -> TreePaths:
        """Copy what fitted trees of scikit-learn consist of."""
        trees = [one.tree_ for one in estimators]
        sizes = np.array([tree.node_count for tree in trees], dtype=np.int64)
        roots = np.cumsum(sizes) - sizes
        first = np.repeat(roots, sizes)
        left, right, feature, threshold, missing = (
            np.concatenate([getattr(tree, name) for tree in trees])
            for name in (
                "children_left", "children_right", "feature", "threshold", "missing_go_to_left"
            )
        )  # fmt: skip
        inner = left != LEAF
        shares = np.concatenate([tree.value[tree.children_left == LEAF, 0] for tree in trees])
        # An infinite threshold has every value on its left and only what is missing on its right.
        ends = np.nan_to_num(threshold, posinf=np.finfo(float).max, neginf=np.finfo(float).min)
        return cls(
            roots=roots,
            left=np.where(inner, left + first, LEAF).astype(np.int64),
            right=np.where(inner, right + first, LEAF).astype(np.int64),
            feature=np.where(inner, feature, LEAF).astype(np.int64),
            threshold=np.where(inner, ends, 0.0),
            missing_left=inner & missing.astype(bool),
            shares=shares,
        )

    def average_shares(self, X: np.ndarray) -> np.ndarray:
        """Mean over the trees of the shares in a row's leaves, summed in the order of the trees."""
        rows = np.clip(X, -LARGEST, LARGEST).astype(np.float32)
        leaf_number = np.cumsum(self.left == LEAF) - 1
        total = np.zeros((len(rows), self.shares.shape[1]))
        step = max(1, AT_ONCE // len(self.roots))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            for nodes in self._find_leaves(rows[part]):
                total[part] += self.shares[leaf_number[nodes]]
        return total / len(self.roots)

    def _find_leaves(self, rows: np.ndarray) -> np.ndarray:
        """Return the node where each row ends, shape (n_trees, n_rows)."""
        node = np.repeat(self.roots, len(rows))
        row = np.tile(np.arange(len(rows)), len(self.roots))
        moving = np.arange(len(node))
        while len(moving := moving[self.left[node[moving]] != LEAF]):
            at = node[moving]
            value = rows[row[moving], self.feature[at]]
            goes_left = (value <= self.threshold[at]) | (np.isnan(value) & self.missing_left[at])
            node[moving] = np.where(goes_left, self.left[at], self.right[at])
        return node.reshape(len(self.roots), len(rows))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for a model file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], *, n_features: int, n_classes: int
    ) -> TreePaths:
        """Inverse of `to_arrays`; every number is checked, so that no path leaves a tree."""
        names = [field.name for field in fields(cls)]
        if set(arrays) != set(names):
            raise ValueError(f"a forest must have the arrays {names}, got {sorted(arrays)}.")
        paths = cls(**{name: np.asarray(arrays[name]) for name in names})
        paths._check(n_features, n_classes)
        return paths

    def _check(self, n_features: int, n_classes: int) -> None:
        inner = check_nodes(self, n_features)
        if self.missing_left.dtype != bool or self.missing_left.shape != inner.shape:
            raise ValueError("missing_left must have one truth value per node.")
        shares = self.shares
        if shares.dtype != np.float64 or shares.shape != (int((~inner).sum()), n_classes):
            raise ValueError("shares must have one row per leaf and one column per class.")
        if not (np.all(shares >= 0) and np.allclose(shares.sum(axis=1), 1)):
            raise ValueError("shares must be at least 0 and add up to 1.")


def check_nodes(trees: Any, n_features: int) -> np.ndarray:
    """Check ``roots``, ``left``, ``right``, ``feature``, ``threshold``; True for inner nodes."""
    for name in ("left", "right", "feature", "roots"):
        if getattr(trees, name).dtype != np.int64:
            raise ValueError(f"{name} must be whole numbers.")
    n_nodes = trees.left.size
    for name in ("left", "right", "feature", "threshold"):
        if getattr(trees, name).shape != (n_nodes,):
            raise ValueError(f"{name} must have one entry per node.")
    if trees.roots.ndim != 1 or not len(trees.roots):
        raise ValueError("a forest must have trees.")
    if not np.all((trees.roots >= 0) & (trees.roots < n_nodes)):
        raise ValueError("roots must be nodes.")
    inner = trees.left != LEAF
    # A child behind its parent cannot lead back: every path ends.
    behind = np.arange(n_nodes)[inner]
    for name in ("left", "right"):
        child = getattr(trees, name)[inner]
        if not np.all((child > behind) & (child < n_nodes)):
            raise ValueError(f"{name} must lead forwards to a node.")
    if not np.all((trees.feature[inner] >= 0) & (trees.feature[inner] < n_features)):
        raise ValueError("feature must be a column of the table.")
    if not np.isfinite(trees.threshold).all():
        raise ValueError("thresholds must be finite.")
    return inner
