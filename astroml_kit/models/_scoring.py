"""Scores many rows at once by table look-up, several times faster than walking down each tree.

A split that sends a row to the right rules out every leaf on its left. With one bit per leaf, left
to right, a tree's answer is the lowest bit left after AND-ing the masks of all such splits
(QuickScorer, Dato et al. 2016, doi:10.1145/2987380). The masks of one feature depend
on the value only through the number of thresholds below it, so they are tabulated for all trees,
and a row costs one table row per feature. Sums run in LightGBM's order: the same scores to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

Tree = dict[str, Any]

MOST_LEAVES = 63
MISSING_NONE, MISSING_NAN = 0, 2
# Bytes of leaf masks that are worked on at a time: what stays in a core's own cache.
CACHE_BYTES = 2**20
# Rows below which LightGBM is faster than building the table.
FEWEST_ROWS = 20_000


def can_tabulate(bags: Sequence[Sequence[Tree]]) -> bool:
    """Whether every tree has constant leaves, few enough of them, and plain missing values."""
    return all(
        not tree["is_linear"]
        and tree["num_leaves"] <= MOST_LEAVES
        and all(kind >> 2 in (MISSING_NONE, MISSING_NAN) for kind in tree["decision_type"])
        for bag in bags
        for tree in bag
    )


def score_rows(
    bags: Sequence[Sequence[Tree]], X: np.ndarray, *, n_outputs: int = 1, n_jobs: int = 1
) -> np.ndarray:
    """Mean raw score over bags of trees.

    Parameters
    ----------
    bags : sequence of sequences of dict
        Trees as `read_trees` gives them; `can_tabulate` must hold.
    X : ndarray, shape (n_rows, n_features)
        Finite or NaN.
    n_outputs : int
        Trees per round.
    n_jobs : int
        Threads.

    Returns
    -------
    ndarray, shape (n_rows,) or (n_rows, n_outputs)
    """
    table = _Table([tree for bag in bags for tree in bag])
    # Rows of the leaf values that belong to each bag and output, in the order of training.
    sums, start = [], 0
    for bag in bags:
        sums.append([slice(start + k, start + len(bag), n_outputs) for k in range(n_outputs)])
        start += len(bag)
    score = np.empty((len(X), n_outputs))
    step = max(256, CACHE_BYTES // (table.itemsize * start))

    def score_range(first: int, last: int) -> None:
        buffers = table.make_buffers(step)
        for low in range(first, last, step):
            high = min(low + step, last)
            leaves = table.find_leaves(X[low:high], buffers)
            total: Any = 0.0
            for rows in sums:
                # Along the first axis numpy adds row by row, as LightGBM adds tree by tree.
                total = total + np.column_stack([leaves[part].sum(axis=0) for part in rows])
            score[low:high] = total / len(sums)

    bounds = np.linspace(0, len(X), n_jobs + 1).astype(int)
    if n_jobs == 1:
        score_range(0, len(X))
    else:
        with ThreadPoolExecutor(n_jobs) as pool:
            list(pool.map(score_range, bounds[:-1], bounds[1:]))
    return score[:, 0] if n_outputs == 1 else score


class _Table:
    """Leaf masks of all trees by feature and by number of thresholds below the value."""

    def __init__(self, trees: list[Tree]) -> None:
        self.n_trees = len(trees)
        most = max(tree["num_leaves"] for tree in trees)
        # The sign bit stays free: a mask is a positive number whose lowest bit a float can carry.
        self.kind: Any = np.int32 if most <= 31 else np.int64
        self.itemsize = np.dtype(self.kind).itemsize
        self.values = np.zeros((self.n_trees, most))
        self.full = np.array([(1 << tree["num_leaves"]) - 1 for tree in trees], dtype=self.kind)
        column, feature, threshold, mask, nan_right = self._list_splits(trees)
        self.features = []
        for index in np.unique(feature):
            rows = feature == index
            edges, place = np.unique(threshold[rows], return_inverse=True)
            # Row c holds for values above c thresholds; the last row is for NaN.
            masks = np.full((len(edges) + 2, self.n_trees), -1, dtype=self.kind)
            np.bitwise_and.at(masks, (place + 1, column[rows]), mask[rows])
            masks[:-1] = np.bitwise_and.accumulate(masks[:-1], axis=0)
            missing = rows & nan_right
            np.bitwise_and.at(masks[-1], column[missing], mask[missing])
            self.features.append((int(index), edges, masks))

    def _list_splits(self, trees: list[Tree]) -> tuple[np.ndarray, ...]:
        """Columns of every split of every tree; fills the leaf values from left to right."""
        column, feature, threshold, mask, nan_right = [], [], [], [], []
        for number, tree in enumerate(trees):
            spans, order = _walk_tree(tree)
            self.values[number, : len(order)] = np.asarray(tree["leaf_value"])[order]
            for split, (first, middle) in enumerate(spans):
                column.append(number)
                feature.append(tree["split_feature"][split])
                edge, kind = tree["threshold"][split], tree["decision_type"][split]
                threshold.append(edge)
                mask.append(~(((1 << (middle - first)) - 1) << first))
                # LightGBM reads NaN as 0 where the training data had none.
                nan_right.append(edge < 0 if kind >> 2 == MISSING_NONE else not kind & 2)
        return (
            np.array(column, dtype=int),
            np.array(feature, dtype=int),
            np.array(threshold, dtype=float),
            np.array(mask, dtype=self.kind),
            np.array(nan_right, dtype=bool),
        )

    def make_buffers(self, n_rows: int) -> list[np.ndarray]:
        """Memory for `find_leaves` on up to ``n_rows`` rows, to be used again and again."""
        by_row, by_tree = (n_rows, self.n_trees), (self.n_trees, n_rows)
        # A float of the width of the masks: its exponent field is the number of the lowest bit.
        carrier = np.float32 if self.itemsize == 4 else np.float64
        return [
            np.empty(by_row, dtype=self.kind),
            np.empty(by_row, dtype=self.kind),
            np.empty(by_row, dtype=carrier),
            np.empty(by_tree, dtype=np.intp),
            np.empty(by_tree),
        ]

    def find_leaves(self, X: np.ndarray, buffers: list[np.ndarray]) -> np.ndarray:
        """Value of the leaf that each row reaches in each tree, shape (n_trees, n_rows)."""
        reached, picked, carrier = (buffer[: len(X)] for buffer in buffers[:3])
        flat, leaves = (buffer[:, : len(X)] for buffer in buffers[3:])
        reached[:] = self.full
        for index, edges, masks in self.features:
            value = X[:, index].astype(float)
            code = np.searchsorted(edges, value, side="left")
            code[np.isnan(value)] = len(edges) + 1
            np.take(masks, code, axis=0, out=picked, mode="clip")
            np.bitwise_and(reached, picked, out=reached)
        np.negative(reached, out=picked)
        np.bitwise_and(reached, picked, out=reached)
        np.copyto(carrier, reached, casting="unsafe")
        mantissa, bias = (23, 127) if self.itemsize == 4 else (52, 1023)
        np.right_shift(carrier.view(self.kind), mantissa, out=picked)
        offset = np.arange(self.n_trees) * self.values.shape[1] - bias
        np.add(picked.T, offset[:, None], out=flat)
        np.take(self.values.ravel(), flat, out=leaves, mode="clip")
        return leaves


def _walk_tree(tree: Tree) -> tuple[list[tuple[int, int]], list[int]]:
    """For each split the first leaf below it and the first on its right; leaves left to right."""
    left, right = tree["left_child"], tree["right_child"]
    if not left:
        return [], [0]
    # A child always has a higher number than its parent: sizes come from the end.
    size = [0] * len(left)
    for split in reversed(range(len(left))):
        size[split] = sum(1 if k < 0 else size[k] for k in (left[split], right[split]))
    first, order, spans = [0] * len(left), [0] * (len(left) + 1), []
    for split, (low, high) in enumerate(zip(left, right, strict=True)):
        middle = first[split] + (1 if low < 0 else size[low])
        spans.append((first[split], middle))
        for child, start in ((low, first[split]), (high, middle)):
            if child < 0:
                order[start] = ~child
            else:
                first[child] = start
    return spans, order
