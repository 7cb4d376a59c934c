"""Light curves as a table of features: statistics, period, shape of the fold, colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table

from .._validation import check_columns, check_real, import_extra, invalid
from ..samples import Samples
from ._folding import draw_waves, fit_waves, scale_bands, take_medians
from .curves import LightCurves
from .periods import N_TERMS, find_periods

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
N_RATIOS = 4
LEAST = 8


def extract_features(
    curves: LightCurves,
    *,
    periods: Table | None = None,
    label: str | None = None,
    groups: str | None = None,
    n_phases: int = 32,
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
    n_phases : int
        Phases of the folded curve.
    progress : bool
        Show a progress bar.
    **options
        Of `find_periods`.

    Returns
    -------
    Samples
        In ``X``, NaN is what cannot be computed: the models of trees take it as it is. Per band:
        statistics of the light-curve package and the mean. Of all bands: ``log_period``, the
        power, evidence and dispersion at it, the ratio to the second candidate, amplitude
        ratios and phase differences of harmonics, ``fold_0`` ... (the shared harmonics over the
        scatter, from the faintest phase on), what is left of the scatter at the period and at
        twice it, and how the two minima of twice the period differ. Of several bands: the
        differences of their means and the ratios of their scatters.

    Raises
    ------
    ValueError
        For no light curves, a column that is not there, or values in flux that are not.

    Notes
    -----
    Statistics: Malanchev et al. 2021, doi:10.1093/mnras/stab316. Fourier parameters:
    Simon & Lee 1981, doi:10.1086/159153.

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
    >>> round(10 ** samples.X[0, column], 2)
    1.7
    """
    if not len(curves):
        raise invalid("curves", "at least one light curve", "none")
    check_real("n_phases", n_phases, at_least=4)
    y, kept, meta = read_labels(curves, label, groups)
    if periods is None:
        periods = find_periods(curves, progress=progress, **options)
    table = tabulate_periods(periods, curves.names.astype(str))
    bands = curves.bands or ("",)
    extractor = _make_extractor(curves.unit)
    rows: list[dict[str, float]] = []
    for number in range(len(curves)):
        steps = slice(curves.offsets[number], curves.offsets[number + 1])
        used = ~curves.mask[steps]
        time, value = curves.time[steps][used], curves.value[steps][used]
        error = np.ones(len(time)) if curves.error is None else curves.error[steps][used]
        band = np.zeros(len(time), dtype=int) if curves.band is None else curves.band[steps][used]
        row = dict(table[number])
        for kind in ("period", "peak"):  # the decided one, and that of the best single sine
            fold = _measure_fold(time, value, band, 10 ** row[f"log_{kind}"], n_phases)
            row |= {f"{kind}_{key}": v for key, v in fold.items()}
        means = []
        for which, name in enumerate(bands):
            own = band == which
            statistics = _measure_band(extractor, time[own], value[own], error[own])
            row |= {f"{key}_{name}".rstrip("_"): v for key, v in statistics.items()}
            means.append((statistics["mean"], statistics["standard_deviation"]))
        for which in range(1, len(bands)):
            pair = f"{bands[which - 1]}_{bands[which]}"
            row[f"colour_{pair}"] = means[which - 1][0] - means[which][0]
            row[f"scatter_ratio_{pair}"] = _divide(means[which - 1][1], means[which][1])
        rows.append(row)
    names = tuple(rows[0])
    X = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    X[~np.isfinite(X)] = np.nan
    return Samples(X, y=y, groups=kept, feature_names=names, meta=meta)


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


def _measure_fold(
    time: np.ndarray, value: np.ndarray, band: np.ndarray, period: float, n_phases: int
) -> dict[str, float]:
    """Shape of the curve folded at the period and at twice it."""
    names = [f"{kind}_{k}1" for k in range(2, N_RATIOS + 2) for kind in ("ratio", "cos", "sin")]
    names += ["fold_amplitude", "left_period", "left_double", "minima_difference", "asymmetry"]
    names += [f"{kind}_{k}" for kind in ("fold", "median", "double") for k in range(n_phases)]
    names += ["median_skew", "point_to_point", "faint_share", "eclipse_difference", "eclipse_ratio"]
    if len(time) < LEAST or not np.isfinite(period):
        return dict.fromkeys(names, np.nan)
    scaled = scale_bands(value, band)
    time = time - time[0]
    n_terms = int(np.clip((len(time) - 1) // 3, 1, N_TERMS))
    coefficient, left = fit_waves(time, scaled, period, n_terms)
    _, left_double = fit_waves(time, scaled, 2 * period, n_terms)
    order = np.arange(1, n_terms + 1)
    complex_ = coefficient[0] - 1j * coefficient[1]  # amplitude and phase of cos(k x - phase)
    size, phase = np.abs(complex_), -np.angle(complex_)
    row: dict[str, float] = {}
    for k in range(2, N_RATIOS + 2):
        if k > n_terms:
            row |= {f"ratio_{k}1": np.nan, f"cos_{k}1": np.nan, f"sin_{k}1": np.nan}
            continue
        turn = phase[k - 1] - k * phase[0]
        row[f"ratio_{k}1"] = _divide(size[k - 1], size[0])
        row[f"cos_{k}1"], row[f"sin_{k}1"] = np.cos(turn), np.sin(turn)
    grid = 2 * np.pi * np.arange(4 * n_phases) / (4 * n_phases)
    shape = draw_waves(coefficient, order, grid)
    # faintest first, where magnitudes are largest; a flux has its brightest there, consistently
    start = int(np.argmax(shape))
    shape = np.roll(shape, -start)
    row["fold_amplitude"] = float(np.ptp(shape))
    row["left_period"], row["left_double"] = left, left_double
    double = fit_waves(time, scaled, 2 * period, min(2 * n_terms, (len(time) - 1) // 3))[0]
    both = draw_waves(double, np.arange(1, double.shape[1] + 1), np.concatenate([grid, grid]) / 2
                       + np.repeat([0, np.pi], len(grid)))  # fmt: skip
    halves = both.reshape(2, -1)
    row["minima_difference"] = float(abs(halves[0].max() - halves[1].max()))
    row["asymmetry"] = float(np.argmin(shape) / len(shape))
    row |= {f"fold_{k}": float(v) for k, v in enumerate(shape[::4])}
    lead = start / (4 * n_phases)
    row |= _bin_fold(time / period - lead, scaled, n_phases)
    deepest = int(np.argmax(both)) / (4 * n_phases)  # in periods: whichever eclipse is deeper
    row |= _bin_double(time / period - deepest, scaled, n_phases)
    return row


def _bin_fold(turn: np.ndarray, value: np.ndarray, n_phases: int) -> dict[str, float]:
    """Scatter about the fold, and how its steps lie: eclipses too sharp for harmonics show."""
    middle = take_medians(turn % 1, value, n_phases)
    known = middle[np.isfinite(middle)]
    row = {f"median_{k}": float(v) for k, v in enumerate(middle)}
    row["median_skew"] = float(np.mean((known - known.mean()) ** 3) / (known.std() ** 3 or 1.0))
    order = np.argsort(turn % 1, kind="stable")
    row["point_to_point"] = _divide(np.median(np.abs(np.diff(value[order]))), value.std())
    faint = middle - np.nanmedian(middle) > 0.5 * (np.nanmax(middle) - np.nanmedian(middle))
    row["faint_share"] = float(np.mean(faint))
    return row


def _bin_double(turn: np.ndarray, value: np.ndarray, n_phases: int) -> dict[str, float]:
    """Medians over twice the period, and how the two eclipses and the two maxima differ."""
    middle = take_medians((turn / 2) % 1, value, n_phases)
    quarter = max(n_phases // 8, 1)
    near = np.roll(middle, quarter)
    first, second = near[: 2 * quarter], np.roll(middle, quarter + n_phases // 2)[: 2 * quarter]
    with np.errstate(all="ignore"):
        depths = _take_extreme(first), _take_extreme(second)
    row = {f"double_{k}": float(v) for k, v in enumerate(middle)}
    row["eclipse_difference"] = depths[0] - depths[1]
    row["eclipse_ratio"] = _divide(depths[1] - np.nanmin(middle), depths[0] - np.nanmin(middle))
    return row


def _take_extreme(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.nan


def _divide(above: float, below: float) -> float:
    return float(above / below) if below else np.nan
