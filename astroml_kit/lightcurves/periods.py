"""Periods of irregular, multi-band light curves: found fast, then decided among their aliases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack

from .._validation import check_real
from ._periods.arbitration import N_TERMS as N_TERMS  # the folding shares these two
from ._periods.arbitration import SLOPE as SLOPE
from ._periods.arbitration import decide_period, shuffle_series
from ._periods.power import lay_grid
from ._periods.series import LEAST, gather_curves, prepare_series
from .curves import LightCurve, LightCurves


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
        Shuffles of each curve for ``p_bootstrap``; steps of one moment (see the notes) stay
        together, so that bands observed together remain so.
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
    them is Gaussian and falls with the order. Summed over: three such priors, the scale of the
    noise, and how much of it all bands of one moment (half an hour at most, a fifth of
    ``period_min`` if that is shorter) have in common, as stars change from cycle to cycle.
    Dispersion: Stellingwerf 1978, doi:10.1086/156444.

    Examples
    --------
    >>> import numpy as np
    >>> time = np.sort(np.random.default_rng(1).uniform(0, 50, 80))
    >>> curve = LightCurves.from_columns(name=["a"] * 80, time=time, unit="mag",
    ...     value=np.sin(2 * np.pi * time / 1.7) ** 3, time_format="mjd", time_scale="utc")
    >>> periods = find_periods(curve, n_candidates=1)
    >>> round(float(periods["period"][0].value), 2)
    1.7
    """
    for name, count in (("n_candidates", n_candidates), ("n_peaks", n_peaks)):
        check_real(name, count, at_least=1)
    check_real("n_bootstrap", n_bootstrap, at_least=0)
    curves = gather_curves(curves)
    rng = np.random.default_rng(rng)
    too_short: list[str] = []
    rows: list[dict[str, Any]] = []
    for number in _count(len(curves), progress):
        series = prepare_series(curves, number, period_min)
        name = str(curves.names[number])
        if len(series.time) < LEAST or series.baseline == 0:
            too_short.append(name)
            continue
        grid = lay_grid(series.baseline, period_min, period_max, samples_per_peak, max_frequencies)
        found = decide_period(series, grid, n_peaks, n_candidates)
        if n_bootstrap:
            p = shuffle_series(series, grid, n_bootstrap, rng)
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
