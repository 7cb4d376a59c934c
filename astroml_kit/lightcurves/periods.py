"""Periods of irregular, multi-band light curves: found fast, then decided among their aliases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from scipy.special import gammaln

from .._validation import check_real, import_extra, invalid
from .curves import LightCurve, LightCurves

SIDEREAL = 1.002737909  # sidereal days in a day
YEAR = 365.25
N_TERMS = 8
LEAST = 8  # steps
# Harmonic k has a prior scale of SCALE / k**SLOPE of the scatter of its band: the amplitudes of
# the Fourier series of pulsating and eclipsing stars fall about like this. JITTER, in the same
# unit, stands for how bands differ from one shape.
SCALE, SLOPE, JITTER = 0.4, 1.5, 0.2


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
    n_steps : int
        Steps that were used, of all bands.
    baseline : float
        Days.
    spread : float
        Standard deviation of the times in days, which the false-alarm probability needs.
    name : str
    """

    frequency: np.ndarray
    power: np.ndarray
    n_terms: int
    n_steps: int
    baseline: float
    spread: float
    name: str = ""

    @property
    def best_period(self) -> float:
        """Days, at the highest power."""
        return float(1 / self.frequency[np.argmax(self.power)])

    @property
    def false_alarm_probability(self) -> float:
        """Probability that white noise has a peak as high: `false_alarm_probability`."""
        if self.n_terms != 1:
            raise ValueError(
                f"n_terms must be 1 for the false-alarm probability, got {self.n_terms}. Use "
                "find_periods(n_bootstrap=...), which shuffles the data."
            )
        return float(
            false_alarm_probability(
                self.power.max(), n_steps=self.n_steps, spread=self.spread,
                frequency_max=self.frequency[-1],
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
    power: Any, *, n_steps: int, spread: float, frequency_max: float
) -> Any:
    """Probability that independent Gaussian noise has a one-term peak this high anywhere.

    Baluev 2008, doi:10.1111/j.1365-2966.2008.12689.x, with the mean fitted too: an upper limit
    that is tight where small. It knows nothing of red noise, of several bands observed together
    or of the period search having been narrowed; `find_periods` can shuffle the data instead.

    Parameters
    ----------
    power : array_like
        Share of the variance, from 0 to 1.
    n_steps : int
    spread : float
        Standard deviation of the times, in days.
    frequency_max : float
        Highest frequency looked at, per day.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> p = false_alarm_probability([0.1, 0.5], n_steps=100, spread=300.0, frequency_max=5.0)
    >>> p.round(12).tolist()
    [1.0, 3e-12]
    """
    power = np.clip(np.asarray(power, dtype=np.float64), 0, 1)
    freedom = n_steps - 1
    gamma = np.sqrt(2 / freedom) * np.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2))
    width = frequency_max * np.sqrt(4 * np.pi) * spread
    single = (1 - power) ** (0.5 * (n_steps - 3))
    rate = gamma * width * (1 - power) ** (0.5 * (n_steps - 4)) * np.sqrt(0.5 * freedom * power)
    return -np.expm1(np.log1p(-np.minimum(single, 1 - 1e-16)) - rate)


@dataclass(frozen=True)
class _Series:
    """Steps of one object, bands brought to one mean and scatter."""

    time: np.ndarray
    value: np.ndarray
    error: np.ndarray
    band: np.ndarray

    @property
    def baseline(self) -> float:
        return float(np.ptp(self.time)) if len(self.time) else 0.0


def compute_periodogram(
    curve: LightCurve | LightCurves,
    *,
    period_min: float = 0.1,
    period_max: float | None = None,
    n_terms: int = 1,
    samples_per_peak: float = 5.0,
    max_frequencies: int = 2_000_000,
) -> Periodogram:
    """Lomb-Scargle periodogram of one light curve, of all bands together.

    Bands are brought to one mean and scatter first, so that they add up.

    Parameters
    ----------
    curve : LightCurve, or LightCurves of one object
    period_min, period_max : float
        Days; ``period_max`` is the baseline where it is not given.
    n_terms : int
        Harmonics.
    samples_per_peak : float
        Frequencies in 1 / baseline.
    max_frequencies : int
        A longer grid is refused: it would need more time and memory than anyone expects.

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
    doi:10.3847/2515-5172/ad82cd.

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
    curves = _gather(curve)
    if len(curves) != 1:
        raise invalid("curve", "one light curve", f"{len(curves)} of them", "Use find_periods.")
    series = _prepare(curves, 0)
    if len(series.time) < max(LEAST, 2 * n_terms + 2) or series.baseline == 0:
        raise ValueError(
            f"curve must have at least {max(LEAST, 2 * n_terms + 2)} steps at different times, "
            f"got {len(series.time)} over {series.baseline:g} days."
        )
    grid = _lay_grid(series.baseline, period_min, period_max, samples_per_peak, max_frequencies)
    power = _compute_power(series, grid, n_terms)
    return Periodogram(
        np.linspace(*grid[:2], grid[2]), power, n_terms, len(series.time), series.baseline,
        float(np.std(series.time)), str(curves.names[0]),
    )  # fmt: skip


def find_periods(
    curves: LightCurve | LightCurves,
    *,
    period_min: float = 0.1,
    period_max: float | None = None,
    n_candidates: int = 3,
    n_peaks: int = 15,
    samples_per_peak: float = 5.0,
    max_frequencies: int = 2_000_000,
    n_bootstrap: int = 0,
    rng: np.random.Generator | int | None = None,
    progress: bool = False,
) -> QTable:
    """Find the periods of light curves, and say which of them may be aliases.

    The highest peaks of a one-term periodogram of all bands, and half and twice the first of
    their frequencies, are the candidates; the evidence of harmonics that all bands share decides
    among them. A one-term peak alone is often the alias of a day or half of the period of an
    eclipsing star.

    Parameters
    ----------
    curves : LightCurve or LightCurves
    period_min, period_max, samples_per_peak, max_frequencies
        As for `compute_periodogram`.
    n_candidates : int
        Rows per object.
    n_peaks : int
        Peaks of the periodogram to decide among.
    n_bootstrap : int
        Shuffles of each curve for ``p_bootstrap``; steps within half an hour stay together, so
        that bands observed together remain so.
    rng : Generator, int or None
        For the shuffles.
    progress : bool
        Show a progress bar.

    Returns
    -------
    QTable
        Rows by object and rank: ``name``, ``rank`` (0 is the best), ``period``, ``log_evidence``
        (below that of the best one), ``power`` (of one term), ``p_false_alarm``
        (`false_alarm_probability`; before the decision among candidates), ``p_bootstrap`` (where
        asked for), ``dispersion`` (theta of phase-dispersion minimisation in ten bins: 1 for
        noise, near 0 for a clean fold), ``alias``, ``peak_period`` (of the highest one-term peak,
        undecided) and ``n_steps``. ``alias`` is "day", "half",
        "double" or "year" for what is one of rank 0, or for rank 0 itself within a peak's width
        of whole cycles a day; "" otherwise. ``meta["too_short"]`` names objects with fewer than
        8 steps that can be used, which have no rows.

    Notes
    -----
    Shared harmonics: VanderPlas & Ivezic 2015, doi:10.1088/0004-637X/812/1/18; the prior on
    them is Gaussian and falls with the order. Noise of unknown scale is integrated out.
    Dispersion: Stellingwerf 1978, doi:10.1086/156444.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.sort(np.random.default_rng(1).uniform(0, 50, 80))
    >>> curve = LightCurves.from_columns(name=["a"] * 80, time=time, unit="mag",
    ...     value=np.sin(2 * np.pi * time / 1.7) ** 3, time_format="mjd", time_scale="utc")
    >>> periods = find_periods(curve, n_candidates=1)
    >>> round(periods["period"][0].value, 2)
    1.7
    """
    for name, count in (("n_candidates", n_candidates), ("n_peaks", n_peaks)):
        check_real(name, count, at_least=1)
    check_real("n_bootstrap", n_bootstrap, at_least=0)
    curves = _gather(curves)
    rng = np.random.default_rng(rng)
    too_short: list[str] = []
    rows: list[dict[str, Any]] = []
    for number in _count(len(curves), progress):
        series = _prepare(curves, number)
        name = str(curves.names[number])
        if len(series.time) < LEAST or series.baseline == 0:
            too_short.append(name)
            continue
        grid = _lay_grid(series.baseline, period_min, period_max, samples_per_peak, max_frequencies)
        found = _decide(series, grid, n_peaks, n_candidates)
        if n_bootstrap:
            p = _shuffle(series, grid, n_bootstrap, rng)
            found["p_bootstrap"] = np.full(len(found["period"]), p)
        found["name"] = np.full(len(found["period"]), name)
        rows.append(found)
    columns = ("name", "rank", "period", "log_evidence", "power", "p_false_alarm",
               *(("p_bootstrap",) if n_bootstrap else ()),
               "dispersion", "alias", "peak_period", "n_steps")  # fmt: skip
    table = QTable(
        {
            key: np.concatenate([row[key] for row in rows]) if rows else np.zeros(0, KINDS.get(key))
            for key in columns
        }
    )
    for key in ("period", "peak_period"):
        table[key] = table[key] * u.day
    table.meta["too_short"] = too_short
    return table


KINDS: dict[str, Any] = {"name": "U1", "alias": "U6", "rank": int, "n_steps": int}


def _count(n: int, progress: bool) -> Iterator[int]:
    from tqdm import tqdm

    return iter(tqdm(range(n), desc="periods", disable=not progress))


def _gather(curves: LightCurve | LightCurves) -> LightCurves:
    if isinstance(curves, LightCurves):
        return curves
    bands = None if curves.band is None else np.asarray(curves.band)
    return LightCurves.from_columns(
        name=np.full(len(curves), curves.name or "0"), time=curves.time.jd1 - 2_400_000.5
        + curves.time.jd2, value=curves.value.value,
        error=None if curves.error is None else curves.error.value, band=bands, mask=curves.mask,
        unit=curves.value.unit.to_string(), time_format="mjd", time_scale=curves.time.scale,
    )  # fmt: skip


def _prepare(curves: LightCurves, number: int) -> _Series:
    """Used steps with each band centred and scaled by its intrinsic scatter, far outliers out."""
    rows = slice(curves.offsets[number], curves.offsets[number + 1])
    used = ~curves.mask[rows]
    time, value = curves.time[rows][used], curves.value[rows][used].copy()
    error = np.zeros(len(time)) if curves.error is None else curves.error[rows][used].copy()
    band = np.zeros(len(time), dtype=np.int64)
    if curves.band is not None:
        band = np.unique(curves.band[rows][used], return_inverse=True)[1]
    keep = np.ones(len(time), dtype=bool)
    for which in range(band.max() + 1 if len(band) else 0):
        own = band == which
        low, high = np.percentile(value[own], [5, 95])
        reach = 0.5 * (high - low)
        own &= (value >= low - reach) & (value <= high + reach)
        keep[band == which] = own[band == which]
        noise = np.mean(error[own] ** 2)
        variance = value[own].var()
        # errors may be overestimated: at least a part of the scatter is the star's
        scale = np.sqrt(max(variance - noise, 0.04 * variance)) or 1.0
        value[own] = (value[own] - value[own].mean()) / scale
        error[own] /= scale
    time, band = time[keep], band[keep]
    band = np.unique(band, return_inverse=True)[1] if len(band) else band
    start = time.min() if len(time) else 0.0
    return _Series(time - start, value[keep], np.hypot(error[keep], JITTER), band)


def _lay_grid(
    baseline: float, period_min: float, period_max: float | None, samples: float, most: int
) -> tuple[float, float, int]:
    """Lowest and highest frequency, and how many."""
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
    return low, high, n


def _compute_power(series: _Series, grid: tuple[float, float, int], n_terms: int) -> np.ndarray:
    nifty = import_extra("nifty_ls", extra="lightcurves")
    low, high, n = grid
    return nifty.lombscargle(
        series.time, series.value, series.error, fmin=low, fmax=high, Nf=n, nterms=n_terms,
        nthreads=1,
    ).power  # fmt: skip


def _decide(
    series: _Series, grid: tuple[float, float, int], n_peaks: int, n_candidates: int
) -> dict[str, Any]:
    from ._harmonics import fit_harmonics, measure_dispersion

    low, high, n = grid
    power = _compute_power(series, grid, 1)
    axis = np.linspace(low, high, n)
    spread = float(np.std(series.time))
    one = Periodogram(axis, power, 1, len(series.time), series.baseline, spread)
    peaks = one.find_peaks(n_peaks)
    trial = np.concatenate([peaks, peaks[:5] / 2, peaks[:5] * 2])
    trial = trial[(trial >= low) & (trial <= high)]
    n_bands = int(series.band.max()) + 1
    n_terms = int(np.clip((len(series.time) - n_bands) // 3, 1, N_TERMS))
    prior = (np.arange(1, n_terms + 1) ** SLOPE / SCALE) ** 2
    weight = series.error**-2

    def find_cost(frequency: np.ndarray) -> np.ndarray:
        chi_squared, half = fit_harmonics(
            series.time, series.value, weight, series.band, n_bands, frequency.ravel(), prior
        )
        cost = 0.5 * len(series.time) * np.log(np.maximum(chi_squared, 1e-300)) + half
        return cost.reshape(frequency.shape)

    # High harmonics are as many times sharper as their order: look around each peak.
    around = trial[:, None] + np.arange(-3, 4) * (0.08 / series.baseline)
    around = np.clip(around, low, high)
    cost = find_cost(around)
    order = np.argsort(cost.min(axis=1), kind="stable")
    kept: list[float] = []
    for row in order:  # one of those that are the same peak
        best = around[row, np.argmin(cost[row])]
        if all(abs(best - other) > 0.5 / series.baseline for other in kept):
            kept.append(best)
        if len(kept) == n_candidates:
            break
    fine = np.array(kept)[:, None] + np.linspace(-0.06, 0.06, 25) / series.baseline
    fine = np.clip(fine, low, high)
    cost = find_cost(fine)
    frequency = fine[np.arange(len(kept)), np.argmin(cost, axis=1)]
    cost = cost.min(axis=1)
    again = np.argsort(cost, kind="stable")
    frequency, cost = frequency[again], cost[again]
    own = np.interp(frequency, axis, power)
    return {
        "rank": np.arange(len(kept)),
        "period": 1 / frequency,
        "log_evidence": cost[0] - cost,
        "power": own,
        "p_false_alarm": false_alarm_probability(
            own, n_steps=len(series.time), spread=spread, frequency_max=high
        ),
        "dispersion": measure_dispersion(series.time, series.value, frequency, 10),
        "alias": np.array(_name_aliases(frequency, 2 / series.baseline), dtype="U6"),
        "peak_period": np.full(len(kept), 1 / peaks[0]),
        "n_steps": np.full(len(kept), len(series.time)),
    }


def _name_aliases(frequency: np.ndarray, width: float) -> list[str]:
    """What each frequency is to the first; the first, whether it is whole cycles a day."""
    best = frequency[0]
    names = []
    for at, one in enumerate(frequency):
        if at == 0:
            whole = [day * k for day in (1.0, SIDEREAL) for k in range(1, 5)]
            names.append("day" if min(abs(one - w) for w in whole) < width else "")
            continue
        apart = [abs(one - best), one + best]
        if any(abs(a - k * day) < width for a in apart for day in (1, SIDEREAL) for k in (1, 2)):
            names.append("day")
        elif abs(one - 2 * best) < width:
            names.append("half")
        elif abs(one - best / 2) < width:
            names.append("double")
        else:
            names.append("year" if abs(apart[0] - 1 / YEAR) < 0.5 * width else "")
    return names


def _shuffle(
    series: _Series, grid: tuple[float, float, int], n: int, rng: np.random.Generator
) -> float:
    """Share of shuffles with a peak as high, never 0: eq. 2 of Phipson & Smyth 2010."""
    power = _compute_power(series, grid, 1).max()
    order = np.argsort(series.time, kind="stable")
    breaks = np.flatnonzero(np.diff(series.time[order]) > 1 / 48) + 1
    epochs = np.split(order, breaks)
    higher = 0
    for _ in range(n):
        moved = series.time.copy()
        starts = np.array([series.time[epoch[0]] for epoch in epochs])
        for epoch, start in zip(epochs, rng.permutation(starts), strict=True):
            moved[epoch] += start - series.time[epoch[0]]
        sort = np.argsort(moved, kind="stable")
        shuffled = _Series(moved[sort], series.value[sort], series.error[sort], series.band[sort])
        higher += _compute_power(shuffled, grid, 1).max() >= power
    return (higher + 1) / (n + 1)


def join_periods(curves: LightCurves, periods: Table) -> LightCurves:
    """Return light curves whose objects have the columns of the best row of `find_periods`.

    Objects that were too short have NaN as their period.
    """
    best = periods[np.asarray(periods["rank"]) == 0]
    known = set(np.asarray(best["name"]).astype(str))
    lost = [name for name in curves.names.astype(str) if name not in known]
    columns = ["name", "period", "p_false_alarm", "dispersion"]
    table = QTable(best[columns])
    if lost:
        nan = np.full(len(lost), np.nan)
        rest = QTable({"name": lost, "period": nan * table["period"].unit,
                       "p_false_alarm": nan, "dispersion": nan})  # fmt: skip
        table = vstack([table, rest])
    return curves.add_columns(table)
