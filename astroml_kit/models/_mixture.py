"""Mixtures of normal distributions, one per row: densities, quantiles and draws of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

N_STEPS = 60  # of bisection, after which an interval has lost 2^60 of its width
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of normal distributions for each of some rows.

    Parameters
    ----------
    weights, means, widths : ndarray, shape (n_samples, n_components)
        Shares that add up to one in each row, means and standard deviations.

    Examples
    --------
    >>> halves = Mixture(np.array([[0.5, 0.5]]), np.array([[-1.0, 1.0]]), np.full((1, 2), 0.1))
    >>> halves.find_cdf(np.zeros(1)).tolist(), halves.find_quantiles([0.25])[0].round(3).tolist()
    ([0.5], [-1.0])
    """

    weights: np.ndarray
    means: np.ndarray
    widths: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    @classmethod
    def pool(cls, mixtures: Sequence[Mixture]) -> Mixture:
        """Return the mean of several densities, which is a mixture again."""
        weights = np.concatenate([one.weights for one in mixtures], axis=1) / len(mixtures)
        means = np.concatenate([one.means for one in mixtures], axis=1)
        return cls(weights, means, np.concatenate([one.widths for one in mixtures], axis=1))

    def find_mean(self) -> np.ndarray:
        """Mean of each row."""
        return np.sum(self.weights * self.means, axis=1)

    def find_std(self) -> np.ndarray:
        """Standard deviation of each row."""
        off = self.means - self.find_mean()[:, None]
        return np.sqrt(np.sum(self.weights * (self.widths**2 + off**2), axis=1))

    def find_cdf(self, values: np.ndarray) -> np.ndarray:
        """Probability below a value of each row, or below several: shape as ``values``."""
        return self._sum(values, lambda off, width: ndtr(off))

    def find_pdf(self, values: np.ndarray) -> np.ndarray:
        """Density at a value of each row, or at several: shape as ``values``."""
        norm = np.sqrt(2 * np.pi)
        return self._sum(values, lambda off, width: np.exp(-0.5 * off**2) / (norm * width))

    def _sum(self, values: np.ndarray, part: Callable[..., np.ndarray]) -> np.ndarray:
        """Weigh what each part says; a column of values at a time, which keeps memory low."""
        columns = values[:, None] if values.ndim == 1 else values
        out = np.empty(columns.shape)
        for k, column in enumerate(columns.T):
            off = (column[:, None] - self.means) / self.widths
            out[:, k] = np.sum(self.weights * part(off, self.widths), axis=1)
        return out[:, 0] if values.ndim == 1 else out

    def find_quantiles(self, levels: np.ndarray | Sequence[float]) -> np.ndarray:
        """Quantiles at some levels, or at levels of each row's own: shape (n_samples, n_levels).

        By bisection between the quantiles of the outermost parts.
        """
        levels = np.broadcast_to(levels, (len(self), np.shape(levels)[-1]))
        parts = [slice(at, at + CHUNK) for at in range(0, len(self), CHUNK)]
        return np.concatenate(
            [self._take(rows)._bisect(levels[rows]) for rows in parts] or [levels.copy()]
        )

    def _take(self, rows: slice) -> Mixture:
        return Mixture(self.weights[rows], self.means[rows], self.widths[rows])

    def _bisect(self, levels: np.ndarray) -> np.ndarray:
        each = self.means[..., None] + self.widths[..., None] * ndtri(levels)[:, None]
        low, high = each.min(axis=1), each.max(axis=1)
        for _ in range(N_STEPS):
            middle = 0.5 * (low + high)
            below = self.find_cdf(middle) < levels
            low, high = np.where(below, middle, low), np.where(below, high, middle)
            if np.all(high - low <= 1e-10 * (1 + np.abs(high))):
                break
        return high

    def draw(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Draw values, shape (n_samples, n_draws)."""
        edges = np.cumsum(self.weights, axis=1)
        edges[:, -1] = 1.0
        chosen = (rng.random((len(self), n_draws))[..., None] > edges[:, None]).sum(axis=2)
        mean = np.take_along_axis(self.means, chosen, axis=1)
        return mean + np.take_along_axis(self.widths, chosen, axis=1) * rng.normal(
            size=chosen.shape
        )
