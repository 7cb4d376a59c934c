"""Forecasters behind one face: fit the past, then mean and scatter from any step in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from .autoregression import Autoregression
from .gaussian_process import DampedWalks
from .inputs import Steps
from .network import Network
from .state_space import MEASURED

MEMBERS = ("gp", "autoregressive", "lstm")  # of the blend


class Fitted(Protocol):
    """A forecaster that knows a past."""

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of what would be measured.

        ``origin`` (n,) are the last steps that each forecast may look at, ``when`` (n,) days.
        """


@dataclass(frozen=True)
class Persistence:
    """What was measured last; the scatter is that of past changes over as long a time."""

    lag: np.ndarray
    change: np.ndarray

    @classmethod
    def fit(cls, steps: Steps, **_: Any) -> Persistence:
        """Measure how much values have changed over 1, 2, 4 ... steps."""
        own = steps.kind == MEASURED
        time, value = steps.time[own], steps.value[own]
        lags = [2**k for k in range(16) if 2**k <= len(time) // 2]
        return cls(
            np.array([np.mean(time[k:] - time[:-k]) for k in lags]),
            np.array([np.sqrt(np.mean((value[k:] - value[:-k]) ** 2)) for k in lags]),
        )

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the last measured value; limits are not measured."""
        own = np.where(steps.kind == MEASURED, np.arange(len(steps)), 0)
        last = np.maximum.accumulate(own)[origin]
        scatter = np.interp(
            np.log(np.maximum(when - steps.time[last], self.lag[0] / 10)), np.log(self.lag),
            self.change,
        )  # fmt: skip
        return steps.value[last], np.maximum(scatter, 1e-6)


@dataclass(frozen=True)
class Measured:
    """What a process says of the light, plus the error of measuring it."""

    process: DampedWalks | Autoregression
    error: float

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Fitted`."""
        mean, scatter = self.process.predict(steps, origin, when)
        return mean, np.sqrt(scatter**2 + self.process.jitter**2 + self.error**2)


@dataclass(frozen=True)
class Freed:
    """A forecaster of what is left when the effect of covariates is taken off."""

    inner: Fitted
    walks: DampedWalks
    past: Steps

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Fitted`."""
        mean, scatter = self.inner.predict(take_off(steps, self.walks, self.past), origin, when)
        return mean + self.walks.find_effect(self.past, when), scatter


def take_off(steps: Steps, walks: DampedWalks, past: Steps) -> Steps:
    """Return steps without the effect that covariates have had in the past."""
    return replace(steps, value=steps.value - walks.find_effect(past, steps.time))


def _typical(walks: DampedWalks, steps: Steps) -> float:
    error = walks.list_errors(steps)[steps.kind == MEASURED]
    return float(np.median(error))


def _fit_walks(n_components: int) -> Callable[..., Fitted]:
    def fit(steps: Steps, *, start: Any = None, **_: Any) -> Fitted:
        before = getattr(start, "process", None)
        known = before if isinstance(before, DampedWalks) else None
        walks = DampedWalks.fit(steps, n_components=n_components, start=known)
        return Measured(walks, _typical(walks, steps))

    return fit


def _fit_autoregression(steps: Steps, **_: Any) -> Fitted:
    walks = DampedWalks.fit(steps)
    free = take_off(steps, walks, steps)
    process = Autoregression.fit(free, use_expected=walks.use_expected)
    return Freed(Measured(process, _typical(walks, steps)), walks, steps)


def _fit_network(
    steps: Steps, *, n_ahead: int, seed: int, options: Any, others: Sequence[Steps] = (), **_: Any
) -> Fitted:
    sources = []
    for own in (steps, *others):
        walks = DampedWalks.fit(own)
        sources.append((take_off(own, walks, own), walks))
    network = Network.fit(sources, n_ahead=n_ahead, seed=seed, options=options)
    return Freed(network, sources[0][1], steps)


METHODS: dict[str, Callable[..., Fitted]] = {
    "persistence": Persistence.fit,
    "drw": _fit_walks(1),
    "gp": _fit_walks(2),
    "autoregressive": _fit_autoregression,
    "lstm": _fit_network,
}
SLOW = ("lstm",)
