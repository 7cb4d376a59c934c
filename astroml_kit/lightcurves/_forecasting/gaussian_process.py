"""Gaussian processes for light curves: sums of damped random walks around an unknown level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from .inputs import Steps
from .state_space import MEASURED, StateSpace, predict_ahead

WIDE = 1.5  # of the priors, in e-folds: times of relaxation,
NARROW = 1.0  # and amplitudes
COVARIATE = 0.3  # prior standard deviation of a coefficient, in the unit of the values
SMALLEST, LARGEST = 1e-3, 10.0  # amplitudes, in units of the scatter


@dataclass(frozen=True)
class DampedWalks:
    """A sum of damped random walks, their level, coefficients of covariates, and white noise.

    Covariance of two times ``dt`` apart: sum of amplitude^2 exp(-dt / tau), plus level_sd^2 and
    the covariates' share, plus errors^2 + jitter^2 on the diagonal. It is the sum of two or more
    real terms of celerite (Foreman-Mackey et al. 2017, doi:10.3847/1538-3881/aa9332), written as
    states, because then limits can be taken in and every step yields its forecast.

    Parameters
    ----------
    tau, amplitude : ndarray, shape (n_components,)
        Days, and standard deviations.
    jitter, centre, level_sd : float
    use_covariates, use_expected : bool
        Whether covariates count, and which error.
    evidence : float
        Log likelihood of the past plus log prior.
    """

    tau: np.ndarray
    amplitude: np.ndarray
    jitter: float
    centre: float
    level_sd: float
    use_covariates: bool = False
    use_expected: bool = True
    evidence: float = -np.inf

    @classmethod
    def fit(
        cls, steps: Steps, *, n_components: int = 2, start: DampedWalks | None = None
    ) -> DampedWalks:
        """Find the most probable one.

        Covariates, and errors at the expected flux instead of the measured one, are used where
        the past is more probable with them.
        """
        seen = steps.value[steps.kind == MEASURED]
        scatter = float(max(seen.std(), 1e-6))
        guess = cls(
            _guess_times(steps, n_components), np.full(n_components, 0.6 * scatter),
            0.3 * scatter, float(seen.mean()), scatter,
        )  # fmt: skip
        covariates = steps.list_covariates(steps.time)
        found = []
        for use_expected in (True, False):
            if not use_expected and np.array_equal(steps.error, steps.expected_error):
                continue
            for use_covariates in (False, True)[: 2 if covariates.shape[1] else 1]:
                own = replace(guess, use_expected=use_expected, use_covariates=use_covariates)
                found.append(_maximise(own, steps, covariates, start))
        return max(found, key=lambda one: one.evidence)

    def list_errors(self, steps: Steps) -> np.ndarray:
        """Return the errors that this process goes by."""
        return steps.expected_error if self.use_expected else steps.error

    def build(self, steps: Steps, covariates: np.ndarray) -> StateSpace:
        """Write it as states: the walks, the level, and the coefficients."""
        apart = np.diff(steps.time, prepend=steps.time[:1])
        move, spread = self._move(apart, covariates.shape[1])
        n = len(self.tau)
        prior = np.full(n + 1 + covariates.shape[1], COVARIATE**2)
        prior[:n], prior[n] = self.amplitude**2, self.level_sd**2
        noise = self.list_errors(steps) ** 2 + self.jitter**2
        return StateSpace(
            move, spread, self._read(covariates), noise, np.zeros(len(prior)), np.diag(prior)
        )

    def _move(self, apart: np.ndarray, n_covariates: int) -> tuple[np.ndarray, np.ndarray]:
        n = len(self.tau)
        size = n + 1 + n_covariates
        move, spread = np.zeros((2, len(apart), size, size))
        keep = np.exp(-apart[:, None] / self.tau)
        walk, fixed = np.arange(n), np.arange(n, size)
        move[:, walk, walk] = keep
        move[:, fixed, fixed] = 1
        spread[:, walk, walk] = self.amplitude**2 * (1 - keep**2)
        return move, spread

    def _read(self, covariates: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones((len(covariates), len(self.tau) + 1)), covariates])

    def _find_covariates(self, steps: Steps, time: np.ndarray) -> np.ndarray:
        known = steps.list_covariates(time)
        return known if self.use_covariates else known[:, :0]

    def find_states(self, steps: Steps) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log likelihood, and mean and covariance of the state after every step."""
        space = self.build(steps, self._find_covariates(steps, steps.time))
        return space.filter(steps.value - self.centre, steps.kind)

    def predict(
        self, steps: Steps, origin: np.ndarray, when: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation at times, without the error of a measurement.

        ``origin`` (n,) are the last steps that each may look at, ``when`` (n,) days.
        """
        _, means, covariances = self.find_states(steps.take(int(origin.max()) + 1))
        known = self._find_covariates(steps, when)
        move, spread = self._move(when - steps.time[origin], known.shape[1])
        mean, variance = predict_ahead(
            means[origin], covariances[origin], move, spread, self._read(known)
        )
        return self.centre + mean, np.sqrt(variance)

    def find_effect(self, steps: Steps, time: np.ndarray) -> np.ndarray:
        """Return what the covariates do at times, as all of ``steps`` say."""
        coefficients = self.find_states(steps)[1][-1, len(self.tau) + 1 :]
        return self._find_covariates(steps, time) @ coefficients


def _guess_times(steps: Steps, n: int) -> np.ndarray:
    """Return times of relaxation from two steps to a tenth of the curve, evenly in logarithm."""
    short = 2 * steps.interval
    long = max(float(np.ptp(steps.time)) / 10, 3 * short)
    return np.geomspace(short, long, n) if n > 1 else np.array([long])


def _maximise(
    guess: DampedWalks, steps: Steps, covariates: np.ndarray, start: DampedWalks | None
) -> DampedWalks:
    n, scatter = len(guess.tau), guess.level_sd
    known = covariates if guess.use_covariates else covariates[:, :0]
    value = steps.value - guess.centre
    expected = np.log(np.concatenate([guess.tau, guess.amplitude, [guess.jitter]]))
    width = np.array([WIDE] * n + [NARROW] * (n + 1))

    def make(place: np.ndarray) -> DampedWalks:
        own = np.exp(place)
        return replace(guess, tau=own[:n], amplitude=own[n:-1], jitter=float(own[-1]))

    def lose(place: np.ndarray) -> float:
        likelihood = make(place).build(steps, known).filter(value, steps.kind)[0]
        return float(0.5 * np.sum(((place - expected) / width) ** 2) - likelihood)

    first = expected
    if start is not None and len(start.tau) == n:
        first = np.log(np.concatenate([start.tau, start.amplitude, [start.jitter]]))
    span = max(float(np.ptp(steps.time)), steps.interval)
    limits = [(np.log(0.05 * steps.interval), np.log(10 * span))] * n
    limits += [(np.log(SMALLEST * scatter), np.log(LARGEST * scatter))] * (n + 1)
    found = minimize(lose, np.clip(first, *np.transpose(limits)), method="L-BFGS-B", bounds=limits)
    best = make(found.x)
    order = np.argsort(best.tau)
    return replace(
        best, tau=best.tau[order], amplitude=best.amplitude[order], evidence=-float(found.fun)
    )
