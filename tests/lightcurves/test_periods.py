"""Periods: what astropy's exact method says, laws of noise, aliases named, real RR Lyrae."""

import os
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.time import Time
from astropy.timeseries import LombScargle, LombScargleMultiband
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import (
    LightCurve,
    LightCurves,
    compute_periodogram,
    false_alarm_probability,
    find_periods,
    join_periods,
    read_lightcurves,
)
from astroml_kit.lightcurves._periods import power as power_of_grids
from astroml_kit.lightcurves._periods.arbitration import _name_aliases
from astroml_kit.lightcurves._periods.harmonics import fit_harmonics, measure_dispersion
from astroml_kit.lightcurves._periods.series import prepare_series, split_epochs

DATA = os.environ.get("ASTROML_KIT_DATA")
KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}


def observe(period, *, n=120, days=200, shape=np.sin, noise=0.05, seed=1, bands=1, nightly=False):
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, days, n))
    if nightly:
        time = np.round(time) + rng.normal(0, 0.04, n)
    band = rng.integers(bands, size=n)
    value = 15 + band + (1 - 0.2 * band) * shape(2 * np.pi * time / period)
    value += noise * rng.normal(size=n)
    return LightCurves.from_columns(
        name=["star"] * n, time=time, value=value, error=np.full(n, max(noise, 0.01)),
        band=np.array(list("gri"))[band] if bands > 1 else None, **KNOWN,
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.floats(0.3, 20), st.integers(0, 1000), st.integers(1, 3))
def test_a_sine_is_found(period, seed, bands):
    found = find_periods(observe(period, seed=seed, bands=bands), n_candidates=1)
    # a tenth of a peak's width, and more where noise moves it
    assert abs(1 / found["period"][0].value - 1 / period) < 0.1 / 200
    assert found["p_false_alarm"][0] < 1e-6
    assert found["dispersion"][0] < 0.3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(-3000, 3000), st.floats(0.01, 100))
def test_zero_points_and_scales_of_values_and_times_do_not_matter(seed, shift, scale):
    curves = observe(1.7, seed=seed)
    moved = LightCurves.from_columns(
        name=["star"] * len(curves.time), time=curves.time + np.round(shift),
        value=curves.value * scale + shift, error=curves.error * scale, **KNOWN,
    )  # fmt: skip
    one, two = (find_periods(c, n_candidates=1)["period"][0].value for c in (curves, moved))
    assert one == pytest.approx(two, rel=1e-7)


@pytest.mark.parametrize("n_terms", [1, 3])
def test_power_is_that_of_the_exact_method_of_astropy(n_terms):
    curves = observe(1.7, n=60, days=30)
    periodogram = compute_periodogram(curves, period_min=0.5, n_terms=n_terms)
    # power does not depend on the scale of the band, only on how errors compare
    exact = LombScargle(curves.time, curves.value, 1.0, nterms=n_terms).power(
        periodogram.frequency, method="chi2"
    )
    np.testing.assert_allclose(periodogram.power, exact, atol=1e-5)
    assert periodogram.best_period == pytest.approx(1.7, rel=0.01)


@pytest.mark.parametrize(("band_model", "n_terms"), [("shared", 1), ("shared", 3), ("separate", 1)])
def test_bands_are_those_of_the_flexible_method_of_astropy(band_model, n_terms):
    curves = observe(1.7, n=90, days=30, bands=3, nightly=True)
    periodogram = compute_periodogram(
        curves, period_min=0.6, n_terms=n_terms, band_model=band_model
    )
    series = prepare_series(curves, 0, 0.6)  # scaled: power of several bands depends on that
    exact = LombScargleMultiband(
        series.time, series.value, series.band, series.total_error, normalization="standard",
        nterms_base=n_terms if band_model == "shared" else 0,
        nterms_band=n_terms if band_model == "separate" else 0,
        reg_base=None, reg_band=1e-10,
    )  # fmt: skip
    expected = exact.power(periodogram.frequency, method="flexible")
    np.testing.assert_allclose(periodogram.power, expected, atol=1e-5)
    assert periodogram.best_period == pytest.approx(1.7, rel=0.01)
    if band_model == "separate":
        with pytest.raises(ValueError, match=r"n_terms must be 1 .* bands shared"):
            _ = periodogram.false_alarm_probability


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("n_terms", [1, 2])
def test_pieces_of_a_grid_are_the_grid(monkeypatch, bands, n_terms):
    curves = observe(1.7, bands=bands)
    whole = compute_periodogram(curves, n_terms=n_terms)
    monkeypatch.setattr(power_of_grids, "PIECE", 1000)
    pieces = compute_periodogram(curves, n_terms=n_terms)
    assert len(whole.power) > 9000
    np.testing.assert_allclose(pieces.power, whole.power, atol=1e-6)


def test_noise_of_several_bands_is_as_often_an_alarm_as_said():
    rng = np.random.default_rng(8)
    time = np.sort(rng.uniform(0, 100, 60))
    band = np.repeat(list("gri"), 20)[rng.permutation(60)]
    p = []
    for _ in range(200):
        curve = LightCurves.from_columns(
            name=["n"] * 60, time=time, value=rng.normal(size=60), band=band, **KNOWN
        )
        p.append(compute_periodogram(curve, period_min=1 / 3).false_alarm_probability)
    assert 6 <= np.sum(np.array(p) < 0.1) <= 33


def test_false_alarm_probability_is_that_of_astropy_and_holds_for_noise():
    rng = np.random.default_rng(3)
    time = np.sort(rng.uniform(0, 100, 80))
    reference = LombScargle(time, rng.normal(size=80), 1.0)
    last = reference.autofrequency(maximum_frequency=3.0)[-1]
    for power in (0.15, 0.2, 0.3, 0.5):
        ours = false_alarm_probability(power, n_steps=80, spread=time.std(), frequency_max=last)
        theirs = reference.false_alarm_probability(power, maximum_frequency=3.0)
        assert ours == pytest.approx(theirs, rel=1e-6)
    p = []
    for _ in range(200):
        curve = LightCurves.from_columns(
            name=["n"] * 80, time=time, value=rng.normal(size=80), **KNOWN
        )
        p.append(compute_periodogram(curve, period_min=1 / 3).false_alarm_probability)
    # never more false alarms than said, and not many fewer: 10 % of 200 is 20 +- 4.2
    assert 6 <= np.sum(np.array(p) < 0.1) <= 33


def test_shuffles_agree_with_the_formula_for_noise_and_find_signals():
    signal = find_periods(observe(1.7), n_bootstrap=19, rng=1, n_candidates=1)
    assert signal["p_bootstrap"][0] == pytest.approx(1 / 20)
    rng = np.random.default_rng(5)
    p = []
    for seed in range(12):
        noise = LightCurves.from_columns(
            name=["n"] * 50, time=rng.uniform(0, 60, 50), value=rng.normal(size=50), **KNOWN
        )
        p.append(find_periods(noise, n_bootstrap=9, rng=seed, n_candidates=1)["p_bootstrap"][0])
    assert 0.25 < np.mean(p) < 0.85


def test_steps_without_a_gap_are_shuffled_too():
    time = np.arange(0, 20, 0.0204)  # a Kepler cadence: no two steps are half an hour apart
    value = np.sin(2 * np.pi * time / 1.7) + np.random.default_rng(2).normal(size=len(time))
    curve = LightCurves.from_columns(name=["k"] * len(time), time=time, value=value, **KNOWN)
    assert find_periods(curve, n_bootstrap=9, rng=1)["p_bootstrap"][0] == pytest.approx(0.1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.001, 0.5))
def test_epochs_are_short_and_begin_where_the_last_one_cannot_reach(days, longest):
    time = np.sort(np.array(days, dtype=float))
    first = split_epochs(time, longest)
    assert first[-1] == len(time)
    for a, b in pairwise(first):
        assert b > a
        assert time[b - 1] - time[a] <= longest + 1e-12
        assert b == len(time) or time[b] > time[a] + longest


def test_aliases_are_named():
    found = find_periods(observe(0.61, nightly=True, noise=0.3), n_candidates=6, period_min=0.2)
    assert found["period"][0].value == pytest.approx(0.61, rel=1e-3)
    assert "day" in found["alias"][1:].tolist()

    def eclipses(angle):
        return np.abs(np.sin(angle / 2)) - 0.25 * np.cos(angle / 2)

    found = find_periods(observe(3.1, shape=eclipses, noise=0.02, n=200), n_candidates=4)
    assert found["period"][0].value == pytest.approx(6.2, rel=1e-3)
    assert "half" in found["alias"].tolist()
    assert find_periods(observe(1.0, n=300), n_candidates=1)["alias"][0] == "day"


@pytest.mark.parametrize("apart", [1, 1.0027379, 2, 2.0027379, 2.0054758])
def test_every_sum_of_days_names_its_alias(apart):
    best = 1 / 0.5539
    assert _name_aliases(np.array([best, best + apart]), 2 / 3000) == ["", "day"]
    assert _name_aliases(np.array([best, apart - best]), 2 / 3000)[1] == "day"
    assert _name_aliases(np.array([best, best + apart + 0.01]), 2 / 3000) == ["", ""]


def test_short_eclipses_are_not_taken_for_outliers():
    # 5 % of the steps lie in the eclipses, and are all that tells the period
    def dips(angle):
        phase = (angle / (2 * np.pi) + 0.5) % 1 - 0.5
        return 0.8 * np.exp(-0.5 * (phase / 0.012) ** 2)

    right = 0
    for seed in range(10):
        curves = observe(2.37, n=400, days=900, shape=dips, noise=0.02, seed=seed)
        ratio = find_periods(curves, n_candidates=1, period_min=0.3)["period"][0].value / 2.37
        right += min(abs(ratio - k) for k in (0.5, 1, 2)) < 1e-3
    assert right >= 9


def test_dispersion_of_noise_is_one_and_of_a_step_is_nothing():
    rng = np.random.default_rng(1)
    time = rng.uniform(0, 100, 3000)
    noise = measure_dispersion(time, rng.normal(size=3000), np.array([0.7]), 10)
    assert noise[0] == pytest.approx(1, abs=0.05)
    step = np.floor((time * 0.7 % 1) * 10)
    assert measure_dispersion(time, step, np.array([0.7]), 10)[0] == pytest.approx(0, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 3), st.floats(0, 2))
def test_harmonics_are_what_least_squares_with_the_covariance_gives(seed, n_terms, n_bands, common):
    rng = np.random.default_rng(seed)
    n = 60
    time, value, variance = (
        np.sort(rng.uniform(0, 3, n)),
        rng.normal(size=n),
        rng.uniform(0.5, 2, n),
    )
    band = np.arange(n) % n_bands
    ridges, scales = rng.uniform(0.1, 3, (2, n_terms)), np.array([0.5, 2.0])
    first = split_epochs(time, 0.1)
    together = np.repeat(np.arange(len(first) - 1), np.diff(first))
    angle = 2 * np.pi * np.outer(time * 0.37, np.arange(1, n_terms + 1))
    waves = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(n, -1)
    design = np.column_stack([band[:, None] == np.arange(n_bands), waves])
    chi, half = fit_harmonics(
        time, value, variance, band, n_bands, first, common, np.array([0.9, 0.37]), ridges, scales
    )
    for r, ridge in enumerate(ridges):
        for s, scale in enumerate(scales):
            covariance = np.diag(variance) + common * (together[:, None] == together)
            inverse = np.linalg.inv(covariance * scale**2)
            penalty = np.diag(np.concatenate([np.zeros(n_bands), np.repeat(ridge, 2)]))
            normal = design.T @ inverse @ design + penalty
            solved = np.linalg.solve(normal, design.T @ inverse @ value)
            left = value - design @ solved
            expected = left @ inverse @ left + solved @ penalty @ solved
            assert chi[1, r, s] == pytest.approx(expected, rel=1e-7)
            assert half[1, r, s] == pytest.approx(0.5 * np.linalg.slogdet(normal)[1], abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000), st.integers(8, 40), st.sampled_from(["plain", "constant", "masked"]),
    st.sampled_from([0.0, 1e6, -1e9]), st.integers(1, 3), st.booleans(),
)  # fmt: skip
def test_every_curve_has_an_answer_of_finite_numbers(seed, n, kind, zero, bands, twice):
    rng = np.random.default_rng(seed)
    time = rng.uniform(0, 30, n)
    if twice:
        time[n // 2 :] = time[: n - n // 2]  # two bands, or one band again, at the same time
    value = zero + (0 if kind == "constant" else 1) * rng.normal(size=n)
    curves = LightCurves.from_columns(
        name=["a"] * n, time=time, value=value, error=np.full(n, 0.1),
        band=np.array(list("gri"))[rng.integers(bands, size=n)],
        mask=np.full(n, kind == "masked"), **KNOWN,
    )  # fmt: skip
    found = find_periods(curves, period_max=60.0, n_candidates=2, n_bootstrap=1, rng=1)
    if kind == "masked":
        assert len(found) == 0
        assert found.meta["too_short"] == ["a"]
    for row in found:
        assert 0.1 <= row["period"].value <= 60 * (1 + 1e-9)
        assert row["log_evidence"] <= 0
        for name in ("power", "p_false_alarm", "p_bootstrap", "dispersion"):
            assert np.isfinite(row[name]), name


@pytest.mark.parametrize("form", ["jd", "mjd", "isot"])
def test_one_light_curve_is_searched_in_whatever_format_its_time_is(form):
    curves = observe(1.7, n=60, bands=2)
    time = Time(curves.time + 58000, format="mjd", scale="tdb")
    time.format = form
    names = np.array(curves.bands)[curves.band]
    one = LightCurve(time, curves.value * u.mag, curves.error * u.mag, names, name="star")
    expected = find_periods(curves, n_candidates=1)["period"][0]
    assert find_periods(one, n_candidates=1)["period"][0].value == pytest.approx(
        expected.value, rel=1e-7
    )
    assert compute_periodogram(one).name == "star"


def test_what_bands_share_at_one_moment_is_no_evidence_of_a_period():
    gap = []
    for seed in range(4, 9):
        rng = np.random.default_rng(seed)
        time = np.repeat(np.sort(rng.uniform(0, 60, 40)), 5)
        value = np.repeat(rng.normal(size=40), 5) + 0.1 * rng.normal(size=200)
        noise = LightCurves.from_columns(
            name=["n"] * 200, time=time, value=value, band=list("ugriz") * 40, **KNOWN
        )
        gap.append(-find_periods(noise, n_candidates=2)["log_evidence"][1])
    assert np.mean(gap) < 8  # 18 where steps count as independent


def test_short_and_constant_curves_are_named_or_answered():
    curves = LightCurves.from_columns(
        name=["few"] * 5 + ["flat"] * 20, time=np.arange(25.0), value=np.ones(25), **KNOWN
    )
    found = find_periods(curves, n_candidates=1)
    assert found.meta["too_short"] == ["few"]
    assert found["name"].tolist() == ["flat"]
    joined = join_periods(curves, found)
    assert np.isnan(joined["few"].meta["period"])
    empty = find_periods(curves.select([0]))
    assert len(empty) == 0
    assert empty["period"].unit == "day"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"period_min": 0}, "period_min must be finite and > 0"),
     ({"period_min": 500}, "period_max must be"),
     ({"period_min": 1e-6}, "which needs .* Raise period_min"),
     ({"n_candidates": 0}, "n_candidates must be"), ({"n_peaks": 0}, "n_peaks must be")],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        find_periods(observe(1.7), **options)


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="set ASTROML_KIT_DATA to the folder with sdss-s82-rrlyrae")
def test_rr_lyrae_of_stripe_82():
    folder = Path(DATA) / "sdss-s82-rrlyrae"
    truth = np.genfromtxt(
        folder / "periods.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    truth = dict(zip(truth["Num"].astype(str), truth["Per"], strict=True))
    curves = read_lightcurves(folder / "light-curves", time_format="mjd", time_scale="utc")[:60]
    found = find_periods(curves, period_min=0.2, period_max=1.2, n_candidates=1)
    right = [abs(p / truth[n] - 1) < 1e-4
             for n, p in zip(found["name"], found["period"].value, strict=True)]  # fmt: skip
    assert np.mean(right) >= 0.9
