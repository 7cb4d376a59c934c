"""Forecasts of one light curve with honest intervals, and what they were worth in the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, vstack
from astropy.time import Time

from .._validation import check_choice, check_real, invalid
from ..models import Forecast
from ._forecasting.inputs import Covariates, prepare_steps
from ._forecasting.rolling import (
    Horizons,
    blend,
    find_first,
    fit_past,
    list_members,
    roll_forecasts,
)
from ._forecasting.scores import check_levels, find_deviates
from ._forecasting.state_space import MISSING
from ._forecasting.tables import (
    STATISTICS,
    compare_rows,
    find_residuals,
    group_rows,
    name_level,
    score_rows,
    tabulate_rows,
)
from .curves import LightCurve

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
WARM_UP = 0.5  # of the steps before the test, after which residuals are collected


@dataclass(frozen=True, eq=False)
class CurveForecast:
    """What a light curve will be at each of some times.

    Parameters
    ----------
    method : str
    time : `~astropy.time.Time`, shape (n_ahead,)
    distribution : Forecast
        Of one series: log10 of the flux in ``unit``, or magnitudes; its times are MJD in the
        scale of ``time``.
    unit : `~astropy.units.UnitBase`
    n_used, n_limits, n_masked : int
        Steps that it was learned from, limits among them, and steps left out.
    """

    method: str
    time: Time
    distribution: Forecast
    unit: u.UnitBase
    n_used: int
    n_limits: int
    n_masked: int

    def __str__(self) -> str:
        text = f"forecast by {self.method} of {len(self.time)} times from {self.n_used} steps"
        if self.n_limits:
            text += f", {self.n_limits} of them limits"
        return text + (f"; {self.n_masked} masked" if self.n_masked else "")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "method": self.method, "mjd": self.time.mjd.tolist(), "scale": self.time.scale,
            "unit": str(self.unit), "distribution": self.distribution.to_dict(),
            "n_used": self.n_used, "n_limits": self.n_limits, "n_masked": self.n_masked,
        }  # fmt: skip

    def compute_quantiles(self, levels: Any) -> u.Quantity:
        """Return flux or magnitude that the truth is below with probability ``levels``.

        Shape (n_ahead,), or (n_levels, n_ahead) for several levels.
        """
        value = self.distribution.compute_quantiles(levels)[..., 0, :]
        return value * self.unit if self.unit == u.mag else 10**value * self.unit

    def to_table(self) -> QTable:
        """Return one row per time: time and the quantiles, named ``q05`` and so on."""
        table = QTable({"time": self.time})
        for level in self.distribution.levels:
            table[name_level(level)] = self.compute_quantiles(level)
        table.meta.update(method=self.method, n_masked=self.n_masked, n_limits=self.n_limits)
        return table


def forecast_lightcurve(
    curve: LightCurve,
    *,
    horizons: Any,
    method: str = "gp",
    limits: str = "censored",
    covariates: Covariates | None = None,
    others: Iterable[LightCurve] = (),
    quantiles: Sequence[float] = LEVELS,
    network: Mapping[str, Any] | None = None,
    rng: np.random.Generator | int | None = None,
) -> CurveForecast:
    """Say what would be measured next, with quantiles calibrated on the curve's own past.

    Fluxes are forecast as their logarithm, magnitudes as they are. The quantiles are those of
    what was measured in the past, in units of the scatter that the method had predicted, as
    `evaluate_forecast` finds them.

    Parameters
    ----------
    curve : LightCurve
        One band, in time order; flux above 0. Masked steps are left out and counted, but for
        upper limits.
    horizons : int, array_like of int or Quantity
        How far ahead of the last step: in steps of the typical interval, or times; ascending.
    method : {"gp", "drw", "autoregressive", "lstm", "persistence", "blend"}
        "drw" is a damped random walk, "gp" the sum of two with different times; "autoregressive"
        regresses on 1, 2 or 4 steps of a regular grid and passes over its gaps; "lstm" is a
        network that has learned from curves drawn from "gp"; "persistence" says the last
        measurement; "blend" averages "gp", "autoregressive" and "lstm".
    limits : {"censored", "value", "drop"}
        Upper limits are known to be above what was measured, by what ``limit_confidence`` in the
        curve's ``meta`` says, if it is there; or are taken for measurements; or are left out. The
        two last ones bias what is fainter than the limits upward. Persistence has no use for a
        limit and, unless "value", repeats the last measurement.
    covariates : callable, optional
        Takes `~astropy.time.Time`, returns an array of shape (n,) or (n, n_covariates): what is
        known in advance and may add to the logarithm, such as
        ``lambda time: measure_solar_proximity(time, position=...)``. It counts where the past is
        more probable with it.
    others : LightCurves or iterable of LightCurve
        Sources of the same kind, one band each, that networks learn from as well: what they had
        shown by then.
    quantiles : sequence of float
        Ascending levels, two or more.
    network : mapping, optional
        Parameters of `SequenceForecaster` other than the default ones, and ``n_curves`` to draw.
    rng : Generator, int or None
        For the network.

    Returns
    -------
    CurveForecast

    Raises
    ------
    ValueError
        For a horizon that is not in the future, fewer than 20 steps, times out of order, several
        bands, or a flux that has no logarithm.

    Notes
    -----
    Limits are taken in one by one, the state keeping mean and variance of what is left of it
    (Allik et al. 2016, doi:10.1109/TCST.2015.2432155). The error of a measurement is taken at
    the flux that earlier steps let expect where the past is more probable so: relative errors
    are larger where noise was negative, and would make everything brighter. Damped random walks:
    Kelly et al. 2009, doi:10.1088/0004-637X/698/1/895.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curve = simulate_lightcurves("agn", n=1, survey="ztf", random_state=4)[0]
    >>> curve = curve.select(curve.band == "g")
    >>> forecast = forecast_lightcurve(curve, horizons=[7, 30] * u.day, method="drw")
    >>> low, high = forecast.compute_quantiles([0.05, 0.95])
    >>> bool((high - low)[1] > (high - low)[0])
    True
    """
    members = list_members(method)
    ahead = Horizons.read(horizons)
    levels = check_levels(quantiles)
    steps = prepare_steps(curve, limits=limits, covariates=covariates)
    seed = int(np.random.default_rng(rng).integers(2**31))
    n = len(steps)
    n_ahead = ahead.count_steps(steps.interval)
    first = find_first(steps, WARM_UP, n_ahead)
    when = steps.time[-1] + ahead.to_days(steps.interval)
    origin = np.full(len(when), n - 1)
    known = [prepare_steps(other, limits=limits) for other in others]
    settings: dict[str, Any] = {"seed": seed, "options": network, "others": known}
    past, future = [], []
    for name in members:
        rolled = roll_forecasts(
            name, steps, ahead, first=first, start=n, refit=max(n // 8, 1), **settings
        )
        past.append(rolled)
        fitted = fit_past(name, steps, n, n_ahead=n_ahead, **settings)
        future.append(fitted.predict(steps, origin, when))
    mean, scatter = np.mean(future, axis=0)
    joined = blend(past)
    z = find_residuals(steps, joined)
    deviates = np.empty((len(levels), len(when)))
    for k in range(len(when)):
        own = z[joined.horizon == k]
        deviates[:, k] = find_deviates(own[np.isfinite(own)], levels)
    time = steps.start + when * u.day
    distribution = Forecast(
        time.mjd[None], "quantiles", (mean + deviates * scatter)[:, None], tuple(levels.tolist())
    )
    return CurveForecast(
        method, time, distribution, steps.unit, int((steps.kind != MISSING).sum()),
        int(steps.is_limit.sum()), steps.n_masked,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class ForecastEvaluation:
    """What forecasts of one light curve were worth.

    Attributes
    ----------
    table : QTable
        One row per method and horizon: how many forecasts ``n``; ``rmse`` and ``bias`` of the
        mean, ``crps``, ``pinball`` (mean over the quantiles) and ``width`` in dex or mag;
        ``coverage`` of the outermost quantiles; ``*_error`` by a block bootstrap; ``floor``, the
        rms error of the measurements, below which no forecast can be.
    rows : QTable
        One row per forecast: method, horizon, time of origin and target, truth, mean, quantiles.
    nominal : float
        What the outermost quantiles promise.
    name : str
    meta : mapping
        The scale of the values, what was asked for, and the ``seconds`` of each method.
    """

    table: QTable
    rows: QTable
    nominal: float
    name: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        best = [min(own, key=lambda row: row["rmse"]) for own in group_rows(self.table, "horizon")]
        said = ", ".join(f"{row['horizon']}: {row['method']} {row['rmse']:.3f}" for row in best)
        return f"{self.name or 'forecasts'}, least RMSE [{self.meta['scale']}] at {said}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the rows."""
        rows = [
            {key: getattr(value := row[key], "value", value) for key in self.table.colnames}
            for row in self.table
        ]
        plain = [{k: v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in rows]
        return {"name": self.name, "nominal": self.nominal, "rows": plain, **self.meta}


def evaluate_forecast(
    curve: LightCurve,
    *,
    horizons: Any,
    methods: str | Sequence[str] = ("persistence", "gp"),
    start: float = 0.7,
    refit: int = 26,
    limits: str = "censored",
    score_limits: bool | None = None,
    covariates: Covariates | None = None,
    others: Iterable[LightCurve] = (),
    quantiles: Sequence[float] = LEVELS,
    block: int = 26,
    network: Mapping[str, Any] | None = None,
    rng: np.random.Generator | int | None = None,
) -> ForecastEvaluation:
    """Forecast the last part of a light curve step by step, and score it.

    From every origin each horizon is forecast with what was known then: methods are fitted to
    the steps up to an earlier origin, ``refit`` steps back at most, and quantiles are calibrated
    on the forecasts whose truth was known by then, from half of the steps before ``start`` on.

    Parameters
    ----------
    curve, horizons, limits, covariates, others, quantiles, network : as for `forecast_lightcurve`
        Horizons in steps count the steps there are; times go to the nearest step within half an
        interval, and a forecast without such a step is left out.
    methods : str or sequence of str
    start : float in (0, 1)
        Share of the steps before the first one that is scored.
    refit : int
        Steps between fits. Networks are fitted twice: for the calibration, and for the test.
    score_limits : bool, optional
        Whether limits are among the truths, as if they were measurements; by default they are
        if ``limits="value"``. Detections alone are the brighter steps: a forecast that is right
        for all of them is too faint for those, the more so the more limits there are.
    block : int
        Steps of a block of the bootstrap.
    rng : Generator, int or None
        For networks and the bootstrap.

    Returns
    -------
    ForecastEvaluation

    Raises
    ------
    ValueError
        As for `forecast_lightcurve`, and when no forecast can be scored.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curve = simulate_lightcurves("agn", n=1, survey="ztf", random_state=4)[0]
    >>> curve = curve.select(curve.band == "g")
    >>> result = evaluate_forecast(curve, horizons=[1, 4], methods=["persistence", "drw"], rng=1)
    >>> len(result.table), result.table.colnames[:4]
    (4, ['method', 'horizon', 'n', 'rmse'])
    """
    wanted = [methods] if isinstance(methods, str) else list(methods)
    if not wanted or len(set(wanted)) < len(wanted):
        raise invalid("methods", "at least one, each once", methods)
    members = list(dict.fromkeys(name for method in wanted for name in list_members(method)))
    ahead, levels = Horizons.read(horizons), check_levels(quantiles)
    check_real("start", start, above=0, below=1)
    for name, number in (("refit", refit), ("block", block)):
        check_real(name, number, at_least=1)
    steps = prepare_steps(curve, limits=limits, covariates=covariates)
    scored = limits == "value" if score_limits is None else score_limits
    begin = int(start * len(steps))
    first = find_first(steps, WARM_UP * start, ahead.count_steps(steps.interval))
    if not np.any(ahead.find_targets(steps) >= max(begin, first)):
        raise invalid(
            "horizons", "times at which there are steps to compare with", horizons,
            f"The curve has {len(steps)} steps, {steps.interval:.3g} days apart.",
        )  # fmt: skip
    generator = np.random.default_rng(rng)
    seed = int(generator.integers(2**31))
    known = [prepare_steps(other, limits=limits) for other in others]
    done, seconds = {}, {}
    for name in members:
        since = perf_counter()
        done[name] = roll_forecasts(
            name, steps, ahead, first=first, start=begin, refit=int(refit), seed=seed,
            options=network, others=known,
        )  # fmt: skip
        seconds[name] = perf_counter() - since
    rows = vstack([
        tabulate_rows(
            method, steps, blend([done[name] for name in list_members(method)]), begin, ahead,
            levels, score_limits=bool(scored),
        )
        for method in wanted
    ])  # fmt: skip
    if not len(rows):
        raise invalid("score_limits", "True where all steps to score are limits", scored)
    table = score_rows(rows, levels, int(block), generator)
    meta = {"scale": "mag" if steps.is_magnitude else "dex", "limits": limits, "start": start,
            "n_masked": steps.n_masked, "score_limits": bool(scored), "block": int(block),
            "levels": levels.tolist(), "seconds": seconds}  # fmt: skip
    return ForecastEvaluation(table, rows, float(levels[-1] - levels[0]), curve.name, meta)


def compare_forecasts(
    evaluation: ForecastEvaluation,
    first: str,
    second: str,
    *,
    statistic: str = "rmse",
    rng: np.random.Generator | int | None = None,
) -> QTable:
    """Compare two methods on the same steps of one evaluation.

    Parameters
    ----------
    evaluation : ForecastEvaluation
    first, second : str
        Methods in it.
    statistic : {"rmse", "crps"}
    rng : Generator, int or None
        For the bootstrap of blocks, both methods drawn together.

    Returns
    -------
    QTable
        One row per horizon: ``difference`` first minus second, its ``error``, 95 % interval from
        ``low`` to ``high``, two-sided ``p_value``, and which is ``better``: "tie" where the
        interval has 0 in it.

    Raises
    ------
    ValueError
        For a method that was not evaluated.

    Examples
    --------
    >>> from astroml_kit.lightcurves import simulate_lightcurves
    >>> curve = simulate_lightcurves("agn", n=1, survey="ztf", random_state=4)[0]
    >>> curve = curve.select(curve.band == "g")
    >>> result = evaluate_forecast(curve, horizons=1, methods=["persistence", "drw"], rng=1)
    >>> compare_forecasts(result, "persistence", "drw", rng=1)["better"][0] in ("tie", "drw")
    True
    """
    known = list(dict.fromkeys(evaluation.table["method"].tolist()))
    for name, method in (("first", first), ("second", second)):
        check_choice(name, method, known)
    check_choice("statistic", statistic, STATISTICS)
    return compare_rows(
        evaluation.rows, first, second, levels=np.array(evaluation.meta["levels"]),
        statistic=statistic, block=evaluation.meta["block"], rng=np.random.default_rng(rng),
    )  # fmt: skip
