"""Autoregression of a light curve that has gaps, errors and limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import minimize

from .inputs import Steps
from .state_space import MEASURED, MISSING, StateSpace, predict_ahead

ORDERS = (1, 2, 4)
MOST_GRID = 20  # grid steps per step; emptier curves are no autoregression
TIGHT = 1.5  # prior standard deviation of the inverse hyperbolic tangents, which 0 is likely for


@dataclass(frozen=True)
class Autoregression:
    """Each step is a weighted sum of the ``order`` steps before it and a shock, around a level.

    Steps lie on a grid of the typical interval; those that nobody measured are passed over by
    the Kalman filter (Jones 1980, doi:10.1080/00401706.1980.10486171). Measurements have their
    errors and a jitter, which makes this an ARMA model of what is measured.

    Parameters
    ----------
    weights : ndarray, shape (order,)
        Of the last step first.
    shock, jitter : float
        Standard deviations.
    centre, level_sd, interval : float
    use_expected : bool
        Whether errors are those at the expected flux.
    criterion : float
        -2 log likelihood + 2 parameters (Akaike).
    """

    weights: np.ndarray
    shock: float
    jitter: float
    centre: float
    level_sd: float
    interval: float
    use_expected: bool = True
    criterion: float = np.inf

    @classmethod
    def fit(cls, steps: Steps, *, use_expected: bool = True) -> Autoregression:
        """Find the most probable weights of each order, and the order by Akaike's criterion."""
        seen = steps.value[steps.kind == MEASURED]
        scatter = float(max(seen.std(), 1e-6))
        guess = cls(np.zeros(1), scatter, scatter, float(seen.mean()), scatter, steps.interval,
                    use_expected)  # fmt: skip
        grid = guess.spread_out(steps)
        found = [_maximise(guess, *grid, order) for order in ORDERS if len(seen) > 10 * order]
        return min(found, key=lambda one: one.criterion)

    def place(self, time: np.ndarray) -> np.ndarray:
        """Return the grid step of each time."""
        return np.round(time / self.interval).astype(np.int64)

    def spread_out(self, steps: Steps) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return value, error and kind on the grid, and where each step went.

        Of two steps at one place the later one stays.
        """
        place = self.place(steps.time)
        n = int(place[-1]) + 1
        if n > MOST_GRID * len(steps):
            raise ValueError(
                f"curve must fill its grid of {self.interval:.3g} days, got {len(steps)} steps "
                f"over {n} places. Bin it, or choose method='gp'."
            )
        error = steps.expected_error if self.use_expected else steps.error
        value, noise, kind = np.zeros(n), np.ones(n), np.full(n, MISSING, dtype=np.int64)
        value[place], noise[place], kind[place] = steps.value - self.centre, error, steps.kind
        return value, noise, kind, place

    def _move(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the companion matrix and its noise, the level behind them."""
        order = len(self.weights)
        move, spread = np.zeros((2, order + 1, order + 1))
        move[0, :order] = self.weights
        move[np.arange(1, order), np.arange(order - 1)] = 1
        move[order, order] = 1
        spread[0, 0] = self.shock**2
        return move, spread

    def _read(self) -> np.ndarray:
        read = np.zeros(len(self.weights) + 1)
        read[[0, -1]] = 1
        return read

    def build(self, noise: np.ndarray) -> StateSpace:
        """Write it as states on a grid with errors ``noise``."""
        order, n = len(self.weights), len(noise)
        move, spread = self._move()
        covariance = np.zeros((order + 1, order + 1))
        own = slice(0, order)
        covariance[own, own] = solve_discrete_lyapunov(move[own, own], spread[own, own])
        covariance[order, order] = self.level_sd**2
        return StateSpace(
            np.tile(move, (n, 1, 1)), np.tile(spread, (n, 1, 1)), np.tile(self._read(), (n, 1)),
            noise**2 + self.jitter**2, np.zeros(order + 1), covariance,
        )  # fmt: skip

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `DampedWalks.predict`; times go to the grid, at least one step ahead."""
        value, noise, kind, place = self.spread_out(steps.take(int(origin.max()) + 1))
        _, means, covariances = self.build(noise).filter(value, kind)
        lead = np.maximum(self.place(when) - place[origin], 1)
        move, spread = self._move()
        moves, spreads = [np.eye(len(move))], [np.zeros_like(move)]
        for _ in range(int(lead.max())):
            spreads.append(move @ spreads[-1] @ move.T + spread)
            moves.append(move @ moves[-1])
        at = place[origin]
        mean, variance = predict_ahead(
            means[at], covariances[at], np.array(moves)[lead], np.array(spreads)[lead],
            np.tile(self._read(), (len(at), 1)),
        )  # fmt: skip
        return self.centre + mean, np.sqrt(variance)


def find_weights(partial: np.ndarray) -> np.ndarray:
    """Return weights from partial autocorrelations, all within (-1, 1): always stationary.

    Barndorff-Nielsen & Schou 1973, doi:10.1016/0047-259X(73)90030-4, by Durbin and Levinson.
    """
    weights = np.zeros(0)
    for now in partial:
        weights = np.append(weights - now * weights[::-1], now)
    return weights


def _maximise(
    guess: Autoregression,
    value: np.ndarray,
    noise: np.ndarray,
    kind: np.ndarray,
    place: np.ndarray,
    order: int,
) -> Autoregression:
    scatter = guess.level_sd

    def make(free: np.ndarray) -> Autoregression:
        partial = 0.999 * np.tanh(free[:order])
        # the shock follows from the standard deviation of the process
        shock = np.exp(free[order]) * np.sqrt(np.prod(1 - partial**2))
        return replace(
            guess, weights=find_weights(partial), shock=float(shock),
            jitter=float(np.exp(free[order + 1])),
        )  # fmt: skip

    centre = np.concatenate([np.zeros(order), np.log([scatter, 0.3 * scatter])])
    width = np.array([TIGHT] * order + [1.0, 1.0])

    def lose(free: np.ndarray) -> float:
        likelihood = make(free).build(noise).filter(value, kind)[0]
        return float(0.5 * np.sum(((free - centre) / width) ** 2) - likelihood)

    first = centre.copy()
    first[0] = 1.0
    span = [(-5.0, 5.0)] * order + [(np.log(1e-3 * scatter), np.log(10 * scatter))] * 2
    best = make(minimize(lose, first, method="L-BFGS-B", bounds=span).x)
    likelihood = best.build(noise).filter(value, kind)[0]
    return replace(best, criterion=float(2 * (order + 2) - 2 * likelihood))
