"""Light curves as what networks read: their steps, or one cycle of them, folded."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from .._validation import check_real, invalid
from ..samples import Samples
from ._fold_features import LEAST
from ._folding import fill_phases, find_faintest, scale_bands, take_medians
from .curves import LightCurves
from .features import extract_features, read_labels, tabulate_periods
from .periods import N_TERMS, find_periods

SCALARS = ("log_period", "log_scatter", "noise_ratio", "dispersion", "second_ratio")


def extract_sequences(
    curves: LightCurves,
    *,
    label: str | None = None,
    groups: str | None = None,
    n_steps: int | None = None,
    scaled: bool = False,
    rng: np.random.Generator | int | None = None,
) -> Samples:
    """Give the steps of light curves to networks.

    As they are, a variable of 15 mag and one of 9 mag with the same shape have little in common,
    and amplitudes of 0.1 mag vanish among those of Miras. ``scaled=True`` separates the shape
    from how bright an object is and how much it varies.

    Parameters
    ----------
    curves : LightCurves
    label, groups : str, optional
        As for `extract_features`.
    n_steps : int, optional
        Longer curves lose steps drawn at random down to this many, in time order.
    scaled : bool
        Give values less their median, in units of their scatter, and the error as the log of its
        share of the scatter; then the log of the scatter and the median, at all steps. Median and
        scatter (standard deviation) are those of all usable steps of the object in the band; the
        scatter of values that are all the same counts as 1.
    rng : Generator, int or None
        For what is drawn.

    Returns
    -------
    Samples
        ``X`` of shape (n_objects, n_steps, n_columns) with NaN after the end of each; columns
        are time since the first step [d], value, error and band, as ``meta["columns"]`` names
        those there are. `SequenceClassifier` takes ``time_column=0``, ``error_columns=(2,)``
        and ``band_column=3``, and itself turns times into intervals. Objects without a step that
        can be used are left out, and ``meta["left_out"]`` names them.

    Raises
    ------
    ValueError
        For no light curve with a step, or a column that is not there.

    Examples
    --------
    >>> curves = LightCurves.from_columns(name=["a", "a", "b"], time=[3.0, 1.0, 7.0],
    ...     value=[14.2, 14.0, 12.0], unit="mag", time_format="mjd", time_scale="utc")
    >>> extract_sequences(curves).X[0].tolist()
    [[0.0, 14.0], [2.0, 14.2]]
    >>> scaled = extract_sequences(curves, scaled=True)
    >>> scaled.meta["columns"], scaled.X[0].round(3).tolist()
    (['time', 'value', 'log_scatter', 'median'], [[0.0, -1.0, -1.0, 14.1], [2.0, 1.0, -1.0, 14.1]])
    """
    if n_steps is not None:
        check_real("n_steps", n_steps, at_least=1)
    rng = np.random.default_rng(rng)
    rows, kept, left_out = [], [], []
    for number in range(len(curves)):
        steps = np.arange(curves.offsets[number], curves.offsets[number + 1])
        steps = steps[~curves.mask[steps]]
        if not len(steps):
            left_out.append(str(curves.names[number]))
            continue
        columns = _scale(curves, steps) if scaled else _list_columns(curves, steps)
        if n_steps is not None and len(steps) > n_steps:
            drawn = np.sort(rng.choice(len(steps), int(n_steps), replace=False))
            columns = {name: column[drawn] for name, column in columns.items()}
        columns["time"] = columns["time"] - columns["time"][0]
        rows.append(np.column_stack(list(columns.values())))
        kept.append(number)
    if not rows:
        raise invalid("curves", "at least one light curve with a step", str(curves))
    X = np.full((len(rows), max(map(len, rows)), rows[0].shape[1]), np.nan)
    for row, steps in zip(X, rows, strict=True):
        row[: len(steps)] = steps
    y, own, meta = read_labels(curves.select(kept), label, groups)
    meta |= {"columns": list(columns), "left_out": left_out, "bands": curves.bands}
    return Samples(X, y=y, groups=own, meta=meta)


def extract_phase_curves(
    curves: LightCurves,
    *,
    periods: Table | None = None,
    label: str | None = None,
    groups: str | None = None,
    n_phases: int = 64,
    progress: bool = False,
    **options: Any,
) -> Samples:
    """Fold light curves, align them and bin them in phase, for networks.

    Twice the period is folded as well: an eclipsing star whose period was taken for half of what
    it is shows its two minima there.

    Parameters
    ----------
    curves : LightCurves
    periods, label, groups, progress, **options
        As for `extract_features`.
    n_phases : int
        Bins of phase.

    Returns
    -------
    Samples
        ``X`` of shape (n_objects, n_phases, n_columns), phase 0 where the object is faintest.
        Columns, named in ``meta["columns"]``: per band medians of the fold at the period and at
        twice it, in units of the object's largest scatter of any band; then what is the same at
        all phases: log period, log scatter, noise over scatter, dispersion and the ratio of the
        second period to the first. `SequenceClassifier` takes it with ``time_column=None``.
        Objects without a period have zeros.

    Raises
    ------
    ValueError
        For no light curves or a column that is not there.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> time = np.sort(rng.uniform(0, 50, 200))
    >>> curves = LightCurves.from_columns(name=["a"] * 200, time=time, unit="mag",
    ...     value=15 + np.sin(2 * np.pi * time / 1.7), time_format="mjd", time_scale="utc")
    >>> samples = extract_phase_curves(curves)
    >>> samples.X.shape, int(np.argmin(samples.X[0, :, 0]))
    ((1, 64, 7), 32)
    """
    if not len(curves):
        raise invalid("curves", "at least one light curve", "none")
    check_real("n_phases", n_phases, at_least=4)
    y, kept, meta = read_labels(curves, label, groups)
    if periods is None:
        periods = find_periods(curves, progress=progress, **options)
    known = tabulate_periods(periods, curves.names.astype(str))
    bands = curves.bands or ("",)
    X = np.zeros((len(curves), n_phases, 2 * len(bands) + len(SCALARS)))
    for number in range(len(curves)):
        steps = slice(curves.offsets[number], curves.offsets[number + 1])
        used = ~curves.mask[steps]
        time, value = curves.time[steps][used], curves.value[steps][used]
        if len(time) < LEAST or not np.isfinite(known[number]["log_period"]):
            continue
        error = np.zeros(len(time)) if curves.error is None else curves.error[steps][used]
        band = np.zeros(len(time), dtype=int) if curves.band is None else curves.band[steps][used]
        X[number] = _fold(
            time - time[0], value, error, band, known[number], n_phases, len(bands),
            is_magnitude=curves.unit == "mag",
        )  # fmt: skip
    meta["columns"] = [f"{kind}_{band}".rstrip("_") for band in bands
                       for kind in ("period", "double")] + list(SCALARS)  # fmt: skip
    return Samples(X, y=y, groups=kept, meta=meta)


def extract_hybrid(
    curves: LightCurves,
    *,
    periods: Table | None = None,
    label: str | None = None,
    groups: str | None = None,
    n_phases: int = 64,
    progress: bool = False,
    **options: Any,
) -> Samples:
    """Lay the features and the folds of light curves side by side, for `HybridClassifier`.

    Parameters
    ----------
    curves, periods, label, groups, n_phases, progress, **options
        As for `extract_features` and `extract_phase_curves`.

    Returns
    -------
    Samples
        Rows hold the features and then the fold, phase by phase; ``meta["sequence_shape"]`` is
        (phases, columns), which `HybridClassifier` takes.

    Raises
    ------
    ValueError
        For no light curves or a column that is not there.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> samples = extract_hybrid(simulate_lightcurves("rr-ab", n=2, random_state=1), n_phases=8)
    >>> samples.meta["sequence_shape"], samples.feature_names[-7]
    ((8, 7), 'period_V_7')
    """
    if periods is None and len(curves):
        periods = find_periods(curves, progress=progress, **options)
    table = extract_features(curves, periods=periods, label=label, groups=groups)
    folds = extract_phase_curves(curves, periods=periods, n_phases=n_phases)
    names = [f"{column}_{k}" for k in range(n_phases) for column in folds.meta["columns"]]
    return Samples(
        np.column_stack([table.X, folds.X.reshape(len(folds), -1)]),
        y=table.y, groups=table.groups, feature_names=(*table.feature_names, *names),
        meta=dict(table.meta)
        | {"sequence_shape": folds.X.shape[1:], "columns": folds.meta["columns"]},
    )  # fmt: skip


def _list_columns(curves: LightCurves, steps: np.ndarray) -> dict[str, np.ndarray]:
    columns = {"time": curves.time[steps], "value": curves.value[steps]}
    if curves.error is not None:
        columns["error"] = curves.error[steps]
    if curves.band is not None:
        columns["band"] = curves.band[steps]
    return columns


def _scale(curves: LightCurves, steps: np.ndarray) -> dict[str, np.ndarray]:
    value = curves.value[steps]
    band = np.zeros(len(steps), dtype=int) if curves.band is None else curves.band[steps]
    median, scatter = np.empty(len(steps)), np.empty(len(steps))
    for which in np.unique(band):
        own = band == which
        median[own] = np.median(value[own])
        # the standard deviation of equal values is not always 0
        scatter[own] = value[own].std() if np.ptp(value[own]) else 1.0
    columns = {"time": curves.time[steps], "value": (value - median) / scatter}
    if curves.error is not None:
        columns["log_noise"] = np.log10(curves.error[steps] / scatter)
    columns |= {"log_scatter": np.log10(scatter), "median": median}
    if curves.band is not None:
        columns["band"] = band
    return columns


def _fold(
    time: np.ndarray, value: np.ndarray, error: np.ndarray, band: np.ndarray,
    known: dict[str, float], n_phases: int, n_bands: int, *, is_magnitude: bool,
) -> np.ndarray:  # fmt: skip
    period = 10 ** known["log_period"]
    scaled = scale_bands(value, band) * (1 if is_magnitude else -1)  # fainter upwards
    n_terms = int(np.clip((len(time) - 1) // 3, 1, N_TERMS))
    turn = time / period - find_faintest(time, scaled, period, n_terms)
    double = time / (2 * period)
    double = double - find_faintest(time, scaled, 2 * period, min(2 * n_terms, len(time) // 3))
    columns = []
    scatters = [value[band == which].std() for which in range(n_bands) if np.any(band == which)]
    largest = max(scatters) or 1.0
    for which in range(n_bands):
        own = band == which
        middle = np.median(value[own]) if own.any() else 0.0
        for phase in (turn, double):
            binned = np.full(n_phases, np.nan)
            if own.any():
                binned = take_medians(phase[own] % 1, (value[own] - middle) / largest, n_phases)
            columns.append(fill_phases(binned))
    scalars = (
        known["log_period"], np.log10(largest), np.mean(error) / largest, known["dispersion"],
        known["second_ratio"],
    )  # fmt: skip
    columns += [np.full(n_phases, scalar if np.isfinite(scalar) else 0.0) for scalar in scalars]
    return np.column_stack(columns)
