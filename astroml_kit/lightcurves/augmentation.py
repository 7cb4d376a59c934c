"""More light curves of the same objects: fewer steps, more noise, another cadence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table

from .._validation import check_columns, check_real, import_extra, invalid
from .curves import LightCurves

LEAST = 8  # steps in a band to draw it anew
N_SCALES = 10  # lengths of correlation to choose among
MARGIN = 0.25  # of a cycle, repeated at either end of a fold


def resample_lightcurves(
    curves: LightCurves,
    *,
    n_copies: int = 1,
    keep: tuple[float, float] = (0.5, 0.9),
    window: tuple[float, float] = (1.0, 1.0),
    rng: np.random.Generator | int | None = None,
) -> LightCurves:
    """Copy light curves with steps left out, as a shorter or sparser survey would see them.

    Parameters
    ----------
    curves : LightCurves
    n_copies : int
        Copies of each object; the originals are not among them.
    keep : (float, float)
        Range of the share of steps that a copy keeps, drawn for each copy and then step by step.
    window : (float, float)
        Range of the share of the baseline that a copy keeps in one piece, wherever it begins.
    rng : Generator, int or None

    Returns
    -------
    LightCurves
        Named "<name>#1" and so on. ``objects`` has all columns of the originals and ``origin``,
        the name of the original (of the first one, for copies of copies): give it as ``groups``
        to what splits, so that a copy is never on the other side.

    Raises
    ------
    ValueError
        For ranges that do not ascend within (0, 1], or fewer than one copy.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curves = simulate_lightcurves("rr-ab", n=2, random_state=1)
    >>> copies = resample_lightcurves(curves, n_copies=2, keep=(0.5, 0.6), rng=1)
    >>> len(copies), bool(len(copies.time) < 1.3 * len(curves.time))
    (4, True)
    >>> copies.objects["origin"].tolist() == curves.names.tolist() * 2
    True
    """
    for name, span in (("keep", keep), ("window", window)):
        check_real(name, span, above=0, at_most=1)
        if len(span) != 2 or span[0] > span[1]:
            raise invalid(name, "(low, high) with low <= high", str(span))
    rng = np.random.default_rng(rng)
    copies = _copy(curves, n_copies)
    kept = np.zeros(len(copies.time), dtype=bool)
    for steps in _list_steps(copies):
        time = copies.time[steps]
        if not len(time):
            continue
        baseline = time[-1] - time[0]
        length = rng.uniform(*window) * baseline
        start = time[0] + rng.uniform(0, 1) * (baseline - length)
        inside = (time >= start) & (time <= start + length)
        kept[steps] = inside & (rng.random(len(time)) < rng.uniform(*keep))
    return _take_steps(copies, kept)


def add_noise(
    curves: LightCurves,
    *,
    n_copies: int = 1,
    scale: float = 1.0,
    rng: np.random.Generator | int | None = None,
) -> LightCurves:
    """Copy light curves with Gaussian noise added, in proportion to their errors.

    Parameters
    ----------
    curves : LightCurves
        With errors.
    n_copies : int
        Copies of each object.
    scale : float
        Of the noise, in errors. The errors of the copies grow to match: by the square root of
        1 + ``scale``**2.
    rng : Generator, int or None

    Returns
    -------
    LightCurves
        Named and labelled as those of `resample_lightcurves`; masked steps are as they were.

    Raises
    ------
    ValueError
        For curves without errors, a negative scale, or fewer than one copy.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curves = simulate_lightcurves("rr-ab", n=2, random_state=1)
    >>> copies = add_noise(curves, scale=1.0, rng=1)
    >>> bool(np.allclose(copies.error, np.sqrt(2) * curves.error))
    True
    """
    check_real("scale", scale, at_least=0)
    _check_errors(curves)
    rng = np.random.default_rng(rng)
    copies = _copy(curves, n_copies)
    assert copies.error is not None
    used = ~copies.mask
    value, error = copies.value.copy(), copies.error.copy()
    value[used] += scale * error[used] * rng.normal(size=int(used.sum()))
    error[used] *= np.sqrt(1 + scale**2)
    return replace(copies, value=value, error=error)


def redraw_lightcurves(
    curves: LightCurves,
    *,
    n_copies: int = 1,
    periods: Table | None = None,
    cadence: LightCurves | None = None,
    rng: np.random.Generator | int | None = None,
) -> LightCurves:
    """Draw light curves anew from Gaussian processes through them, at the times of another.

    Parameters
    ----------
    curves : LightCurves
        With errors.
    n_copies : int
        Copies of each object.
    periods : Table, optional
        From `find_periods`. An object that has a period there is drawn over its phase, any other
        one over time.
    cadence : LightCurves, optional
        Whose times and bands are copied, of an object drawn at random for each copy, moved to
        begin where the original does; ``curves`` where it is not given.
    rng : Generator, int or None

    Returns
    -------
    LightCurves
        Named and labelled as those of `resample_lightcurves`. Values are the mean of the process
        with noise; errors are those of the original, drawn at random, and the uncertainty of the
        process on top. Over time no step is drawn outside of what the original covers. Bands
        with fewer than 8 steps that can be used are not drawn; ``objects["n_drawn"]`` says how
        many steps a copy has, which may be none.

    Raises
    ------
    ValueError
        For curves without errors, a cadence in other bands, or fewer than one copy.

    Notes
    -----
    After Avocado (Boone 2019, doi:10.3847/1538-3881/ab5182), here with each band on its own: a
    Matern-3/2 kernel whose length is the most likely of ten. Linear algebra: celerite2
    (Foreman-Mackey 2018, doi:10.3847/2515-5172/aaaf6c).

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curves = simulate_lightcurves("mira", n=2, random_state=1)
    >>> copies = redraw_lightcurves(curves, n_copies=2, rng=1)
    >>> len(copies), bool(abs(copies.value.mean() - curves.value.mean()) < 1)
    (4, True)
    """
    _check_errors(curves)
    assert curves.error is not None
    cadence = curves if cadence is None else cadence
    if cadence.bands != curves.bands:
        raise invalid("cadence", f"in the bands of curves, {curves.bands}", str(cadence.bands))
    rng = np.random.default_rng(rng)
    known = _read_periods(periods)
    copies = _copy(curves, n_copies)
    parts: list[tuple[np.ndarray, ...]] = []
    processes: dict[int, list[_Process | None]] = {}
    for number in range(len(copies)):
        own = number % len(curves)
        if own not in processes:
            processes[own] = _fit_bands(curves, own, known.get(str(curves.names[own])))
        parts.append(_draw(processes[own], curves, own, cadence, rng))
    n_drawn = [len(part[0]) for part in parts]
    objects = copies.objects.copy()
    objects["n_drawn"] = n_drawn
    time, value, error, band = (np.concatenate(column) for column in zip(*parts, strict=True))
    return replace(
        copies, time=time, value=value, error=error, mask=np.zeros(len(time), dtype=bool),
        band=None if curves.band is None else band.astype(curves.band.dtype),
        offsets=np.concatenate([[0], np.cumsum(n_drawn)]), objects=objects, limit=None,
    )  # fmt: skip


@dataclass(frozen=True)
class _Process:
    """One band: the steps it goes through, over time or phase, and its kernel."""

    period: float | None
    start: float
    end: float
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray
    own_error: np.ndarray
    length: float

    @classmethod
    def fit(
        cls, time: np.ndarray, y: np.ndarray, error: np.ndarray, period: float | None
    ) -> _Process:
        """Choose the length of correlation by its likelihood."""
        x, start, end, own = time, float(time[0]), float(time[-1]), error
        if period is not None:
            x = (time / period) % 1
            before, after = x > 1 - MARGIN, x < MARGIN
            x = np.concatenate([x, x[before] - 1, x[after] + 1])
            y, error = (np.concatenate([v, v[before], v[after]]) for v in (y, error))
        order = np.argsort(x, kind="stable")
        x, y, error = x[order], y[order], error[order]
        one = cls(period, start, end, x, y, error, own, 1.0)
        longest = 0.5 * max(float(np.ptp(x)), 1e-6)
        lengths = longest * np.geomspace(0.01, 1, N_SCALES)
        likely = [replace(one, length=length)._build().log_likelihood(y) for length in lengths]
        return replace(one, length=float(lengths[np.argmax(likely)]))

    def _build(self) -> Any:
        celerite2 = import_extra("celerite2", extra="lightcurves")
        variance = self.y.var()
        sigma = np.sqrt(max(variance - np.mean(self.error**2), 0.04 * variance, 1e-30))
        process = celerite2.GaussianProcess(
            celerite2.terms.Matern32Term(sigma=sigma, rho=self.length), mean=self.y.mean()
        )
        process.compute(self.x, diag=self.error**2)
        return process

    def predict(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance at times, in any order."""
        x = time if self.period is None else (time / self.period) % 1
        order = np.argsort(x, kind="stable")
        mean, variance = self._build().predict(self.y, t=x[order], return_var=True)
        back = np.argsort(order, kind="stable")
        return mean[back], np.maximum(variance[back], 0)


def _fit_bands(curves: LightCurves, number: int, period: float | None) -> list[_Process | None]:
    """One process per band, None where there are too few steps."""
    steps = slice(curves.offsets[number], curves.offsets[number + 1])
    assert curves.error is not None
    found: list[_Process | None] = []
    for which in range(max(len(curves.bands), 1)):
        own = ~curves.mask[steps]
        if curves.band is not None:
            own &= curves.band[steps] == which
        time, value, error = (
            column[steps][own] for column in (curves.time, curves.value, curves.error)
        )
        enough = len(time) >= LEAST and np.ptp(time) > 0
        found.append(_Process.fit(time, value, error, period) if enough else None)
    return found


def _draw(
    processes: list[_Process | None], curves: LightCurves, number: int, cadence: LightCurves,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:  # fmt: skip
    """Times, values, errors and bands of one copy."""
    other = int(rng.integers(len(cadence)))
    steps = slice(cadence.offsets[other], cadence.offsets[other + 1])
    time = cadence.time[steps]
    own = curves.time[curves.offsets[number] : curves.offsets[number + 1]]
    if len(time) and len(own):
        time = time - time[0] + own[0]
    band = np.zeros(len(time), dtype=int) if cadence.band is None else cadence.band[steps]
    value, error = np.full(len(time), np.nan), np.full(len(time), np.nan)
    for which, process in enumerate(processes):
        if process is None:
            continue
        here = band == which
        if process.period is None:
            here &= (time >= process.start) & (time <= process.end)
        if not here.any():
            continue
        mean, variance = process.predict(time[here])
        error[here] = np.sqrt(rng.choice(process.own_error, int(here.sum())) ** 2 + variance)
        value[here] = mean + error[here] * rng.normal(size=int(here.sum()))
    drawn = np.isfinite(value)
    return time[drawn], value[drawn], error[drawn], band[drawn]


def _read_periods(periods: Table | None) -> dict[str, float]:
    if periods is None:
        return {}
    check_columns(periods.colnames, ("name", "rank", "period"), where="periods")
    best = periods[np.asarray(periods["rank"]) == 0]
    days = best["period"].to_value("day") if len(best) else []
    return {str(n): float(d) for n, d in zip(best["name"], days, strict=True) if np.isfinite(d)}


def _check_errors(curves: LightCurves) -> None:
    if curves.error is None:
        raise ValueError(
            "curves must have errors, got none. Noise is drawn in proportion to them: give "
            "error=... to from_columns."
        )


def _copy(curves: LightCurves, n_copies: int) -> LightCurves:
    """All objects again and again, renamed, with the column ``origin``."""
    check_real("n_copies", n_copies, at_least=1)
    n_copies = int(n_copies)
    copies = curves.select(np.tile(np.arange(len(curves)), n_copies))
    objects = copies.objects.copy()
    names = curves.names.astype(str)
    origin = curves.objects["origin"] if "origin" in curves.objects.colnames else names
    objects["origin"] = np.tile(np.asarray(origin).astype(str), n_copies)
    objects["name"] = [f"{name}#{copy + 1}" for copy in range(n_copies) for name in names]
    return replace(copies, objects=objects)


def _list_steps(curves: LightCurves) -> Iterator[slice]:
    return (slice(*pair) for pair in zip(curves.offsets[:-1], curves.offsets[1:], strict=True))


def _take_steps(curves: LightCurves, kept: np.ndarray) -> LightCurves:
    """Return the light curves with some of their steps."""
    offsets = np.concatenate([[0], np.cumsum(kept)])[curves.offsets]
    error, band, limit = (
        None if part is None else part[kept] for part in (curves.error, curves.band, curves.limit)
    )
    return replace(
        curves, time=curves.time[kept], value=curves.value[kept], mask=curves.mask[kept],
        error=error, band=band, limit=limit, offsets=offsets,
    )  # fmt: skip
