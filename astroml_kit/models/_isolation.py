"""An isolation forest as plain numbers: grown by scikit-learn, read and run without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from ._tree_paths import LEAF, check_nodes


@dataclass(frozen=True)
class IsolationTrees:
    """The trees one behind the other; ``depth`` of a leaf counts the splits that it stands for.

    Attributes
    ----------
    roots : ndarray of int, shape (n_trees,)
        First node of each tree.
    left, right, feature : ndarray of int, shape (n_nodes,)
        Children and the column that decides; -1 in leaves.
    threshold : ndarray of float, shape (n_nodes,)
        A row goes left when its column, in single precision, is not larger.
    depth : ndarray of float, shape (n_nodes,)
        Path length of the rows in a leaf.
    typical : ndarray of float, shape (1,)
        Path length by which those are measured.
    """

    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    depth: np.ndarray
    typical: np.ndarray

    @classmethod
    def grow(
        cls,
        X: np.ndarray,
        weight: np.ndarray | None,
        *,
        seed: int,
        n_jobs: int | None,
        **options: Any,
    ) -> IsolationTrees:
        """Grow the trees (Liu, Ting & Zhou 2008, doi:10.1109/ICDM.2008.17)."""
        forest = IsolationForest(random_state=seed, n_jobs=n_jobs, **options)
        forest.fit(X, sample_weight=weight)
        parts: dict[str, list[np.ndarray]] = {
            name: [] for name in ("left", "right", "feature", "threshold", "depth")
        }
        roots, start = [], 0
        for grown in forest.estimators_:
            tree = grown.tree_
            inner = tree.children_left != LEAF
            roots.append(start)
            parts["left"].append(np.where(inner, tree.children_left + start, LEAF))
            parts["right"].append(np.where(inner, tree.children_right + start, LEAF))
            parts["feature"].append(np.where(inner, tree.feature, LEAF))
            parts["threshold"].append(np.where(inner, tree.threshold, 0.0))
            parts["depth"].append(_find_depths(tree))
            start += tree.node_count
        arrays = {name: np.concatenate(pieces) for name, pieces in parts.items()}
        for name in ("left", "right", "feature"):
            arrays[name] = arrays[name].astype(np.int64)
        typical = find_path_length(np.array([float(forest.max_samples_)]))
        return cls(roots=np.array(roots, dtype=np.int64), typical=typical, **arrays)

    def score(self, X: np.ndarray) -> np.ndarray:
        """Score of rows as `sklearn.ensemble.IsolationForest.score_samples` gives it."""
        rows = X.astype(np.float32)
        total = np.zeros(len(rows))
        every = np.arange(len(rows))
        for root in self.roots:
            node = np.full(len(rows), root)
            moving = every
            while len(moving := moving[self.left[node[moving]] != LEAF]):
                at = node[moving]
                goes_left = rows[moving, self.feature[at]] <= self.threshold[at]
                node[moving] = np.where(goes_left, self.left[at], self.right[at])
            total += self.depth[node]
        expected = len(self.roots) * self.typical[0]
        return -(2.0 ** -(total / expected if expected else np.ones(len(rows))))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for a model file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], *, n_features: int) -> IsolationTrees:
        """Inverse of `to_arrays`; every number is checked, so that no path leaves a tree."""
        names = [field.name for field in fields(cls)]
        if set(arrays) != set(names):
            raise ValueError(f"a forest must have the arrays {names}, got {sorted(arrays)}.")
        trees = cls(**{name: np.asarray(arrays[name]) for name in names})
        trees._check(n_features)
        return trees

    def _check(self, n_features: int) -> None:
        inner = check_nodes(self, n_features)
        if self.depth.shape != inner.shape or self.typical.shape != (1,):
            raise ValueError("depth must have one entry per node, typical one in all.")
        if not np.isfinite([*self.depth, *self.typical]).all():
            raise ValueError("depths must be finite.")


def _find_depths(tree: Any) -> np.ndarray:
    """Splits above each node, and the expected ones below a leaf that holds several rows."""
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):
        for child in (tree.children_left[node], tree.children_right[node]):
            if child != LEAF:
                depth[child] = depth[node] + 1
    return depth + find_path_length(tree.n_node_samples.astype(float))


def find_path_length(n_rows: np.ndarray) -> np.ndarray:
    """Mean path length of an unsuccessful search among ``n_rows``: Liu et al. 2008, eq. 1."""
    length = np.zeros(len(n_rows))
    length[n_rows == 2] = 1
    many = n_rows > 2
    n = n_rows[many]
    length[many] = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    return length
