"""Maps from probabilities that are not, to probabilities that are: three kinds, kept as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ._wrapper import SMALLEST

METHODS = ("temperature", "platt", "isotonic")
WIDEST = 5.0  # of the logarithm of a temperature


@dataclass(frozen=True)
class Calibrator:
    """A fitted map; ``values`` are one row of numbers per class, or one temperature."""

    method: str
    values: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(cls, method: str, p: np.ndarray, code: np.ndarray, weight: Any) -> Calibrator:
        """Fit to held-out probabilities, shape (n_samples, n_classes), and class numbers."""
        weight = np.ones(len(p)) if weight is None else weight
        if method == "temperature":
            z = _log(p)

            def loss(log_t: float) -> float:
                own = log_softmax(z * np.exp(-log_t), axis=1)[np.arange(len(z)), code]
                return float(-np.average(own, weights=weight))

            found = minimize_scalar(loss, bounds=(-WIDEST, WIDEST), method="bounded")
            return cls(method, ((float(np.exp(found.x)),),))
        rows = []
        for k in _list_columns(p):
            is_class, score = code == k, p[:, k]
            if method == "platt":
                line = LogisticRegression(C=1e6).fit(_logit(score)[:, None], is_class, weight)
                rows.append((float(line.coef_[0, 0]), float(line.intercept_[0])))
            else:
                steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
                steps.fit(score, is_class, weight)
                rows.append((*steps.X_thresholds_.tolist(), *steps.y_thresholds_.tolist()))
        return cls(method, tuple(rows))

    def apply(self, p: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities; rows add up to one."""
        if self.method == "temperature":
            return softmax(_log(p) / self.values[0][0], axis=1)
        parts = []
        for k, row in zip(_list_columns(p), self.values, strict=True):
            if self.method == "platt":
                parts.append(1 / (1 + np.exp(-(row[0] * _logit(p[:, k]) + row[1]))))
            else:
                half = len(row) // 2
                parts.append(np.interp(p[:, k], row[:half], row[half:]))
        if len(parts) == 1:
            return np.column_stack([1 - parts[0], parts[0]])
        raw = np.column_stack(parts)
        total = raw.sum(axis=1, keepdims=True)
        even = np.full_like(raw, 1 / raw.shape[1])
        return np.divide(raw, total, out=even, where=total > 0)

    @classmethod
    def from_lists(cls, method: str, values: Any, n_classes: int) -> Calibrator:
        """Read what a model file says; every number is checked."""
        rows = tuple(tuple(float(v) for v in row) for row in values)
        wanted = 1 if method == "temperature" or n_classes == 2 else n_classes
        lengths = {"temperature": lambda n: n == 1, "platt": lambda n: n == 2,
                   "isotonic": lambda n: n >= 2 and n % 2 == 0}  # fmt: skip
        good = len(rows) == wanted and all(
            lengths[method](len(row)) and np.isfinite(row).all() for row in rows
        )
        if good and method == "temperature":
            good = rows[0][0] > 0
        if good and method == "isotonic":
            good = all(
                np.all(np.diff(row[: len(row) // 2]) >= 0)
                and min(row[len(row) // 2 :]) >= 0
                and max(row[len(row) // 2 :]) <= 1
                for row in rows
            )
        if not good:
            raise ValueError(f"a {method} calibration must have finite numbers in order.")
        return cls(method, rows)


def _list_columns(p: np.ndarray) -> list[int]:
    return [1] if p.shape[1] == 2 else list(range(p.shape[1]))


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.clip(p, SMALLEST, None))


def _logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, SMALLEST, 1 - SMALLEST)
    return np.log(p) - np.log1p(-p)
