"""Forecasts: dense Gaussian algebra, laws of limits, no look ahead, coverage, real blazars."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm, truncnorm

from astroml_kit.datasets import fetch_dataset
from astroml_kit.lightcurves import (
    LightCurve,
    compare_forecasts,
    evaluate_forecast,
    forecast_lightcurve,
    measure_solar_proximity,
    read_lightcurves,
)
from astroml_kit.lightcurves._forecasting.autoregression import Autoregression, find_weights
from astroml_kit.lightcurves._forecasting.gaussian_process import COVARIATE, DampedWalks
from astroml_kit.lightcurves._forecasting.inputs import Steps, prepare_steps
from astroml_kit.lightcurves._forecasting.scores import draw_blocks, find_deviates, standardise
from astroml_kit.lightcurves._forecasting.state_space import (
    ABOVE,
    BELOW,
    MEASURED,
    MISSING,
    measure_tail,
)

DATA = os.environ.get("ASTROML_KIT_DATA")
FLUX = u.Unit("1 / (cm2 s)")
QUICK = {"n_curves": 3, "max_epochs": 1, "hidden_size": 4, "n_history": 8}


def draw_walk(time, tau, rng, scatter=1.0):
    keep = np.exp(-np.diff(time, prepend=time[0] - 1e9) / tau)
    state = np.zeros(len(time))
    for i, k in enumerate(keep):
        state[i] = k * state[i - 1] + scatter * np.sqrt(1 - k**2) * rng.normal()
    return state


def make_curve(n=120, *, seed=1, tau=40.0, scatter=0.3, error=0.05, unit=FLUX, limit_at=None):
    """A blazar, weekly, whose log flux walks around -6.5; fainter than ``limit_at`` is a limit."""
    rng = np.random.default_rng(seed)
    day = 7.0 * np.arange(n)
    level = -6.5 + draw_walk(day, tau, rng, scatter) + error * rng.normal(size=n)
    limit = None if limit_at is None else level < limit_at
    if limit is not None:
        level = np.where(limit, limit_at, level)
    flux = 10**level
    sigma = error * np.log(10) * flux
    return LightCurve(
        Time(55000 + day, format="mjd", scale="utc"), flux * unit, sigma * unit, mask=limit,
        limit=limit, name="blazar",
    )  # fmt: skip


def make_steps(time, value, error, kind=None):
    start = Time(55000, format="mjd")
    kind = np.full(len(time), MEASURED) if kind is None else kind
    return Steps(time, value, value, error, error, kind, kind == BELOW, start, FLUX, 0)


def scramble(seed, n=25):
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.uniform(0.1, 9, n))
    return time, rng.normal(0.5, 1, n), rng.uniform(0.05, 0.4, n), rng


WALKS = DampedWalks(np.array([3.0, 50.0]), np.array([0.6, 1.1]), 0.2, 0.4, 0.8)


def dense(walks, one, two):
    apart = np.abs(one[:, None] - two)[..., None]
    return (walks.amplitude**2 * np.exp(-apart / walks.tau)).sum(axis=-1) + walks.level_sd**2


# --- processes against dense algebra --------------------------------------------------------------
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_likelihood_and_forecast_are_those_of_dense_algebra(seed):
    time, value, error, _ = scramble(seed)
    steps = make_steps(time, value, error)
    covariance = dense(WALKS, time, time) + np.diag(error**2 + WALKS.jitter**2)
    expected = multivariate_normal(np.full(len(time), WALKS.centre), covariance).logpdf(value)
    assert WALKS.find_states(steps)[0] == pytest.approx(expected, rel=1e-9)
    when, n = time[-1] + np.array([0.5, 20.0]), len(time)
    cross = dense(WALKS, when, time)
    mean = WALKS.centre + cross @ np.linalg.solve(covariance, value - WALKS.centre)
    left = dense(WALKS, when, when) - cross @ np.linalg.solve(covariance, cross.T)
    found = WALKS.predict(steps, np.full(2, n - 1), when)
    np.testing.assert_allclose(found, [mean, np.sqrt(np.diag(left))], rtol=1e-8)


def test_covariates_are_regressed_on_exactly():
    time, value, error, rng = scramble(3)
    known = rng.normal(size=(len(time), 2))
    space = WALKS.build(make_steps(time, value, error), known)
    covariance = dense(WALKS, time, time) + COVARIATE**2 * known @ known.T
    covariance += np.diag(error**2 + WALKS.jitter**2)
    expected = multivariate_normal(np.zeros(len(time)), covariance).logpdf(value)
    found, means, _ = space.filter(value, np.full(len(time), MEASURED))
    assert found == pytest.approx(expected, rel=1e-9)
    coefficients = COVARIATE**2 * known.T @ np.linalg.solve(covariance, value)
    np.testing.assert_allclose(means[-1, -2:], coefficients, rtol=1e-8)


def test_likelihood_and_forecast_are_those_of_celerite2():
    celerite2 = pytest.importorskip("celerite2")
    time, value, error, _ = scramble(5, n=200)
    walks = DampedWalks(WALKS.tau, WALKS.amplitude, WALKS.jitter, WALKS.centre, 1e-9)
    one, two = (
        celerite2.terms.RealTerm(a=a**2, c=1 / tau)
        for a, tau in zip(walks.amplitude, walks.tau, strict=True)
    )
    process = celerite2.GaussianProcess(one + two, mean=walks.centre)
    process.compute(time, diag=error**2 + walks.jitter**2)
    steps = make_steps(time, value, error)
    assert walks.find_states(steps)[0] == pytest.approx(process.log_likelihood(value), rel=1e-9)
    when = time[-1] + np.array([1.0, 30.0])
    mean, variance = process.predict(value, t=when, return_var=True)
    found = walks.predict(steps, np.full(2, len(time) - 1), when)
    np.testing.assert_allclose(found, [mean, np.sqrt(variance)], rtol=1e-6)


def test_forecast_of_a_damped_random_walk_is_the_conditional_gaussian():
    """Kelly et al. 2009, doi:10.1088/0004-637X/698/1/895, eq. 5 and 6, from every step."""
    time, value, _, _ = scramble(8)
    walk = DampedWalks(np.array([12.0]), np.array([0.7]), 1e-9, 0.0, 1e-9)
    origin = np.arange(len(time) - 1)
    steps = make_steps(time, value, np.full(len(time), 1e-9))
    mean, scatter = walk.predict(steps, origin, time[1:])
    keep = np.exp(-np.diff(time) / 12)
    np.testing.assert_allclose(mean, keep * value[:-1], rtol=1e-6)
    np.testing.assert_allclose(scatter, 0.7 * np.sqrt(1 - keep**2), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_autoregression_is_dense_algebra_on_a_grid_with_gaps(seed, order):
    rng = np.random.default_rng(seed)
    weights = find_weights(rng.uniform(-0.9, 0.9, order))
    place = np.sort(rng.choice(40, 25, replace=False))
    place -= place[0]
    value, error = rng.normal(size=25), rng.uniform(0.1, 0.3, 25)
    process = Autoregression(weights, 0.6, 0.1, 0.2, 0.5, 7.0)
    # autocovariance from the response to shocks, no Lyapunov equation
    response = np.zeros(4000)
    response[0] = 1
    for k in range(1, len(response)):
        past = response[max(0, k - order) : k][::-1]
        response[k] = weights[: len(past)] @ past
    decay = np.array([0.36 * response[: 4000 - k] @ response[k:] for k in range(60)])
    steps = make_steps(7.0 * place, value, error)
    on_grid, noise, kind, _ = process.spread_out(steps)
    covariance = decay[np.abs(place[:, None] - place)] + 0.25
    covariance += np.diag(error**2 + 0.01)
    expected = multivariate_normal(np.full(25, 0.2), covariance).logpdf(value)
    assert process.build(noise).filter(on_grid, kind)[0] == pytest.approx(expected, rel=1e-6)
    cross = decay[place[-1] + 3 - place] + 0.25
    mean = 0.2 + cross @ np.linalg.solve(covariance, value - 0.2)
    scatter = np.sqrt(decay[0] + 0.25 - cross @ np.linalg.solve(covariance, cross))
    found = process.predict(steps, np.array([24]), np.array([7.0 * (place[-1] + 3)]))
    np.testing.assert_allclose(np.ravel(found), [mean, scatter], rtol=1e-6)


def test_an_autoregression_is_found_again():
    rng = np.random.default_rng(2)
    value = np.zeros(1500)
    for i in range(2, len(value)):
        value[i] = 0.5 * value[i - 1] + 0.3 * value[i - 2] + 0.2 * rng.normal()
    value += 0.02 * rng.normal(size=len(value))
    found = Autoregression.fit(make_steps(7.0 * np.arange(1500), value, np.full(1500, 0.02)))
    # the spectrum at zero frequency: shock / (1 - sum of weights)
    assert found.shock / (1 - found.weights.sum()) == pytest.approx(1.0, rel=0.25)
    assert found.criterion < np.inf


# --- limits ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [BELOW, ABOVE])
def test_one_limit_leaves_a_truncated_normal(kind):
    steps = make_steps(np.zeros(1), np.array([-0.3]), np.zeros(1), np.array([kind]))
    walk = DampedWalks(np.array([5.0]), np.array([0.8]), 1e-9, 0.0, 1e-9)
    total, means, covariances = walk.find_states(steps)
    ends = (-np.inf, -0.3 / 0.8) if kind == BELOW else (-0.3 / 0.8, np.inf)
    left = truncnorm(*ends, scale=0.8)
    assert total == pytest.approx(np.log(np.diff(norm.cdf(ends))[0]), rel=1e-6)
    assert means[0, 0] == pytest.approx(left.mean(), rel=1e-6)
    assert covariances[0, 0, 0] == pytest.approx(left.var(), rel=1e-5)


def test_a_far_limit_is_finite_and_on_the_asymptote():
    log_share, ratio = measure_tail(-25.0001)
    assert log_share == pytest.approx(norm.logcdf(-25.0001), rel=1e-6)
    assert ratio == pytest.approx(np.exp(norm.logpdf(-25.0001) - log_share), rel=1e-6)
    assert np.isfinite(measure_tail(-1e6)).all()


def test_likelihood_of_measurements_and_limits_is_near_the_integral():
    time, value, error, _ = scramble(4, n=6)
    kind = np.array([MEASURED, BELOW, MEASURED, BELOW, BELOW, MEASURED])
    found = WALKS.find_states(make_steps(time, value, error, kind))[0]
    covariance = dense(WALKS, time, time) + np.diag(error**2 + WALKS.jitter**2)
    m, l = kind == MEASURED, kind == BELOW  # noqa: E741 - measured and limits
    gain = np.linalg.solve(covariance[np.ix_(m, m)], covariance[np.ix_(m, l)]).T
    mean = WALKS.centre + gain @ (value[m] - WALKS.centre)
    left = covariance[np.ix_(l, l)] - gain @ covariance[np.ix_(m, l)]
    exact = multivariate_normal(np.full(3, WALKS.centre), covariance[np.ix_(m, m)]).logpdf(value[m])
    exact += np.log(multivariate_normal(mean, left).cdf(value[l]))
    # limits are taken in one after the other: three of six steps cost a tenth
    assert found == pytest.approx(exact, abs=0.15)
    draws = np.random.default_rng(1).multivariate_normal(mean, left, size=200_000)
    draws = draws[(draws < value[l]).all(axis=1)]
    when = time[-1:] + 5
    seen = np.concatenate([np.tile(value[m], (len(draws), 1)), draws], axis=1) - WALKS.centre
    order = np.concatenate([np.flatnonzero(m), np.flatnonzero(l)])
    weights = np.linalg.solve(covariance[np.ix_(order, order)], dense(WALKS, time[order], when))
    ahead, scatter = WALKS.predict(make_steps(time, value, error, kind), np.array([5]), when)
    assert ahead[0] == pytest.approx(
        WALKS.centre + float((seen @ weights).mean()), abs=0.1 * scatter[0]
    )


def test_censored_limits_recover_the_level_where_others_are_biased():
    found = {}
    for limits in ("censored", "value", "drop"):
        levels = []
        for seed in range(6):
            curve = make_curve(300, seed=seed, tau=15.0, limit_at=-6.5)
            steps = prepare_steps(curve, limits=limits)
            assert 100 < steps.is_limit.sum() < 200
            walk = DampedWalks.fit(steps, n_components=1)
            levels.append(walk.centre + walk.find_states(steps)[1][-1, 1])
        found[limits] = np.mean(levels) + 6.5
        spread = np.std(levels) / np.sqrt(6)
        if limits == "censored":
            assert abs(found[limits]) < 3 * spread + 0.02
    assert found["value"] > 0.08
    assert found["drop"] > 0.08


def test_a_limit_of_95_percent_is_further_from_what_was_measured_than_a_threshold():
    curve = make_curve(60, limit_at=-6.5)
    sure = LightCurve(curve.time, curve.value, curve.error, mask=curve.mask, limit=curve.limit,
                      meta={"limit_confidence": 0.95})  # fmt: skip
    plain, shifted = (prepare_steps(c) for c in (curve, sure))
    moved = (plain.value - shifted.value)[curve.limit]
    # half of the limit is its error: a flux at the limit would look as faint in 5 % of all cases
    np.testing.assert_allclose(moved, 1.6449 * 0.5 / np.log(10), rtol=1e-4)
    np.testing.assert_array_equal(shifted.given, plain.given)
    np.testing.assert_array_equal(shifted.value[~curve.limit], plain.value[~curve.limit])


# --- no look ahead, same seed same bits -----------------------------------------------------------
@pytest.mark.parametrize("method", ["persistence", "gp", "autoregressive", "lstm"])
def test_the_future_is_not_seen(method):
    curves = [make_curve(70, seed=seed, limit_at=-6.9) for seed in (1, 2)]
    changed = []
    for curve in curves:
        value = curve.value.copy()
        value[60:] *= 10
        changed.append(
            LightCurve(curve.time, value, curve.error, mask=curve.mask, limit=curve.limit)
        )
    options = {"horizons": [1, 3], "methods": method, "refit": 20, "network": QUICK, "rng": 1}
    one, two = (evaluate_forecast(c[0], others=c[1:], **options).rows for c in (curves, changed))
    past = one["time"] < curves[0].time[60]
    assert past.sum() > 10
    for name in ("mean", "q05", "q95"):
        np.testing.assert_array_equal(one[name][past], two[name][past])
    assert not np.array_equal(one["truth"], two["truth"])


def test_same_seed_same_bits():
    curve = make_curve(50, limit_at=-6.8)
    options = {"horizons": [1, 4], "method": "lstm", "network": QUICK}
    one, two, other = (
        forecast_lightcurve(curve, rng=seed, **options).distribution.parameters
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    joined = forecast_lightcurve(curve, rng=1, others=[make_curve(50, seed=3)], **options)
    assert not np.array_equal(one, joined.distribution.parameters)


# --- calibration and scores -----------------------------------------------------------------------
def test_intervals_of_a_damped_random_walk_cover_what_they_promise():
    inside, n = 0.0, 0
    for seed in (1, 2, 3):
        result = evaluate_forecast(
            make_curve(400, seed=seed), horizons=[1, 4], methods="drw", rng=1
        )
        assert result.nominal == pytest.approx(0.9)
        inside += float(np.sum(result.table["coverage"] * result.table["n"]))
        n += int(np.sum(result.table["n"]))
    # forecasts of four steps overlap: a quarter of them counts
    assert abs(inside / n - 0.9) < 3 * np.sqrt(0.09 / (n / 3))


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_deviates_follow_the_residuals(factor):
    residuals = factor * np.random.default_rng(0).normal(size=4000)
    found = find_deviates(residuals, np.array([0.05, 0.5, 0.95]))
    # the last 200 count, next to 40 of the prior
    share = 200 / 240
    low, high = np.sort([1.0, factor]) * 1.645
    assert low * 0.8 < found[2] < high * 1.2
    assert abs(found[1]) < 0.3 * factor
    assert share * factor * 1.645 * 0.75 < found[2]
    np.testing.assert_allclose(find_deviates(np.zeros(0), np.array([0.25, 0.75])), [-0.67, 0.67],
                               atol=0.02)  # fmt: skip


def test_limits_leave_half_of_what_they_allow():
    z = standardise(np.zeros(2), np.zeros(2), np.ones(2), below=np.array([True, False]),
                    above=np.array([False, True]))  # fmt: skip
    np.testing.assert_allclose(z, norm.ppf([0.25, 0.75]))


def test_scores_are_what_their_names_say():
    result = evaluate_forecast(make_curve(100), horizons=[1, 2], methods=["persistence"], rng=1)
    rows, value = result.rows, np.log10(make_curve(100).value.value)
    for ahead in (1, 2):
        own = rows[rows["horizon"] == ahead]
        table = result.table[result.table["horizon"] == ahead][0]
        np.testing.assert_allclose(own["mean"], value[70 - ahead : 100 - ahead])
        change = value[70:] - value[70 - ahead : 100 - ahead]
        assert table["rmse"] == pytest.approx(np.sqrt(np.mean(change**2)))
        assert table["bias"] == pytest.approx(-change.mean())
        assert table["floor"] == pytest.approx(0.05, rel=1e-6)
        covered = (own["q05"] <= own["truth"]) & (own["truth"] <= own["q95"])
        assert table["coverage"] == covered.mean()
    assert "persistence" in str(result)
    assert result.to_dict()["rows"][0]["n"] == 30


def test_limits_are_scored_only_if_asked():
    curve = make_curve(100, limit_at=-6.5)
    n = {scored: evaluate_forecast(curve, horizons=1, methods="persistence", score_limits=scored,
                                   rng=1).table["n"][0] for scored in (True, False)}  # fmt: skip
    assert n[True] == 30
    assert n[False] == 30 - curve.limit[70:].sum()


def test_blocks_hold_neighbours():
    draw = draw_blocks(50, block=10, n_draws=20, rng=np.random.default_rng(1))
    assert draw.shape == (20, 50)
    step = np.diff(draw.reshape(20, 5, 10), axis=2) % 50
    assert (step == 1).all()


def test_ties_are_called_ties_and_better_is_called_better():
    curve = make_curve(300, tau=3.0)  # steps hardly know of each other: persistence is bad
    methods = ["persistence", "drw", "autoregressive"]
    result = evaluate_forecast(curve, horizons=[1], methods=methods, rng=1)
    worse = compare_forecasts(result, "persistence", "drw", rng=1)
    assert worse["better"][0] == "drw"
    assert worse["difference"][0] > 0.05
    assert worse["p_value"][0] < 0.01
    for statistic in ("rmse", "crps"):
        near = compare_forecasts(result, "drw", "autoregressive", statistic=statistic, rng=1)
        assert abs(near["difference"][0]) < 0.02 * result.table["rmse"][1]
        same = compare_forecasts(result, "drw", "drw", statistic=statistic, rng=1)
        assert (same["difference"][0], same["better"][0]) == (0, "tie")


# --- what goes in ---------------------------------------------------------------------------------
def test_magnitudes_are_scaled_logarithms():
    curve = make_curve(60)
    no_error = LightCurve(curve.time, curve.value)
    magnitudes = LightCurve(curve.time, -2.5 * np.log10(curve.value.value) * u.mag)
    one, two = (forecast_lightcurve(c, horizons=[1, 5], method="drw") for c in
                (no_error, magnitudes))  # fmt: skip
    expected = -2.5 * np.log10(one.compute_quantiles([0.9, 0.5, 0.1]).value)
    np.testing.assert_allclose(two.compute_quantiles([0.1, 0.5, 0.9]).value, expected, atol=0.02)
    assert two.unit == u.mag


def test_times_and_steps_ahead_are_the_same_on_a_regular_grid():
    curve = make_curve(60)
    one = forecast_lightcurve(curve, horizons=[1, 4])
    two = forecast_lightcurve(curve, horizons=[1, 4] * u.week)
    np.testing.assert_allclose(one.distribution.parameters, two.distribution.parameters)
    assert (one.time - curve.time[-1]).to_value("day") == pytest.approx([7, 28])
    table = two.to_table()
    assert table["q50"].unit == FLUX
    assert table.colnames == ["time", "q05", "q25", "q50", "q75", "q95"]


def test_masked_steps_do_not_matter_and_are_counted():
    curve = make_curve(80)
    mask = np.arange(80) % 9 == 4
    wild = np.where(mask, np.nan, curve.value.value) * FLUX
    masked = LightCurve(curve.time, wild, curve.error, mask=mask)
    one = forecast_lightcurve(masked, horizons=2)
    two = forecast_lightcurve(curve.select(~mask), horizons=2)
    np.testing.assert_array_equal(one.distribution.parameters, two.distribution.parameters)
    assert one.n_masked == 9
    assert "9 masked" in str(one)


def test_a_covariate_that_is_real_is_used_and_one_that_is_not_is_left():
    curve = make_curve(150)
    wave = 0.4 * np.sin(2 * np.pi * np.arange(150) / 10)
    moved = LightCurve(curve.time, curve.value * 10**wave, curve.error * 10**wave)

    def know(time):
        return np.sin(2 * np.pi * (time.mjd - 55000) / 70)

    options = {"horizons": [2], "methods": ["drw"], "rng": 1}
    with_it, without = (evaluate_forecast(moved, covariates=c, **options) for c in (know, None))
    assert (with_it.table["rmse"] < 0.8 * without.table["rmse"]).all()
    useless = DampedWalks.fit(prepare_steps(curve, covariates=know), n_components=1)
    assert not useless.use_covariates


def test_the_sun_is_where_it_is():
    equinox = Time("2000-03-20T07:35", scale="utc")  # of the year whose equinox ICRS is near
    times = equinox + [0, 91.3] * u.day
    near = measure_solar_proximity(times, position=SkyCoord(0 * u.deg, 0 * u.deg))
    # a quarter of a year later it is 90 degrees away
    np.testing.assert_allclose(near, [1, np.exp(-90 / 20)], atol=0.003)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"horizons": 0}, "horizons must be finite and > 0"),
        ({"horizons": [-1, 2]}, "horizons must be finite and > 0"),
        ({"horizons": 1.5}, "whole numbers of steps"),
        ({"horizons": [2, 1]}, "ascending"),
        ({"horizons": 1 * u.m}, "a time or whole numbers"),
        ({"method": "oracle"}, "method must be one of"),
        ({"limits": "ignore"}, "limits must be one of"),
        ({"quantiles": [0.5]}, "quantiles must be 2 to 99 ascending"),
        ({"covariates": lambda time: np.zeros(3)}, "covariates must return a row"),
    ],
)
def test_bad_questions_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        forecast_lightcurve(make_curve(50), **{"horizons": 1, **change})


def test_bad_curves_are_refused():
    curve = make_curve(60)
    for other, said in (
        (curve.select(slice(0, 10)), "20 measured steps or more, got 10"),
        (LightCurve(curve.time, curve.value, mask=np.ones(60, bool)), "got 0 that are not masked"),
        (LightCurve(curve.time, curve.value - 1 * FLUX), "value must be finite and > 0"),
        (LightCurve(curve.time[::-1], curve.value), "in time order"),
        (LightCurve(curve.time, curve.value, band=np.array(["g", "r"] * 30)), "one band"),
        ("curve", "curve must be a LightCurve"),
    ):
        with pytest.raises(ValueError, match=said):
            forecast_lightcurve(other, horizons=1)
    with pytest.raises(ValueError, match="there are steps to compare with"):
        evaluate_forecast(curve, horizons=100)
    result = evaluate_forecast(curve, horizons=1, methods="persistence")
    with pytest.raises(ValueError, match="second must be one of"):
        compare_forecasts(result, "persistence", "gp")


def test_short_curves_are_forecast_with_the_quantiles_of_a_normal_distribution():
    for method in ("persistence", "gp", "autoregressive"):
        found = forecast_lightcurve(make_curve(21), horizons=[1, 3], method=method).distribution
        low, middle, high = found.compute_quantiles([0.05, 0.5, 0.95])[:, 0, 0]
        assert (high - middle) == pytest.approx(middle - low, rel=0.05)
    result = evaluate_forecast(make_curve(40), horizons=2, methods="autoregressive", start=0.1)
    # twenty steps to learn from, and two ahead
    assert result.table["n"][0] == 40 - 19 - 2


def test_sparse_curves_are_no_autoregression():
    time = np.concatenate([np.arange(0, 30.0), [20_000.0]])
    steps = make_steps(time, np.random.default_rng(1).normal(size=31), np.full(31, 0.1))
    with pytest.raises(ValueError, match="must fill its grid"):
        Autoregression.fit(steps)
    kind = np.where(np.arange(31) == 3, MISSING, MEASURED)
    assert np.isfinite(WALKS.find_states(make_steps(time, steps.value, steps.error, kind))[0])


# --- real blazars ---------------------------------------------------------------------------------
@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="set ASTROML_KIT_DATA to the folder that holds fermi-lcr")
@pytest.mark.parametrize(
    ("entry", "published", "reached"),
    [
        ("4FGL_J1229.0+0202", (0.241, 0.315), (0.23, 0.29)),
        ("4FGL_J2253.9+1609", (0.182, 0.254), (0.18, 0.25)),
    ],
)
def test_blazars_are_forecast_better_than_by_persistence(entry, published, reached):
    """RMSE in dex at 1 and 4 weeks over the last 30 %, limits as values: persistence is known."""
    curve = read_lightcurves(fetch_dataset("fermi-lcr") / f"{entry}_weekly_12_23_2024.csv")[0]
    result = evaluate_forecast(curve, horizons=[1, 4], methods=["persistence", "drw"], start=0.701,
                               refit=130, limits="value", rng=1)  # fmt: skip
    found = result.table["rmse"].reshape(2, 2)
    np.testing.assert_allclose(found[0], published, atol=6e-4)
    assert (found[1] < reached).all()
    coverage = result.table["coverage"][result.table["method"] == "drw"]
    assert ((coverage > 0.85) & (coverage < 0.95)).all()
