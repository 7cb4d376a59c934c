"""Power on a grid of frequencies by non-uniform Fourier transforms, a piece of the grid at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np

from ..._validation import check_real, import_extra, invalid
from .harmonics import solve_normal
from .series import Series

PIECE = 1 << 18  # frequencies: what a transform needs of memory does not grow with the grid
PRECISION = 1e-9


@dataclass(frozen=True)
class Grid:
    """An even grid of frequencies, per day."""

    low: float
    high: float
    n: int

    @property
    def step(self) -> float:
        """Distance of two frequencies."""
        return (self.high - self.low) / (self.n - 1)

    @property
    def frequency(self) -> np.ndarray:
        """All of them."""
        return np.linspace(self.low, self.high, self.n)

    def split(self) -> list[tuple[slice, Grid]]:
        """Pieces of one size or smaller, and where they lie."""
        n = -(-self.n // PIECE)
        edges = np.linspace(0, self.n, n + 1).astype(int).tolist()
        return [
            (slice(a, b), Grid(self.low + a * self.step, self.low + (b - 1) * self.step, b - a))
            for a, b in pairwise(edges)
        ]


def lay_grid(
    baseline: float, period_min: float, period_max: float | None, samples: float, most: int
) -> Grid:
    """Grid from the longest to the shortest period, or a refusal."""
    check_real("period_min", period_min, above=0)
    check_real("samples_per_peak", samples, at_least=1)
    longest = baseline if period_max is None else period_max
    if not longest > period_min:
        raise invalid("period_max", f"above period_min, {period_min:g} d", f"{longest:g} d")
    low, high = 1 / longest, 1 / period_min
    n = max(int(np.ceil((high - low) * baseline * samples)) + 1, 16)
    if n > most:
        raise invalid(
            "period_min", f"so long that the grid has at most {most} frequencies",
            f"{period_min:g} d over {baseline:.0f} d, which needs {n}",
            "Raise period_min or max_frequencies.",
        )  # fmt: skip
    return Grid(low, high, n)


def compute_pooled_power(series: Series, grid: Grid, n_terms: int = 1) -> np.ndarray:
    """Bands as if they were one, with one mean: exact for one band, and fast for several."""
    nifty = import_extra("nifty_ls", extra="lightcurves")
    error = series.total_error
    power = np.zeros(grid.n)
    if not np.any(series.value):
        return power
    for where, part in grid.split():
        power[where] = nifty.lombscargle(
            series.time, series.value, error, fmin=part.low, fmax=part.high, Nf=part.n,
            nterms=n_terms, nthreads=1,
        ).power  # fmt: skip
    return power


def compute_separate_power(series: Series, grid: Grid, n_terms: int) -> np.ndarray:
    """Every band with harmonics of its own; one with too few steps for them has no power."""
    power, total = np.zeros(grid.n), 0.0
    for band in range(series.n_bands):
        own = series.band == band
        weight = series.total_error[own] ** -2
        value = series.value[own] - np.average(series.value[own], weights=weight)
        scatter = float(weight @ value**2)
        total += scatter
        if own.sum() >= 2 * n_terms + 2 and scatter > 0:
            one = Series(
                series.time[own], value, series.error[own], np.zeros(own.sum(), dtype=np.int64),
                np.arange(own.sum() + 1),
            )  # fmt: skip
            power += scatter * compute_pooled_power(one, grid, n_terms)
    return power / total if total > 0 else power


def compute_shared_power(series: Series, grid: Grid, n_terms: int) -> np.ndarray:
    """All bands with the same harmonics, every band with an offset of its own."""
    weight = series.total_error**-2
    member = (series.band == np.arange(series.n_bands)[:, None]) * weight
    within = member.sum(axis=1)
    value = series.value - ((member @ series.value) / within)[series.band]
    scatter = float(weight @ value**2)
    power = np.zeros(grid.n)
    if scatter == 0:
        return power
    both = np.vstack([weight * value, member])
    for where, part in grid.split():
        sums = np.stack([_transform(series.time, both, part, k + 1) for k in range(n_terms)])
        high = [
            _transform(series.time, weight[None], part, n_terms + k + 1)[0] for k in range(n_terms)
        ]
        total = np.vstack([sums[:, 1:].sum(axis=1), np.stack(high)])
        power[where] = _solve_shared(sums[:, 0], sums[:, 1:], total, within, scatter)
    return power


def _transform(time: np.ndarray, strength: np.ndarray, grid: Grid, order: int) -> np.ndarray:
    """Sums of strength * exp(2 pi i order f time) for every row and frequency of the grid."""
    finufft = import_extra("finufft", extra="lightcurves")
    middle = grid.low + (grid.n // 2) * grid.step
    turned = strength * np.exp(2j * np.pi * ((order * middle * time) % 1.0))
    plan = finufft.Plan(
        1, (grid.n,), n_trans=len(strength), eps=PRECISION, isign=1, dtype="complex128",
        nthreads=1, upsampfac=1.25,
    )  # fmt: skip
    plan.setpts(2 * np.pi * ((order * grid.step * time + 0.5) % 1.0 - 0.5))
    found: np.ndarray = plan.execute(turned)
    return found.reshape(len(strength), grid.n)


@numba.njit(cache=True, nogil=True)
def _solve_shared(
    signal: np.ndarray, member: np.ndarray, total: np.ndarray, within: np.ndarray, scatter: float
) -> np.ndarray:
    """Share of the scatter that shared harmonics take, with the offsets of bands eliminated.

    ``signal`` (n_terms, n) and ``member`` (n_terms, n_bands, n) are sums of weighted values and
    of weights, ``total`` (2 n_terms, n) those of all bands; ``within`` is the weight of a band.
    """
    n_terms, n_bands, n = member.shape
    power = np.empty(n)
    weight = within.sum()
    wave = np.empty((n_bands, 2 * n_terms))
    for at in range(n):
        matrix = np.zeros((2 * n_terms, 2 * n_terms))
        vector = np.empty(2 * n_terms)
        for k in range(n_terms):
            vector[2 * k], vector[2 * k + 1] = signal[k, at].real, signal[k, at].imag
            for b in range(n_bands):
                wave[b, 2 * k] = member[k, b, at].real
                wave[b, 2 * k + 1] = member[k, b, at].imag
            for m in range(k + 1):
                plus = total[k + m + 1, at]
                minus = total[k - m - 1, at] if m < k else complex(weight, 0.0)
                matrix[2 * k, 2 * m] = 0.5 * (minus.real + plus.real)
                matrix[2 * k + 1, 2 * m + 1] = 0.5 * (minus.real - plus.real)
                matrix[2 * k + 1, 2 * m] = 0.5 * (plus.imag + minus.imag)
                matrix[2 * k, 2 * m + 1] = 0.5 * (plus.imag - minus.imag)
        for b in range(n_bands):
            for j in range(2 * n_terms):
                for m in range(j + 1):
                    matrix[j, m] -= wave[b, j] * wave[b, m] / within[b]
        left, _ = solve_normal(matrix, vector, scatter)
        power[at] = 1 - left / scatter
    return power
