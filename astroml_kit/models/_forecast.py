"""What a forecast is: a distribution at each time, of which anything can be asked afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import beta, ndtri
from scipy.stats import norm
from scipy.stats import t as student

from .._validation import check_real

N_NODES = 200  # of the integrals over quantiles


@dataclass(frozen=True)
class Forecast:
    """The distribution of the value of each series at each of some times.

    Each time has a distribution of its own; how they depend on each other is not told.

    Parameters
    ----------
    times : ndarray, shape (n_series, n_ahead)
        In the unit of the column of times; numbers of steps where there is none.
    distribution : {"quantiles", "normal", "student"}
        What ``parameters`` are.
    parameters : ndarray, shape (n_parameters, n_series, n_ahead)
        Quantiles at ``levels``; or location and scale; or those and degrees of freedom.
    levels : tuple of float
        Levels of the quantiles, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> forecast = Forecast(np.ones((1, 1)), "normal", np.array([[[10.0]], [[2.0]]]))
    >>> forecast.median.tolist(), forecast.compute_quantiles([0.5, 0.975]).round(2).tolist()
    ([[10.0]], [[[10.0]], [[13.92]]])
    >>> print(forecast)
    Forecast: 1 series x 1 times, normal
    """

    times: np.ndarray
    distribution: str
    parameters: np.ndarray
    levels: tuple[float, ...] = ()

    def __str__(self) -> str:
        n_series, n_ahead = self.times.shape
        return f"Forecast: {n_series} series x {n_ahead} times, {self.distribution}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "times": self.times.tolist(),
            "distribution": self.distribution,
            "parameters": self.parameters.tolist(),
            "levels": list(self.levels),
        }

    @property
    def median(self) -> np.ndarray:
        """Median, shape (n_series, n_ahead)."""
        return self.compute_quantiles(0.5)

    @property
    def mean(self) -> np.ndarray:
        """Mean, shape (n_series, n_ahead)."""
        if self.distribution != "quantiles":
            return self.parameters[0]
        level, share = _find_nodes()
        return np.tensordot(share, self.compute_quantiles(level), axes=1)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation, shape (n_series, n_ahead)."""
        if self.distribution == "normal":
            return self.parameters[1]
        if self.distribution == "student":
            _, scale, freedom = self.parameters
            return scale * np.sqrt(freedom / (freedom - 2))
        level, share = _find_nodes()
        return np.sqrt(
            np.tensordot(share, (self.compute_quantiles(level) - self.mean) ** 2, axes=1)
        )

    def compute_quantiles(self, levels: Any) -> np.ndarray:
        """Return the values below which the truth is with the probabilities ``levels``.

        Between the quantiles that were learned, the normal deviate of the level is linear in the
        value; beyond them it goes on as between the last two: the tails are those of a normal
        distribution.

        Parameters
        ----------
        levels : float or array_like, shape (n_levels,)
            Between 0 and 1.

        Returns
        -------
        ndarray, shape (n_series, n_ahead) or (n_levels, n_series, n_ahead)
            They never cross.
        """
        wanted = check_real("levels", levels, above=0, below=1, next_step="The median is 0.5.")
        flat = wanted.reshape(-1, 1, 1)
        if self.distribution == "normal":
            found = self.parameters[0] + ndtri(flat) * self.parameters[1]
        elif self.distribution == "student":
            location, scale, freedom = self.parameters
            found = location + scale * student.ppf(flat, freedom)
        else:
            knots, score = ndtri(np.asarray(self.levels)), ndtri(wanted.ravel())
            low = np.clip(np.searchsorted(knots, score) - 1, 0, len(knots) - 2)
            part = ((score - knots[low]) / (knots[low + 1] - knots[low]))[:, None, None]
            # one product per end: at a level that was learned this is its quantile to the bit
            found = self.parameters[low] * (1 - part) + self.parameters[low + 1] * part
        return found.reshape(*wanted.shape, *self.times.shape)

    def compute_crps(self, values: Any) -> np.ndarray:
        """Return the continuous ranked probability score of what happened, in its unit.

        Gneiting & Raftery 2007, doi:10.1198/016214506000001437, eq. 20; the closed form for
        Student's t is that of Jordan et al. 2019, doi:10.18637/jss.v090.i12. For a forecast
        without doubt it is the absolute error.

        Parameters
        ----------
        values : array_like, shape (n_series, n_ahead)

        Returns
        -------
        ndarray, shape (n_series, n_ahead)
            The lower the better.
        """
        truth = check_real("values", values)
        if truth.shape != self.times.shape:
            raise ValueError(
                f"values must have the shape {self.times.shape} of the times, got {truth.shape}."
            )
        if self.distribution == "quantiles":
            level, share = _find_nodes()
            miss = truth - self.compute_quantiles(level)
            level = level[:, None, None]
            return 2 * np.tensordot(share, np.maximum(level * miss, (level - 1) * miss), axes=1)
        location, scale = self.parameters[:2]
        z = (truth - location) / scale
        if self.distribution == "normal":
            return scale * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
        n = self.parameters[2]
        spread = 2 * np.sqrt(n) / (n - 1) * beta(0.5, n - 0.5) / beta(0.5, n / 2) ** 2
        density = 2 * student.pdf(z, n) * (n + z**2) / (n - 1)
        return scale * (z * (2 * student.cdf(z, n) - 1) + density - spread)


def _find_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Levels and weights of Gauss and Legendre on (0, 1)."""
    node, weight = np.polynomial.legendre.leggauss(N_NODES)
    return (node + 1) / 2, weight / 2
