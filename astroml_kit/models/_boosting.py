"""What boosted classifiers and regressors share: parameters, training, scoring, saving."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._validation import check_real
from ._lightgbm_text import load_booster, write_booster
from ._rows import check_rows
from ._scoring import FEWEST_ROWS, can_tabulate, score_rows
from ._splitting import split_rows
from .cards import Carded


class BoostedTrees(Carded, BaseEstimator):
    """What the classifier and the regressor share; `__init__` only stores, as scikit-learn asks."""

    def __init__(
        self,
        *,
        n_estimators: int = 400,
        learning_rate: float = 0.03,
        max_leaves: int = 24,
        min_samples_leaf: int = 20,
        l2: float = 5.0,
        subsample: float = 0.7,
        max_features: float | str = "auto",
        linear_leaves: bool = False,
        linear_l2: float = 1.0,
        n_bags: int = 1,
        early_stopping: bool = False,
        validation_fraction: float = 0.15,
        n_iter_no_change: int = 50,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = 1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_leaves = max_leaves
        self.min_samples_leaf = min_samples_leaf
        self.l2 = l2
        self.subsample = subsample
        self.max_features = max_features
        self.linear_leaves = linear_leaves
        self.linear_l2 = linear_l2
        self.n_bags = n_bags
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _check_parameters(self) -> None:
        for name in ("n_estimators", "min_samples_leaf", "n_bags", "n_iter_no_change"):
            check_real(name, getattr(self, name), at_least=1)
        check_real("n_jobs", self.n_jobs or 1, at_least=-1024, at_most=1024)
        check_real("max_leaves", self.max_leaves, at_least=2)
        check_real("learning_rate", self.learning_rate, above=0)
        for name in ("l2", "linear_l2"):
            check_real(name, getattr(self, name), at_least=0)
        check_real("subsample", self.subsample, above=0, at_most=1)
        if self.max_features != "auto":
            check_real(
                "max_features", self.max_features, above=0, at_most=1, next_step="Or give 'auto'."
            )
        check_real("validation_fraction", self.validation_fraction, above=0, below=1)

    def _list_options(self, seed: int, n_features: int) -> dict[str, Any]:
        """LightGBM's names for our parameters; the fixed ones make a fit repeatable."""
        share = self.max_features
        if share == "auto":
            share = 0.5 if n_features >= 16 else 1.0
        options: dict[str, Any] = {
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": effective_n_jobs(self.n_jobs),
            "seed": int(seed),
            "learning_rate": float(self.learning_rate),
            "num_leaves": int(self.max_leaves),
            "min_data_in_leaf": int(self.min_samples_leaf),
            "lambda_l2": float(self.l2),
            "bagging_fraction": float(self.subsample),
            "bagging_freq": int(self.subsample < 1),
            "feature_fraction": float(share),
            # A column that takes few values is split between any two of them.
            "min_data_in_bin": 1,
        }
        if self.linear_leaves:
            options |= {"linear_tree": True, "linear_lambda": float(self.linear_l2)}
        return options

    def _split_validation(
        self, target: np.ndarray, groups: np.ndarray | None, seed: int, *, stratify: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows to fit on and rows to stop on; a group is never on both sides."""
        return split_rows(
            target.astype(int) if stratify else None,
            groups,
            n_samples=len(target),
            fraction=float(self.validation_fraction),
            seed=seed,
        )

    def _train(
        self,
        X: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray | None,
        groups: np.ndarray | None,
        objective: dict[str, Any],
    ) -> None:
        import lightgbm

        stratify = objective["objective"] != "regression" and target.dtype.kind in "iu"
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=int(self.n_bags))
        if self.linear_leaves:
            self._store_range(X)
        self.boosters_, self._trees, self.n_iter_ = [], [], []
        for seed in seeds:
            options = self._list_options(seed, X.shape[1]) | objective
            rows, valid = np.arange(len(target)), []
            callbacks: list[Callable[..., Any]] = []
            if self.early_stopping:
                rows, stop = self._split_validation(target, groups, int(seed), stratify=stratify)
                callbacks = [lightgbm.early_stopping(int(self.n_iter_no_change), verbose=False)]
            every = len(rows) == len(target)
            data = lightgbm.Dataset(
                X if every else X[rows],
                target if every else target[rows],
                weight=None if weight is None else weight[rows],
                params=options,
            )
            if self.early_stopping:
                valid = [
                    data.create_valid(
                        X[stop], target[stop], weight=None if weight is None else weight[stop]
                    )
                ]
            booster = lightgbm.train(
                options, data, int(self.n_estimators), valid_sets=valid, callbacks=callbacks
            )
            text = write_booster(booster)
            kept, trees = load_booster(text)
            self.boosters_.append(kept)
            self._trees.append(trees)
            self.n_iter_.append(kept.current_iteration())

    def _store_range(self, X: np.ndarray) -> None:
        """Remember the range of each feature: linear leaves must not extrapolate beyond it."""
        seen = ~np.isnan(X)
        self.feature_low_ = np.where(seen, X, np.inf).min(axis=0)
        self.feature_high_ = np.where(seen, X, -np.inf).max(axis=0)

    def _score_rows(self, X: Any) -> np.ndarray:
        """Mean raw score over the bags."""
        check_is_fitted(self)
        X = check_rows(self, X)
        if hasattr(self, "feature_low_"):
            seen = self.feature_high_ >= self.feature_low_
            low = np.where(seen, self.feature_low_, -np.inf).astype(X.dtype)
            high = np.where(seen, self.feature_high_, np.inf).astype(X.dtype)
            X = np.clip(X, low, high)
        n_jobs = effective_n_jobs(self.n_jobs)
        if len(X) >= FEWEST_ROWS and can_tabulate(self._trees):
            n_outputs = self.boosters_[0].num_model_per_iteration()
            return score_rows(self._trees, X, n_outputs=n_outputs, n_jobs=n_jobs)
        total = 0.0
        for booster in self.boosters_:
            total = total + booster.predict(X, raw_score=True, num_threads=n_jobs)
        return np.asarray(total) / len(self.boosters_)

    def _get_fitted(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Fitted state as plain values and named pieces of LightGBM text, for `save_model`."""
        state: dict[str, Any] = {"n_iter": [int(n) for n in self.n_iter_]}
        if hasattr(self, "feature_low_"):
            state["feature_low"] = [float(value) for value in self.feature_low_]
            state["feature_high"] = [float(value) for value in self.feature_high_]
        texts = [write_booster(booster).encode("ascii") for booster in self.boosters_]
        return state, {f"bag_{k:03d}.txt": text for k, text in enumerate(texts)}

    def _set_fitted(self, state: Mapping[str, Any], weights: Mapping[str, bytes]) -> None:
        """Inverse of `_get_fitted`; the texts are checked before LightGBM sees them."""
        n_outputs = len(self.classes_) if len(getattr(self, "classes_", ())) > 2 else 1
        loaded = [
            load_booster(
                weights[name].decode("ascii"), n_features=self.n_features_in_, n_outputs=n_outputs
            )
            for name in sorted(weights)
        ]
        self.boosters_ = [booster for booster, _ in loaded]
        self._trees = [trees for _, trees in loaded]
        self.n_iter_ = [int(n) for n in state["n_iter"]]
        if len(self.boosters_) != len(self.n_iter_) or not self.boosters_:
            raise ValueError("the number of boosters must match n_iter")
        if "feature_low" in state:
            for name in ("feature_low", "feature_high"):
                values = np.array(state[name], dtype=float)
                if values.shape != (self.n_features_in_,):
                    raise ValueError(f"{name} must have one value per feature")
                setattr(self, f"{name}_", values)
