"""Lomb-Scargle periodograms of one object, of one band or several, and their false alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from .._validation import check_choice, check_real, invalid
from ._periods.power import (
    compute_pooled_power,
    compute_separate_power,
    compute_shared_power,
    lay_grid,
)
from ._periods.series import LEAST, gather_curves, prepare_series
from .curves import LightCurve, LightCurves


@dataclass(frozen=True)
class Periodogram:
    """Lomb-Scargle power of one light curve on an even grid of frequencies.

    Parameters
    ----------
    frequency : ndarray, shape (n_frequencies,)
        Per day.
    power : ndarray, shape (n_frequencies,)
        Share of the weighted variance that harmonics at the frequency take away.
    n_terms : int
        Harmonics of each band, where bands are fitted apart.
    n_steps : int
        Steps that were used, of all bands.
    baseline : float
        Days.
    spread : float
        Standard deviation of the times in days, which the false-alarm probability needs.
    name : str
    n_bands : int
    band_model : {"shared", "separate"}
    """

    frequency: np.ndarray
    power: np.ndarray
    n_terms: int
    n_steps: int
    baseline: float
    spread: float
    name: str = ""
    n_bands: int = 1
    band_model: str = "shared"

    @property
    def best_period(self) -> float:
        """Days, at the highest power."""
        return float(1 / self.frequency[np.argmax(self.power)])

    @property
    def false_alarm_probability(self) -> float:
        """Probability that white noise has a peak as high: `false_alarm_probability`."""
        if self.n_terms != 1 or (self.band_model == "separate" and self.n_bands > 1):
            raise ValueError(
                f"n_terms must be 1 for the false-alarm probability and bands shared, got "
                f"{self.n_terms} and {self.n_bands} bands {self.band_model}. Use "
                "find_periods(n_bootstrap=...), which shuffles the data."
            )
        return float(
            false_alarm_probability(
                self.power.max(), n_steps=self.n_steps, n_bands=self.n_bands,
                spread=self.spread, frequency_max=self.frequency[-1],
            )
        )  # fmt: skip

    def find_peaks(self, n: int = 5) -> np.ndarray:
        """Return the frequencies of the highest local maxima, highest first."""
        inner = self.power[1:-1]
        peaks = np.flatnonzero((inner > self.power[:-2]) & (inner >= self.power[2:])) + 1
        if not len(peaks):
            peaks = np.array([np.argmax(self.power)])
        return self.frequency[peaks[np.argsort(-self.power[peaks], kind="stable")][:n]]

    def __str__(self) -> str:
        return (
            f"{self.name or 'light curve'}: {len(self.frequency)} frequencies to "
            f"{self.frequency[-1]:.4g} per day, highest at {self.best_period:.8g} d "
            f"(power {self.power.max():.3f})"
        )


def false_alarm_probability(
    power: Any, *, n_steps: int, spread: float, frequency_max: float, n_bands: int = 1
) -> Any:
    """Probability that independent Gaussian noise has a one-term peak this high anywhere.

    Baluev 2008, doi:10.1111/j.1365-2966.2008.12689.x, with the mean of each band fitted too: an
    upper limit that is tight where small. It knows nothing of red noise or of noise that several
    bands observed together share; `find_periods` can shuffle the data instead.

    Parameters
    ----------
    power : array_like
        Share of the variance, from 0 to 1.
    n_steps : int
    spread : float
        Standard deviation of the times, in days.
    frequency_max : float
        Highest frequency looked at, per day.
    n_bands : int
        Bands with a mean of their own.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> p = false_alarm_probability([0.1, 0.5], n_steps=100, spread=300.0, frequency_max=5.0)
    >>> p.round(12).tolist()
    [1.0, 9.3e-11]
    """
    power = np.clip(np.asarray(power, dtype=np.float64), 0, 1)
    n_steps = n_steps - (n_bands - 1)  # all that a mean more costs
    freedom = n_steps - 1
    gamma = np.sqrt(2 / freedom) * np.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2))
    width = frequency_max * np.sqrt(4 * np.pi) * spread
    single = (1 - power) ** (0.5 * (n_steps - 3))
    rate = gamma * width * (1 - power) ** (0.5 * (n_steps - 4)) * np.sqrt(0.5 * freedom * power)
    return -np.expm1(np.log1p(-np.minimum(single, 1 - 1e-16)) - rate)


def compute_periodogram(
    curve: LightCurve | LightCurves,
    *,
    period_min: float = 0.1,
    period_max: float | None = None,
    n_terms: int = 1,
    band_model: str = "shared",
    samples_per_peak: float = 5.0,
    max_frequencies: int = 2_000_000,
) -> Periodogram:
    """Lomb-Scargle periodogram of one light curve, of all bands together.

    Bands are brought to one scatter first, so that they add up, and each has an offset of its own.

    Parameters
    ----------
    curve : LightCurve, or LightCurves of one object
    period_min, period_max : float
        Days; ``period_max`` is the baseline where it is not given.
    n_terms : int
        Harmonics.
    band_model : {"shared", "separate"}
        Whether all bands have the same harmonics, or each its own amplitudes and phases: for
        bands whose curves differ in shape, at the price of that many more parameters.
    samples_per_peak : float
        Frequencies in 1 / baseline.
    max_frequencies : int
        A longer grid is refused: it would take more time than anyone expects. Memory is that of
        the result, 16 bytes per frequency, because transforms are done in pieces.

    Returns
    -------
    Periodogram

    Raises
    ------
    ValueError
        For fewer than 8 steps that can be used, a baseline of 0, periods that do not ascend,
        or a grid above ``max_frequencies``.

    Notes
    -----
    Non-uniform fast Fourier transforms of nifty-ls: Garrison et al. 2024,
    doi:10.3847/2515-5172/ad82cd. Bands: VanderPlas & Ivezic 2015,
    doi:10.1088/0004-637X/812/1/18, without their regularisation.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.sort(np.random.default_rng(1).uniform(0, 50, 80))
    >>> curve = LightCurves.from_columns(name=["a"] * 80, time=time, unit="mag",
    ...     value=np.sin(2 * np.pi * time / 1.7), time_format="mjd", time_scale="utc")
    >>> periodogram = compute_periodogram(curve)
    >>> round(periodogram.best_period, 2), bool(periodogram.false_alarm_probability < 1e-30)
    (1.7, True)
    """
    check_real("n_terms", n_terms, at_least=1)
    check_choice("band_model", band_model, ("shared", "separate"))
    curves = gather_curves(curve)
    if len(curves) != 1:
        raise invalid("curve", "one light curve", f"{len(curves)} of them", "Use find_periods.")
    series = prepare_series(curves, 0, period_min)
    least = max(LEAST, 2 * n_terms + 1 + series.n_bands)
    if len(series.time) < least or series.baseline == 0:
        raise ValueError(
            f"curve must have at least {least} steps at different times, "
            f"got {len(series.time)} over {series.baseline:g} days."
        )
    grid = lay_grid(series.baseline, period_min, period_max, samples_per_peak, max_frequencies)
    if series.n_bands == 1:
        power = compute_pooled_power(series, grid, n_terms)
    elif band_model == "shared":
        power = compute_shared_power(series, grid, n_terms)
    else:
        power = compute_separate_power(series, grid, n_terms)
    return Periodogram(
        grid.frequency, power, n_terms, len(series.time), series.baseline,
        float(np.std(series.time)), str(curves.names[0]), series.n_bands, band_model,
    )  # fmt: skip
