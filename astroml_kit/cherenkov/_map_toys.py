"""How significant a map without sources gets: toys of the search, and a law for their maxima."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr

from ..significance import correct_significance, li_ma_significance
from ._map_background import OnOffSums, RingSums
from ._map_grid import KernelSums, SkyGrid

# Exponent with which trials grow with the threshold. Between that of smooth fields in the plane,
# z^2 (Euler characteristic, Adler & Taylor 2007), and of ones with kinks like ours, z^4 (Pickands
# 1969); finite pixels and few counts leave it for the toys to say.
_STEEPEST = 4.0
_PIVOT = 3.5


@dataclass(frozen=True)
class TrialLaw:
    """Effective number of trials of a search, N(z) = n_pivot (z / pivot)^exponent.

    Attributes
    ----------
    n_pivot, exponent : float
        Fitted to the largest significances of toys, P(max < z) = Phi(z)^N(z).
    pivot : float
        In sigma.
    n_toys : int
        Toys it was fitted to.
    median_maximum : float
        Of the toys.
    """

    n_pivot: float
    exponent: float
    pivot: float
    n_toys: int
    median_maximum: float

    def __str__(self) -> str:
        return (
            f"{self.n_pivot:.3g} trials at {self.pivot:g} sigma, growing as "
            f"z^{self.exponent:.1f}, from {self.n_toys} toys"
        )

    def count_trials(self, significance: Any) -> np.ndarray:
        """Effective trials at a significance, at least 1."""
        ratio = np.maximum(np.asarray(significance, float), 1e-3) / self.pivot
        return np.maximum(self.n_pivot * ratio**self.exponent, 1.0)

    def correct(self, significance: Any) -> np.ndarray:
        """Post-trial significance."""
        return correct_significance(significance, self.count_trials(significance))

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON."""
        return asdict(self)


def fit_trial_law(maxima: np.ndarray) -> TrialLaw:
    """Fit the distribution of the largest significance of each toy by maximum likelihood."""
    z = np.sort(np.asarray(maxima, float))
    z = np.maximum(z, 0.5)  # toys without any excess say nothing about the tail

    def find_loss(parameters: np.ndarray) -> float:
        log_pivot, exponent = parameters
        # density of the maximum: d/dz exp(N(z) ln Phi(z))
        n = np.exp(log_pivot) * (z / _PIVOT) ** exponent
        log_cdf = log_ndtr(z)
        hazard = np.exp(-0.5 * z**2 - log_cdf) / np.sqrt(2 * np.pi) + exponent * log_cdf / z
        if np.any(hazard <= 0):
            return 1e12
        return -float(np.sum(n * log_cdf + np.log(n) + np.log(hazard)))

    start = np.log(np.log(2.0) / -log_ndtr(np.median(z)))
    bounds = ((0.0, 30.0), (0.0, _STEEPEST))
    fits = [
        minimize(find_loss, (max(start, 0.1), power), bounds=bounds, method="Nelder-Mead")
        for power in (0.5, 2.0)
    ]
    best = min(fits, key=lambda fit: fit.fun)
    return TrialLaw(
        float(np.exp(best.x[0])), float(best.x[1]), _PIVOT, len(z), float(np.median(maxima))
    )


def throw_maxima(
    grid: SkyGrid,
    stacker: Any,
    sums: OnOffSums,
    excluded: np.ndarray,
    searched: np.ndarray,
    *,
    n_toys: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the largest significance of each toy over the pixels that are searched.

    A toy is a Poisson number in every pixel with the mean that the acceptance expects, summed over
    discs as the data were. With a ring, OFF is summed from the same toy. OFF of the other kind
    reaches over many pixels and hardly changes from one to the next: it stays as it is, and the
    significance is scaled to unit width.
    """
    # what the acceptance model expects, scaled to the background that was measured
    means = np.maximum(sums.density, 0.0)
    on, off = grid.crop(sums.on)[searched], grid.crop(sums.off)[searched]
    alpha = on / off
    kernels: KernelSums = stacker.sums
    ring = isinstance(stacker, RingSums)
    if not ring:
        all_on = grid.crop(kernels.measure(means, "disc"))[searched]
        alpha, n_off = all_on / off, off
        scale = np.sqrt(1 + alpha)
    maxima = np.empty(n_toys)
    for number in range(n_toys):
        toy = rng.poisson(means).astype(float)
        n_on = grid.crop(kernels.count(toy, "disc"))[searched]
        if ring:
            n_off = grid.crop(kernels.count(toy * ~excluded, "ring"))[searched]
            scale = 1.0
        maxima[number] = np.max(li_ma_significance(n_on, n_off, alpha=alpha) * scale)
    return maxima
