"""Light curves as a table of features: statistics, period, shape of the fold, colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from .._validation import check_columns, import_extra, invalid
from ..samples import Samples
from ._fold_features import LEAST, Steps, divide, measure_fold
from .curves import LightCurves
from .periods import find_periods

# Those of the light-curve package that do not depend on the zero point of the time, nor fit.
STATISTICS = (
    "Amplitude", "AndersonDarlingNormal", "BiweightScale", "Chi2Pvar", "Cusum", "Eta", "EtaE",
    "ExcessVariance", "Kurtosis", "LinearTrend", "MaximumSlope", "MedianAbsoluteDeviation",
    "OtsuSplit", "QnScale", "ReducedChi2", "Roms", "Skew", "StandardDeviation", "StetsonK",
)  # fmt: skip
WITH_ARGUMENTS = (
    ("BeyondNStd", 1.0), ("BeyondNStd", 2.0), ("InterPercentileRange", 0.02),
    ("InterPercentileRange", 0.1), ("InterPercentileRange", 0.25),
    ("MagnitudePercentageRatio", 0.4, 0.05), ("MagnitudePercentageRatio", 0.2, 0.05),
    ("MedianBufferRangePercentage", 0.1),
)  # fmt: skip
FLUX_ONLY = ("PercentAmplitude", "PercentDifferenceMagnitudePercentile")
LAGS = np.array([0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000])  # days, upper edges
HOPS = np.unique(np.round(1.5 ** np.arange(18)).astype(int))


def extract_features(
    curves: LightCurves,
    *,
    periods: Table | None = None,
    label: str | None = None,
    groups: str | None = None,
    progress: bool = False,
    **options: Any,
) -> Samples:
    """Compute features of light curves, one row per object.

    Parameters
    ----------
    curves : LightCurves
    periods : Table, optional
        From `find_periods`; searched for with ``options`` where it is not given.
    label : str, optional
        Column of ``curves.objects`` with the class; ``y`` numbers its sorted values, which
        ``meta["classes"]`` holds.
    groups : str, optional
        Column of ``curves.objects`` that says what must not be split; each object is one of its
        own where it is not given.
    progress : bool
        Show a progress bar.
    **options
        Of `find_periods`.

    Returns
    -------
    Samples
        In ``X``, NaN is what cannot be computed: the models of trees take it as it is. Per band:
        statistics of the light-curve package, the mean and the number of steps. Of all bands:
        the period with its power, evidence and dispersion, the ratio to the second candidate,
        and ``lag_...``, how much the light differs between steps up to so many days apart.
        For the period and the best single sine, ``period_...`` and ``peak_...``: amplitudes
        [mag], ratios and phase differences of harmonics; depths [mag], widths and phases of
        eclipses and the light between them, at whichever of the period and twice it has two
        minima; what is left of the variance at a half, once, twice and three times it; and the
        scatter from step to step along the fold. Of several bands: the differences of their
        means and the ratios of their scatters.

    Raises
    ------
    ValueError
        For no light curves, a column that is not there, or values in flux that are not.

    Notes
    -----
    Statistics: Malanchev et al. 2021, doi:10.1093/mnras/stab316. Fourier parameters:
    Simon & Lee 1981, doi:10.1086/159153. Harmonics of the light of an orbit: Rucinski 1993,
    PASP 105, 1433.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> time = np.sort(rng.uniform(0, 50, 80))
    >>> curves = LightCurves.from_columns(name=["a"] * 80, time=time, unit="mag",
    ...     value=15 + np.sin(2 * np.pi * time / 1.7), error=np.full(80, 0.02),
    ...     time_format="mjd", time_scale="utc")
    >>> samples = extract_features(curves)
    >>> column = samples.feature_names.index("log_period")
    >>> round(float(10 ** samples.X[0, column]), 2)
    1.7
    """
    if not len(curves):
        raise invalid("curves", "at least one light curve", "none")
    y, kept, meta = read_labels(curves, label, groups)
    if periods is None:
        periods = find_periods(curves, progress=progress, **options)
    table = tabulate_periods(periods, curves.names.astype(str))
    extractor = _make_extractor(curves.unit)
    rows = [_describe(curves, number, table[number], extractor) for number in range(len(curves))]
    names = tuple(rows[0])
    X = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    X[~np.isfinite(X)] = np.nan
    return Samples(X, y=y, groups=kept, feature_names=names, meta=meta)


def _describe(
    curves: LightCurves, number: int, known: dict[str, float], extractor: Any
) -> dict[str, float]:
    """Return all features of one object."""
    own = slice(curves.offsets[number], curves.offsets[number + 1])
    used = ~curves.mask[own]
    time, value = curves.time[own][used], curves.value[own][used]
    error = None if curves.error is None else curves.error[own][used]
    band = np.zeros(len(time), dtype=int) if curves.band is None else curves.band[own][used]
    steps = Steps.gather(time, value, error, band, is_magnitude=curves.unit == "mag")
    row = known | measure_lags(steps.time, steps.value)
    for kind in ("period", "peak"):  # the decided one, and that of the best single sine
        fold = measure_fold(steps, 10 ** known[f"log_{kind}"])
        row |= {f"{kind}_{key}": v for key, v in fold.items()}
    error = np.ones(len(time)) if error is None else error
    bands = curves.bands or ("",)
    means = []
    for which, name in enumerate(bands):
        here = band == which
        statistics = _measure_band(extractor, time[here], value[here], error[here])
        row |= {f"{key}_{name}".rstrip("_"): v for key, v in statistics.items()}
        means.append((statistics["mean"], statistics["standard_deviation"]))
    for which in range(1, len(bands)):
        pair = f"{bands[which - 1]}_{bands[which]}"
        row[f"colour_{pair}"] = means[which - 1][0] - means[which][0]
        row[f"scatter_ratio_{pair}"] = divide(means[which - 1][1], means[which][1])
    return row


def read_labels(
    curves: LightCurves, label: str | None, groups: str | None
) -> tuple[np.ndarray | None, np.ndarray, dict[str, Any]]:
    """Class numbers, groups and what to say of them, from the columns of the objects."""
    for column in (label, groups):
        if column is not None:
            check_columns(curves.objects.colnames, [column], where="curves.objects")
    y, meta = None, {"unit": curves.unit, "n_masked": curves.n_masked}
    if label is not None:
        classes, y = np.unique(np.asarray(curves.objects[label]).astype(str), return_inverse=True)
        meta["classes"] = classes.tolist()
    return y, curves.names if groups is None else np.asarray(curves.objects[groups]), meta


def tabulate_periods(periods: Table, names: np.ndarray) -> list[dict[str, float]]:
    """What the period search says of each object; NaN for those it has no row of."""
    blank = dict.fromkeys(
        (
            "log_period",
            "power",
            "log_false_alarm",
            "dispersion",
            "evidence_gap",
            "second_ratio",
            "log_peak",
        ),
        np.nan,
    )
    found = {name: dict(blank) for name in names}
    days = periods["period"].to_value("day") if len(periods) else []
    peaks = periods["peak_period"].to_value("day") if len(periods) else []
    for at, row in enumerate(periods):
        name = str(row["name"])
        if name not in found:
            continue
        mine = found[name]
        if row["rank"] == 0:
            p = max(float(row["p_false_alarm"]), 1e-300)
            mine |= {
                "log_period": np.log10(days[at]),
                "log_peak": np.log10(peaks[at]),
                "power": float(row["power"]),
                "log_false_alarm": np.log10(p),
                "dispersion": float(row["dispersion"]),
            }
        elif row["rank"] == 1:
            mine["evidence_gap"] = float(row["log_evidence"])
            mine["second_ratio"] = np.log10(days[at]) - mine["log_period"]
    return [found[name] for name in names]


def _make_extractor(unit: str) -> Any:
    package = import_extra("light_curve", extra="lightcurves")
    parts = [getattr(package, name)() for name in STATISTICS]
    parts += [getattr(package, name)(*arguments) for name, *arguments in WITH_ARGUMENTS]
    if unit != "mag":
        parts += [getattr(package, name)() for name in FLUX_ONLY]
    return package.Extractor(*parts)


def _measure_band(
    extractor: Any, time: np.ndarray, value: np.ndarray, error: np.ndarray
) -> dict[str, float]:
    names = list(extractor.names)
    if len(time) >= LEAST and np.ptp(value) > 0:
        step = np.concatenate([[True], np.diff(time) > 0])  # one value at a time is asked for
        time, value, error = time[step], value[step], error[step]
        with np.errstate(invalid="ignore", divide="ignore"):
            numbers = extractor(
                time - time[0], value, error, sorted=True, check=False, fill_value=np.nan
            )
    else:
        numbers = np.full(len(names), np.nan)
    row = dict(zip(names, np.asarray(numbers, dtype=float).tolist(), strict=True))
    row["mean"] = float(value.mean()) if len(value) else np.nan
    row["n_steps"] = float(len(value))
    row["error_mean"] = float(error.mean()) if len(error) else np.nan
    return row


def measure_lags(time: np.ndarray, value: np.ndarray) -> dict[str, float]:
    """Log of the mean squared difference of steps some time apart, over twice the variance.

    Of pairs 1, 2, 3, ... 985 steps apart, so that the cost rises with the steps and not their
    square.
    """
    total, count = np.zeros(len(LAGS)), np.zeros(len(LAGS))
    for hop in HOPS:
        if hop >= len(time):
            break
        apart = np.searchsorted(LAGS, time[hop:] - time[:-hop], side="right")
        inside = apart < len(LAGS)
        squared = (value[hop:] - value[:-hop]) ** 2
        total += np.bincount(apart[inside], squared[inside], minlength=len(LAGS))
        count += np.bincount(apart[inside], minlength=len(LAGS))
    variance = value.var() if len(value) else 0.0
    known = (count >= LEAST) & (variance > 0)
    ratio = np.divide(total, 2 * count * variance, out=np.full(len(LAGS), np.nan), where=known)
    return {f"lag_{edge:g}": float(v) for edge, v in zip(LAGS, np.log10(ratio + 1e-6), strict=True)}
