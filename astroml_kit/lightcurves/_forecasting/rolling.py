"""Forecasts from every step of a past as if the rest had not happened yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np

from ..._validation import check_real, invalid
from .inputs import LEAST, Steps
from .methods import MEMBERS, METHODS, SLOW, Fitted
from .state_space import ABOVE, BELOW, MEASURED


@dataclass(frozen=True)
class Horizons:
    """How far ahead: numbers of steps, or days."""

    ahead: np.ndarray
    in_steps: bool

    @classmethod
    def read(cls, horizons: Any) -> Horizons:
        """Check them: whole numbers of steps, or a time."""
        quantity = isinstance(horizons, u.Quantity)
        if quantity and not horizons.unit.is_equivalent(u.day):
            raise invalid("horizons", "a time or whole numbers of steps", horizons)
        ahead = np.atleast_1d(horizons.to_value("day") if quantity else np.asarray(horizons))
        check_real("horizons", ahead, above=0, next_step="A forecast is of the future.")
        if ahead.ndim != 1 or not len(ahead) or np.any(np.diff(ahead) <= 0):
            raise invalid("horizons", "in ascending order, each once", horizons)
        if not quantity and np.any(ahead != np.round(ahead)):
            raise invalid(
                "horizons", "whole numbers of steps", horizons, "Give times as Quantity: 7 * u.day."
            )
        return cls(ahead.astype(float), not quantity)

    def to_days(self, interval: float) -> np.ndarray:
        """Return days ahead of the last step."""
        return self.ahead * interval if self.in_steps else self.ahead

    def count_steps(self, interval: float) -> int:
        """Return the steps that the farthest is ahead, at least one."""
        return max(int(np.ceil(self.to_days(interval)[-1] / interval - 1e-9)), 1)

    def find_targets(self, steps: Steps) -> np.ndarray:
        """Return the step that each forecast from each step is of, -1 where none is.

        Times ahead go to the nearest step, half a typical interval away at most.
        """
        n = len(steps)
        origin = np.arange(n)[:, None]
        if self.in_steps:
            target = origin + self.ahead.astype(np.int64)
            return np.where(target < n, target, -1)
        when = steps.time[:, None] + self.ahead
        right = np.clip(np.searchsorted(steps.time, when), 1, n - 1)
        nearer = when - steps.time[right - 1] < steps.time[right] - when
        target = np.where(nearer, right - 1, right)
        near = np.abs(steps.time[target] - when) <= steps.interval / 2
        return np.where(near & (target > origin), target, -1)


@dataclass(frozen=True)
class Rolled:
    """Forecasts by one method, one row each; ``horizon`` numbers the horizons."""

    origin: np.ndarray
    target: np.ndarray
    horizon: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray


def fit_past(
    name: str, steps: Steps, n: int, *, n_ahead: int, seed: int, options: Any,
    others: Sequence[Steps] = (), before: Fitted | None = None,
) -> Fitted:  # fmt: skip
    """Fit one method to the first ``n`` steps, and to what others had shown by then."""
    now = steps.start + steps.time[n - 1] * u.day
    known = []
    for other in others:
        past = other.take(
            int(np.searchsorted(other.time, (now - other.start).to_value("day"), "right"))
        )
        if (past.kind == MEASURED).sum() >= LEAST:
            known.append(past)
    return METHODS[name](
        steps.take(n), n_ahead=n_ahead, seed=seed, options=options, others=known, start=before
    )


def find_first(steps: Steps, share: float, n_ahead: int) -> int:
    """Return the first step to forecast: after a share of them, and after enough to learn from."""
    measured = np.cumsum(steps.kind == MEASURED)
    enough = int(np.searchsorted(measured, LEAST))
    return max(int(share * len(steps)), enough + n_ahead)


def roll_forecasts(
    name: str, steps: Steps, horizons: Horizons, *, first: int, start: int, refit: int, seed: int,
    options: Any, others: Sequence[Steps] = (),
) -> Rolled:  # fmt: skip
    """Forecast every step from ``first`` on from what was known at each horizon before it.

    A method is fitted anew every ``refit`` steps, networks only for ``first`` and for ``start``.
    """
    target = horizons.find_targets(steps)
    n_ahead = horizons.count_steps(steps.interval)
    origin, column = np.nonzero(target >= first)
    reached = target[origin, column]
    if not len(origin):
        return Rolled(origin, reached, column, *np.zeros((2, 0)))
    begins = np.arange(int(origin.min()), len(steps), refit)
    if name in SLOW:
        later = origin[reached >= start]
        begins = np.unique([origin.min(), later.min() if len(later) else origin.min()])
    mean, scatter = np.empty((2, len(origin)))
    fitted = None
    for begin, end in zip(begins, [*begins[1:], len(steps)], strict=True):
        rows = np.flatnonzero((begin <= origin) & (origin < end))
        if not len(rows):
            continue
        fitted = fit_past(
            name,
            steps,
            int(begin) + 1,
            n_ahead=n_ahead,
            seed=seed,
            options=options,
            others=others,
            before=fitted,
        )
        mean[rows], scatter[rows] = fitted.predict(steps, origin[rows], steps.time[reached[rows]])
    return Rolled(origin, reached, column, mean, scatter)


def blend(parts: list[Rolled]) -> Rolled:
    """Average means and scatters: equal weights, which nothing has to be learned for.

    Quantiles are averaged, not probabilities: the blend is no wider than its parts. Smith & Wallis
    2009, doi:10.1111/j.1468-0084.2008.00541.x, on why weights that are learned do worse.
    """
    first = parts[0]
    return Rolled(
        first.origin, first.target, first.horizon,
        np.mean([part.mean for part in parts], axis=0),
        np.mean([part.scatter for part in parts], axis=0),
    )  # fmt: skip


def list_members(method: str) -> tuple[str, ...]:
    """Return the methods to fit for one."""
    if method not in (*METHODS, "blend"):
        raise ValueError(f"method must be one of {[*METHODS, 'blend']}, got {method!r}.")
    return MEMBERS if method == "blend" else (method,)


def mark_limits(steps: Steps, target: np.ndarray) -> dict[str, np.ndarray]:
    """Return which targets are limits, for `standardise`."""
    return {"below": steps.kind[target] == BELOW, "above": steps.kind[target] == ABOVE}


def find_scored(steps: Steps, target: np.ndarray, *, score_limits: bool) -> np.ndarray:
    """Return which forecasts are of steps that count."""
    return np.full(len(target), score_limits) | ~steps.is_limit[target]
