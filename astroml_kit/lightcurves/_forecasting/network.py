"""A recurrent network that has seen far more light curves than one source can offer.

Some hundred steps of one source teach a network less than they teach a process with five
parameters. So the process is fitted first, and the network learns from curves drawn from it, with
the times, errors and limits of the source, and then from the source's own steps among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...models import SequenceForecaster
from .gaussian_process import DampedWalks
from .inputs import Steps
from .state_space import ABOVE, BELOW, MEASURED, MISSING

N_CURVES, N_WINDOWS = 1000, 8  # to draw, and forecasts to learn from each
TIME_SPREAD, AMPLITUDE_SPREAD = 0.3, 0.2  # e-folds by which drawn processes differ from the fit
OPTIONS: dict[str, Any] = {
    "cell": "lstm", "hidden_size": 32, "n_history": 32, "distribution": "normal",
    "normalise": "sample", "max_epochs": 15, "learning_rate": 5e-3, "schedule": "cosine",
    "batch_size": 128, "early_stopping": False,
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A trained network and the process that fills in what limits hide from it."""

    model: SequenceForecaster
    walks: DampedWalks
    with_limits: bool

    @classmethod
    def fit(
        cls, sources: Sequence[tuple[Steps, DampedWalks]], *, n_ahead: int, seed: int,
        options: Mapping[str, Any] | None = None,
    ) -> Network:  # fmt: skip
        """Train on curves like those of the sources, and on themselves; the first one counts.

        Steps are free of covariates. What sources have in common, a network that has seen several
        of them does not take for a habit of one.
        """
        chosen: dict[str, Any] = {**OPTIONS, **(options or {})}
        n_curves = int(chosen.pop("n_curves", N_CURVES))
        steps, walks = sources[0]
        history = int(min(chosen["n_history"], max(len(steps) // 4, 4)))
        chosen["n_history"] = history
        rng = np.random.default_rng(seed)
        with_limits = any(np.isin(own.kind, (BELOW, ABOVE)).any() for own, _ in sources)
        series = []
        for own, process in sources:
            length = min(history + n_ahead + N_WINDOWS - 1, len(own))
            plain = replace(process, use_covariates=False)
            curves = [_draw(plain, own, length, rng) for _ in range(n_curves)]
            begins = range(0, len(own) - length + 1, N_WINDOWS)
            curves += [own.cut(slice(begin, begin + length)) for begin in begins]
            series += [tabulate(plain, one, with_limits=with_limits) for one in curves]
        model = SequenceForecaster(
            time_column=0, target_column=1, horizon=n_ahead, n_windows=N_WINDOWS,
            min_history=max(history // 2, 2), random_state=seed, **chosen,
        )  # fmt: skip
        short = model.min_history + n_ahead
        model.fit([one for one in series if len(one) >= short])
        return cls(model, replace(walks, use_covariates=False), with_limits)

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `_forecast_methods.Fitted`."""
        rows = tabulate(self.walks, steps.take(int(origin.max()) + 1), self.with_limits)
        # what is dropped leaves rows out: count those that an origin has seen
        seen = np.cumsum(steps.kind != MISSING)[origin]
        reach = 2 * int(self.model.n_history or 0)
        past = [rows[max(0, n - reach) : n] for n in seen]
        ahead = (when / steps.interval)[:, None]
        forecast = self.model.predict_distribution(past, times=ahead)
        return forecast.mean[:, 0], forecast.std[:, 0]


def tabulate(walks: DampedWalks, steps: Steps, with_limits: bool = False) -> np.ndarray:
    """Return the rows that the network reads: time in typical steps, value, whether it is a limit.

    In place of a limit stands what the process expects there, given the limit and all before it.
    """
    seen = steps.kind != MISSING
    value = steps.value
    if with_limits:
        hidden = np.isin(steps.kind, (BELOW, ABOVE))
        _, means, _ = walks.find_states(steps)
        value = np.where(hidden, walks.centre + means[:, : len(walks.tau) + 1].sum(axis=1), value)
        return np.column_stack([steps.time / steps.interval, value, hidden])[seen]
    return np.column_stack([steps.time / steps.interval, value])[seen]


def _draw(walks: DampedWalks, steps: Steps, length: int, rng: np.random.Generator) -> Steps:
    """Return a curve that the process could have made, with times and errors of the source."""
    begin = int(rng.integers(len(steps) - length + 1))
    own = steps.cut(slice(begin, begin + length))
    n = len(walks.tau)
    tau = walks.tau * np.exp(TIME_SPREAD * rng.normal(size=n))
    amplitude = walks.amplitude * np.exp(AMPLITUDE_SPREAD * rng.normal(size=n))
    keep = np.exp(-np.diff(own.time)[:, None] / tau)
    shock = rng.normal(size=(length, n)) * amplitude
    state = np.empty((length, n))
    state[0] = shock[0]
    for i in range(1, length):
        state[i] = keep[i - 1] * state[i - 1] + np.sqrt(1 - keep[i - 1] ** 2) * shock[i]
    noise = np.hypot(walks.list_errors(own), walks.jitter)
    value = walks.centre + state.sum(axis=1) + noise * rng.normal(size=length)
    kind = np.where(own.kind == MISSING, MISSING, MEASURED)
    hides = np.isin(steps.kind, (BELOW, ABOVE))
    if hides.any():
        # a limit wherever the source would not have been seen
        bound, code = np.median(steps.value[hides]), int(steps.kind[hides][0])
        hidden = ((value < bound) if code == BELOW else (value > bound)) & (kind == MEASURED)
        value, kind = np.where(hidden, bound, value), np.where(hidden, code, kind)
    return replace(own, value=value, kind=kind)
