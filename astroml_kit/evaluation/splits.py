"""Splits that keep a group whole: a shower in training and test at once is leakage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target

from .._validation import check_real, check_same_length


class RepeatedGroupKFold:
    """Repeated k-fold by group, stratified by class where the target has classes.

    A splitter as scikit-learn's own: pass it as ``cv=`` wherever scikit-learn takes one.

    Parameters
    ----------
    n_splits : int
        Folds, >= 2.
    n_repeats : int
        How often to shuffle and split again.
    random_state : int, RandomState or None
        The same integer gives the same folds.

    Examples
    --------
    >>> import numpy as np
    >>> y, shower = np.arange(12) % 2, np.arange(12) // 2
    >>> for train, test in RepeatedGroupKFold(n_splits=3, random_state=1).split(y, y, shower):
    ...     assert not set(shower[train]) & set(shower[test])
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        n_repeats: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_splits = n_splits
        self.n_repeats = n_repeats
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of train/test pairs that `split` gives."""
        return int(self.n_splits) * int(self.n_repeats)

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the training and test rows of each fold.

        Parameters
        ----------
        X : array_like, shape (n_samples, ...)
            Only its length matters.
        y : array_like, shape (n_samples,), optional
            Classes are spread evenly over the folds; anything else is not looked at.
        groups : array_like, shape (n_samples,), optional
            What to keep whole; without it every sample is its own group.

        Raises
        ------
        ValueError
            When there are fewer groups than folds.
        """
        check_real("n_splits", self.n_splits, at_least=2)
        check_real("n_repeats", self.n_repeats, at_least=1)
        check_same_length(X=X, y=y, groups=groups)
        rows = np.zeros(len(X))
        classes = y is not None and type_of_target(y) in ("binary", "multiclass")
        if groups is not None:
            _, groups = np.unique(np.asarray(groups), return_inverse=True)
        n_groups = len(X) if groups is None else len(np.unique(groups))
        if n_groups < self.n_splits:
            raise ValueError(
                f"n_splits must be at most the number of groups, {n_groups}, got {self.n_splits}."
            )
        if groups is None:
            kind: Any = StratifiedKFold if classes else KFold
        else:
            kind = StratifiedGroupKFold if classes else GroupKFold
        rng = check_random_state(self.random_state)
        for _ in range(int(self.n_repeats)):
            seed = int(rng.randint(2**31 - 1))
            splitter = kind(int(self.n_splits), shuffle=True, random_state=seed)
            yield from splitter.split(rows, y, groups)
