"""Transits: what was put in comes out, noise stays noise, events alone are told, real planets."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import (
    LightCurve,
    LightCurves,
    find_transits,
    flatten_transits,
    inject_transits,
    join_lightcurves,
    mask_transits,
    match_transits,
    read_lightcurves,
    transit_duration,
    transit_flux,
)
from astroml_kit.significance import p_value_from_significance

DATA = os.environ.get("ASTROML_KIT_DATA")
NEEDS_DATA = pytest.mark.skipif(
    not DATA, reason="set ASTROML_KIT_DATA to the folder with exoplanet-transits"
)
BKJD = {"time_format": "bkjd", "time_scale": "tdb"}
CADENCE = 0.0204


def observe(n=1, *, days=24.0, noise=1e-4, gap=(9.0, 10.5), seed=1, cadence=CADENCE):
    rng = np.random.default_rng(seed)
    time = np.arange(0, days, cadence)
    time = time[(time < gap[0]) | (time > gap[1])]
    return LightCurves.from_columns(
        name=np.repeat([f"s{k:03d}" for k in range(n)], len(time)), time=np.tile(time, n),
        value=1 + noise * rng.normal(size=n * len(time)), unit="", **BKJD,
    )  # fmt: skip


def plant(curve, *, period, epoch, ratio, **options):
    """Multiply one light curve by a transit."""
    days = curve.time.jd - 2_454_833.0
    flux = transit_flux(days, period=period, epoch=epoch, radius_ratio=ratio, exposure=CADENCE,
                        **options)  # fmt: skip
    return replace(curve, value=curve.value * flux)


def get_epoch(row):
    return row["epoch"].jd - 2_454_833.0


@settings(max_examples=8, deadline=None)
@given(st.floats(1.2, 7.5), st.floats(0.02, 0.1), st.floats(0, 0.6), st.floats(0, 1))
def test_a_transit_without_noise_comes_back(period, ratio, impact, phase):
    epoch = phase * period
    star = plant(observe(noise=1e-6)[0], period=period, epoch=epoch, ratio=ratio, impact=impact,
                 limb_darkening=(0.0, 0.0))  # fmt: skip
    found = find_transits(star, period_min=1.0, period_max=8.0)
    assert len(found) == 1
    row = found[0]
    assert row["period"].value == pytest.approx(period, rel=1e-4)
    away = (get_epoch(row) - epoch) / period
    assert abs(away - round(away)) * period < 0.1 * CADENCE
    # a uniform disc loses the share that is covered; half an hour blurs the shortest
    assert row["depth"] == pytest.approx(ratio**2, rel=0.05)
    length = transit_duration(period, radius_ratio=ratio, impact=impact)
    assert length < row["duration"].to_value("day") < length + 1.5 * CADENCE
    assert row["secondary_depth"] < 0.01 * ratio**2
    assert row["n_transits"] >= 2
    assert row["significance"] > 20


def test_magnitudes_and_zero_points_of_the_flux_do_not_matter():
    star = plant(observe()[0], period=3.3, epoch=1.0, ratio=0.04)
    one = find_transits(star, period_min=1.0)[0]
    scaled = replace(star, value=star.value * 5e3 * u.ct)
    magnitudes = replace(star, value=(12 - 2.5 * np.log10(star.value.value)) * u.mag)
    for same in (scaled, magnitudes):
        two = find_transits(same, period_min=1.0)[0]
        for key in ("period", "depth", "snr", "odd_even"):
            assert u.Quantity(two[key]).value == pytest.approx(u.Quantity(one[key]).value, rel=1e-3)


def test_noise_is_not_significant_more_often_than_said():
    found = find_transits(observe(50, days=12, gap=(5, 6)), snr_min=0, period_min=1.5)
    assert len(found) == 50
    p = p_value_from_significance(np.asarray(found["significance"]))
    # were p uniform these would be 5 +- 2.1 and 25 +- 3.5
    assert np.sum(p < 0.1) <= 10
    assert np.sum(p < 0.5) <= 32
    assert 3 < np.median(found["snr"]) < 6
    assert np.max(found["snr"]) < 7.1


def test_errors_of_periods_are_those_of_repetitions():
    n = 24
    rng = np.random.default_rng(4)
    period = rng.uniform(1.5, 4.5, n)
    stars = inject_transits(observe(n, days=15, gap=(5, 6)), period=period, radius_ratio=0.03,
                            impact=rng.uniform(0, 0.6, n), random_state=1)  # fmt: skip
    found = find_transits(stars, period_min=1.2, period_max=6.0)
    right = match_transits(found, stars)
    assert right.sum() >= 22
    true = period[[int(name[1:]) for name in found["name"]]]
    pull = ((found["period"].value - true) / found["period_error"].value)[right]
    # sqrt of chi2 / n of 22: 0.6 to 1.4 at four standard deviations, and sampling adds a third
    assert 0.6 < np.sqrt(np.mean(pull**2)) < 1.8
    depth_error = np.asarray(found["depth_error"][right])
    assert (depth_error > 0).all()
    assert (depth_error < 0.1 * found["depth"][right]).all()


def test_two_planets_one_after_the_other_and_what_is_left():
    star = plant(observe(days=30)[0], period=3.1, epoch=0.7, ratio=0.05)
    star = plant(star, period=7.3, epoch=2.9, ratio=0.035)
    found = find_transits(star, period_min=1.0, n_planets=3)
    assert found["planet"].tolist() == [1, 2]
    np.testing.assert_allclose(found["period"].value, [3.1, 7.3], rtol=1e-3)
    rest = mask_transits(star, found)
    assert 0 < rest.n_masked < 0.2 * len(rest)
    assert star.n_masked == 0
    assert len(find_transits(rest, period_min=1.0)) == 0
    flat = flatten_transits(star, found)
    inside = np.abs(flat.time.jd - found["epoch"][0].jd) < found["duration"][0].to_value("day") / 4
    assert np.median(flat.value[inside].value) == pytest.approx(1 - found["depth"][0], abs=2e-4)


def test_odd_and_even_and_a_secondary_betray_a_binary():
    days = observe()[0].time.jd - 2_454_833.0
    star = observe()[0]
    for epoch, ratio in ((1.0, 0.06), (3.0, 0.05)):  # alternately deep: a binary of 4 d
        star = plant(star, period=4.0, epoch=epoch, ratio=ratio)
    binary = find_transits(star, period_min=1.0, period_max=2.5)[0]
    assert binary["period"].value == pytest.approx(2.0, rel=1e-3)
    assert binary["odd_even"] > 10
    planet = find_transits(plant(observe()[0], period=2.0, epoch=1.0, ratio=0.06), period_min=1.0)
    assert planet[0]["odd_even"] < 4
    star = plant(observe()[0], period=3.0, epoch=1.0, ratio=0.06)
    star = plant(star, period=3.0, epoch=2.2, ratio=0.03)
    eclipsed = find_transits(star, period_min=1.0)[0]
    assert eclipsed["secondary_snr"] > 8
    assert eclipsed["secondary_phase"] == pytest.approx(0.4, abs=0.03)
    wave = replace(observe()[0], value=(1 + 3e-4 * np.sin(2 * np.pi * days / 1.3)) * u.Unit(""))
    found = find_transits(wave, period_min=1.0, snr_min=0, window=8.0)[0]
    assert found["sine_share"] > 0.8 > 0.3 > planet[0]["sine_share"]


def test_a_single_event_is_told_when_asked_for_and_never_lends_itself():
    star = plant(observe(days=30)[0], period=300.0, epoch=17.0, ratio=0.06)
    assert len(find_transits(star, period_min=1.0)) == 0
    found = find_transits(star, period_min=1.0, single_transits=True)
    assert len(found) == 1
    assert np.isnan(found["period"][0])
    assert get_epoch(found[0]) == pytest.approx(17.0, abs=0.02)
    assert found["n_transits"][0] == 1
    assert found["significance"][0] > 15
    # 300 d about the Sun: how long it lasts says so within a factor of two
    assert 150 < found["period_of_star"][0].value < 600
    # a planet is found behind it
    both = plant(star, period=5.3, epoch=1.1, ratio=0.02)
    assert find_transits(both, period_min=1.0)["period"].value == pytest.approx([5.3], rel=1e-3)
    masked = mask_transits(star, found)
    assert (np.abs(masked.time.jd - found["epoch"][0].jd)[masked.mask] < 0.6).all()


def test_gaps_leave_aliases_open_and_the_star_chooses():
    # events at 2 and 14: one at 8 would have been in the gap
    star = plant(observe(days=18, gap=(6.5, 9.5))[0], period=12.0, epoch=2.0, ratio=0.05)
    row = find_transits(star, period_min=2.0)[0]
    assert row["period"].value == pytest.approx(12.0, rel=1e-3)
    assert [float(p) for p in row["aliases"].split()] == pytest.approx([6.0], rel=1e-3)
    small = find_transits(star, period_min=2.0, star_radius=1.4)[0]
    assert small["period"].value == pytest.approx(6.0, rel=1e-3)


def test_a_trend_is_followed_to_the_ends_of_the_data():
    star = observe(noise=3e-4)[0]
    days = star.time.jd - star.time.jd[0]
    steep = replace(star, value=star.value * (1 + 0.01 * days))
    flat = flatten_transits(steep, find_transits(steep, period_min=2.0, n_planets=2))
    assert len(find_transits(steep, period_min=2.0, single_transits=True)) == 0
    np.testing.assert_allclose(flat.value.value, 1, atol=2e-3)


def test_what_cannot_be_used_is_counted_and_left_out():
    star = plant(observe()[0], period=3.3, epoch=1.0, ratio=0.05)
    value, mask = star.value.copy(), np.zeros(len(star), dtype=bool)
    value[10:20] = np.nan
    mask[30:35] = True
    value[30:35] = 50
    value[200:230] = 0  # what some pipelines write for no data
    found = find_transits(replace(star, value=value, mask=mask), period_min=1.0)
    assert found["period"].value == pytest.approx([3.3], rel=1e-3)
    assert found.meta["n_unused"] == 15
    flat = flatten_transits(replace(star, value=value), found)
    assert len(star) - 40 <= len(flat) < len(star) - 10
    assert np.isfinite(flat.value).all()
    short = find_transits(star.select(slice(30)))
    assert short.meta["too_short"] == ["s000"]
    assert len(short) == 0
    assert short["period"].unit == u.day
    assert len(find_transits(star, period_min=1.0, period_max=200.0)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [({"method": "box"}, "method must be"), ({"period_min": 0}, "period_min must be"),
     ({"period_min": 5, "period_max": 5}, "period_max must be above period_min, 5 d, got 5 d"),
     ({"n_planets": 0}, "n_planets must be"), ({"snr_min": -1}, "snr_min must be"),
     ({"star_radius": 0}, "star_radius must be"), ({"window": 0}, "window must be"),
     ({"period_min": 50}, "period_max must be above")],
)  # fmt: skip
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        find_transits(observe()[0], **options)


def test_curves_that_are_no_flux_are_refused():
    star = observe()[0]
    with pytest.raises(ValueError, match="median above 0"):
        find_transits(replace(star, value=star.value - 1))
    with pytest.raises(ValueError, match="in time order"):
        find_transits(star.select(np.arange(len(star))[::-1]))
    with pytest.raises(ValueError, match="width must be"):
        mask_transits(star, find_transits(star.select(slice(9))), width=0)


def test_quarters_are_joined():
    long = plant(observe(days=30, gap=(14, 16))[0], period=5.3, epoch=1.0, ratio=0.04)
    first = long.time.jd - 2_454_833.0 < 15
    quarters = [replace(long.select(~first), value=0.3 * long.value[~first]), long.select(first)]
    joined = join_lightcurves(quarters, name="star")
    assert joined.name == "star"
    assert joined.meta["n_joined"] == 2
    assert (np.diff(joined.time.jd) > 0).all()
    assert find_transits(joined, period_min=1.0)["period"].value == pytest.approx([5.3], rel=1e-3)
    with pytest.raises(ValueError, match="at least one"):
        join_lightcurves([])
    with pytest.raises(ValueError, match="magnitudes"):
        join_lightcurves([replace(long, value=long.value.value * u.mag)])
    with pytest.raises(ValueError, match="one scale"):
        join_lightcurves([long, replace(long, time=Time(long.time.jd, format="jd", scale="utc"))])
    with pytest.raises(ValueError, match="above 0"):
        join_lightcurves([replace(long, mask=np.ones(len(long), dtype=bool))])


def test_astropy_finds_the_same_period():
    from astropy.timeseries import BoxLeastSquares

    star = plant(observe(noise=2e-4)[0], period=4.7, epoch=2.2, ratio=0.03)
    ours = find_transits(star, period_min=2.0)[0]["period"].value
    days = star.time.jd - 2_454_833.0
    box = BoxLeastSquares(days, star.value.value).autopower([0.1, 0.15], minimum_period=2.0)
    assert ours == pytest.approx(box.period[np.argmax(box.power)], rel=2e-3)


def test_transit_least_squares_gives_the_period_as_well():
    pytest.importorskip("transitleastsquares")
    star = plant(observe(days=10, gap=(5, 6), cadence=0.04)[0], period=2.9, epoch=1.2, ratio=0.05)
    found = find_transits(star, method="tls", period_min=2.6, period_max=3.2)
    assert found["period"].value == pytest.approx([2.9], rel=1e-3)
    assert np.isnan(found["bump"][0])  # which only the box search measures


@pytest.mark.data
@NEEDS_DATA
@pytest.mark.parametrize(
    ("file", "star", "published"),
    [("EPIC201367065.csv", (0.56, 0.60), [10.054626, 24.646582, 44.55646]),  # K2-3, Kosiarek 2019
     ("EPIC206154641.csv", (1.26, 1.07), [2.484193])],  # WASP-75, Gomez Maqueo Chew 2013
)  # fmt: skip
def test_planets_of_the_k2_stars(file, star, published):
    folder = Path(DATA) / "exoplanet-transits" / "k2_tls"
    curve = read_lightcurves(folder / file, unit="", **BKJD)[0]
    found = find_transits(curve, n_planets=len(published), period_min=2.0, star_radius=star[0],
                          star_mass=star[1])  # fmt: skip
    np.testing.assert_allclose(np.sort(found["period"].value), published, rtol=1e-3)


@pytest.mark.data
@NEEDS_DATA
def test_events_of_kepler_90_g_and_h():
    curves = read_lightcurves(Path(DATA) / "exoplanet-transits" / "kepler90_llc")
    star = join_lightcurves(curves, name="Kepler-90")
    found = find_transits(star, n_planets=2, single_transits=True, period_min=40.0,
                          star_radius=1.2, star_mass=1.2)  # fmt: skip
    # Cabrera et al. 2014: epochs of g and h plus one period; both come off their ephemerides
    expected = [140.49631 + 331.60059, 147.0364 + 210.60697]
    assert np.isnan(found["period"]).all()
    np.testing.assert_allclose([get_epoch(row) for row in found], expected, atol=0.15)
    np.testing.assert_allclose(found["depth"], [0.0080, 0.0041], rtol=0.1)


def test_no_warning_leaves_a_search():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = LightCurve(Time(np.arange(60.0), format="mjd", scale="tdb"), np.ones(60) * u.ct)
        assert len(find_transits(flat, period_min=5.0)) == 0
