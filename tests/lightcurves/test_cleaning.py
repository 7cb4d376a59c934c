"""Cleaning: what is masked is what should be, levels are those of references, folds turn right."""

import os
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.io import fits
from astropy.stats import biweight_location, mad_std, sigma_clip
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import (
    LightCurve,
    LightCurves,
    bin_lightcurves,
    check_barycentre,
    clean_lightcurves,
    correct_barycentre,
    detrend_lightcurves,
    find_periods,
    fold_lightcurves,
    mask_fold_outliers,
    mask_noisy,
    mask_outliers,
    read_lightcurves,
    simulate_lightcurves,
)
from astroml_kit.lightcurves._transits.box_search import run_biweight

DATA = os.environ.get("ASTROML_KIT_DATA")
KNOWN = {"unit": "mag", "time_format": "mjd", "time_scale": "utc"}
CTIO = EarthLocation.from_geodetic(-70.806789, -30.169283, 2241.9)
STAR = SkyCoord(26.0, -16.0, unit="deg")


def make(days, value, unit=u.ct, **options):
    return LightCurve(Time(58000 + days, format="mjd", scale="tdb"), value * unit, **options)


def draw(rng, n_objects=3, n=120, **options):
    known = {"error": rng.uniform(0.01, 0.03, n), "band": rng.choice(["g", "r"], n)} | options
    return LightCurves.from_columns(
        name=rng.integers(n_objects, size=n).astype(str), time=rng.uniform(58000, 58100, n),
        value=rng.normal(15, 0.1, n), **KNOWN | known,
    )  # fmt: skip


# --- masks ----------------------------------------------------------------------------------------
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(1.5, 6), st.floats(1.5, 6))
def test_outliers_are_those_of_astropy(seed, low, high):
    rng = np.random.default_rng(seed)
    value = rng.standard_t(2, 60)
    curve = make(np.arange(60.0), value)
    options = {"scatter": "whole", "n_iterations": 20}
    masked = mask_outliers(curve, sigma_faint=low, sigma_bright=high, **options)
    expected = sigma_clip(
        value, sigma_lower=low, sigma_upper=high, cenfunc="median", stdfunc=mad_std, maxiters=20
    )
    np.testing.assert_array_equal(masked.mask, expected.mask)
    assert masked.meta["n_outliers"] == masked.n_masked == expected.mask.sum()
    np.testing.assert_array_equal(masked.value, curve.value)
    assert not curve.n_masked, "the input is untouched"
    # magnitudes run the other way
    magnitudes = make(np.arange(60.0), -value, u.mag)
    same = mask_outliers(magnitudes, sigma_faint=low, sigma_bright=high, **options)
    np.testing.assert_array_equal(same.mask, masked.mask)


def test_outliers_are_those_of_lightkurve():
    lightkurve = pytest.importorskip("lightkurve", reason="a peer: pip install lightkurve")
    rng = np.random.default_rng(3)
    value = rng.standard_t(2, 400)
    peer = lightkurve.LightCurve(time=Time(58000 + np.arange(400.0), format="mjd"), flux=value)
    left = peer.remove_outliers(
        sigma_lower=4, sigma_upper=3, cenfunc="median", stdfunc="mad_std", maxiters=10
    )
    curve = make(np.arange(400.0), value)
    ours = mask_outliers(curve, sigma_faint=4, sigma_bright=3, scatter="whole")
    np.testing.assert_array_equal(ours.drop_masked().value.value, left.flux)


def test_eclipses_stay_and_half_of_the_outliers_of_quiet_stars_go():
    kinds = ["constant", "detached", "semi-detached", "rr-ab"]
    options = {"n": 15, "random_state": 8}
    wild, quiet = (simulate_lightcurves(kinds, outliers=o, **options) for o in (0.02, 0.0))
    off = wild.value != quiet.value
    masked = mask_outliers(wild)
    assert not np.any(masked.mask & ~off)
    constant = np.repeat(np.asarray(wild.objects["label"]) == "constant", wild.n_steps)
    assert 0.3 < masked.mask[off & constant].mean() < 0.6
    both = mask_outliers(wild, sigma_faint=5)
    assert both.mask[off & constant].mean() > 0.8
    counted = np.add.reduceat(both.mask, both.offsets[:-1])
    np.testing.assert_array_equal(both.objects["n_outliers"], counted)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(2, 6))
def test_sides_only_forgive(seed, sigma):
    value = np.random.default_rng(seed).standard_t(2, 60)
    curve = make(np.arange(60.0), value)
    options = {"sigma_faint": sigma, "sigma_bright": sigma, "n_iterations": 1}
    side, whole = (mask_outliers(curve, scatter=s, **options).mask for s in ("side", "whole"))
    assert not np.any(side & ~whole)
    turned = mask_outliers(make(np.arange(60.0), -value), **options)
    np.testing.assert_array_equal(turned.mask, side)


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="set ASTROML_KIT_DATA to the folder with sdss-s82-rrlyrae")
def test_maxima_of_rr_lyrae_are_light():
    folder = Path(DATA) / "sdss-s82-rrlyrae" / "light-curves"
    curves = read_lightcurves(folder, time_format="mjd", time_scale="utc")
    shares = [
        (mask_outliers(curves, scatter=s).n_masked - curves.n_masked) / len(curves.time)
        for s in ("side", "whole")
    ]
    # a few of 1e5 steps against about one in a hundred
    assert shares[0] < 3e-4
    assert shares[1] > 5e-3


def test_bands_are_apart_and_limits_stay_limits():
    days = np.arange(40.0)
    value = np.where(np.arange(40) % 2, 20.0, 10.0) + 0.01 * np.sin(days)
    limit = np.arange(40) == 4
    value[4], value[7] = 5.0, 10.0  # a limit far off, and an r that would do for a g
    band = np.where(np.arange(40) % 2, "r", "g")
    masked = clean_lightcurves(make(days, value, u.mag, band=band, limit=limit))
    assert np.flatnonzero(masked.mask).tolist() == [4, 7]
    assert masked.meta["n_outliers"] == 1
    np.testing.assert_array_equal(masked.limit, limit)


def test_noisy_steps_and_no_numbers_are_counted_once():
    error = np.full(20, 0.1)
    error[[3, 4]] = 0.6, np.nan
    value = np.zeros(20)
    value[5] = np.nan
    mask = np.arange(20) == 9
    noisy = mask_noisy(make(np.arange(20.0), value, error=error * u.ct, mask=mask))
    assert np.flatnonzero(noisy.mask).tolist() == [3, 4, 5, 9]
    assert noisy.meta["n_noisy"] == 3
    assert mask_noisy(noisy).meta["n_noisy"] == 3
    assert mask_noisy(noisy, factor=1.01).n_masked == 4


def test_nothing_is_masked_where_there_is_no_scatter():
    value = np.r_[np.full(9, 5.0), 6.0]
    assert not mask_outliers(make(np.arange(10.0), value), sigma_faint=3).n_masked
    assert not mask_outliers(make(np.arange(4.0), np.r_[1.0, 1.1, 0.9, 50])).n_masked


# --- trends ---------------------------------------------------------------------------------------
def test_the_level_is_that_of_astropy():
    rng = np.random.default_rng(1)
    days = np.sort(rng.uniform(0, 30, 400))
    value = 100 + 5 * np.sin(days / 4) + rng.standard_t(3, 400)
    at = [100, 200, 317]
    level = run_biweight(days, value, days[at], 3.0)
    for knot, ours in zip(days[at], level, strict=True):
        part = value[np.abs(days - knot) <= 1.5]
        centre = np.median(part)
        for _ in range(6):
            centre = biweight_location(part, c=6.0, M=centre)
        assert ours == pytest.approx(centre, rel=1e-9)
    flat = detrend_lightcurves(make(days, value), window=3.0)
    # lines between knots a thirtieth of a window apart
    np.testing.assert_allclose((value / flat.value.value)[at], level, atol=0.3)
    assert flat.value.unit == u.dimensionless_unscaled
    assert flat.meta["detrend_window"] == 3.0


def test_the_level_is_that_of_wotan():
    wotan = pytest.importorskip("wotan", reason="a peer: pip install wotan")
    rng = np.random.default_rng(2)
    days = np.r_[np.arange(0, 12, 0.02), np.arange(15, 27, 0.02)]
    flux = 1 + 0.01 * np.sin(days) + 2e-4 * rng.normal(size=len(days))
    flux[(days % 3.3) < 0.1] -= 0.003
    theirs = wotan.flatten(days, flux, method="biweight", window_length=1.0, cval=6,
                           break_tolerance=1.0, edge_cutoff=0.5)  # fmt: skip
    ours = detrend_lightcurves(make(days, flux), window=1.0)
    inside = np.isfinite(theirs)
    assert inside.mean() > 0.9
    # theirs has a level for each point, ours lines between knots: well below the noise of a point
    apart = (ours.value.value - theirs)[inside]
    assert apart.std() < 1e-4
    assert np.abs(apart).max() < 4e-4


def test_a_short_transit_stays_and_gaps_separate():
    days = np.r_[np.arange(0, 20, 0.02), np.arange(30, 50, 0.02)]
    dip = np.where(np.abs(days - 10) < 0.1, 0.99, 1.0)
    flux = dip * np.where(days < 25, 1.0, 2.0) * (1 + 0.002 * np.sin(days))
    flat = detrend_lightcurves(make(days, flux), window=2.0)
    inside = np.abs(days - 10) < 0.09
    assert flat.value.value[inside].max() < 0.9905
    assert np.abs(flat.value.value[~inside & (np.abs(days - 10) > 0.12)] - 1).max() < 0.004
    magnitudes = detrend_lightcurves(make(days, -2.5 * np.log10(flux), u.mag), window=2.0)
    np.testing.assert_allclose(np.ptp(magnitudes.value.value), -2.5 * np.log10(0.99), atol=0.006)
    noise = 5e-4 * np.random.default_rng(1).normal(size=len(days))
    outliers = mask_outliers(make(days, flux + noise), window=2.0, sigma_faint=8)
    assert np.all(outliers.mask[inside])
    assert outliers.n_masked <= inside.sum() + 2


def test_no_level_is_no_light():
    days = np.r_[np.arange(0, 5, 0.1), 40.0, 40.1, 40.2]
    flat = detrend_lightcurves(make(days, 5 + 0.1 * days), window=2.0)
    assert np.flatnonzero(flat.mask).tolist() == [50, 51, 52]
    assert flat.meta["n_without_trend"] == 3
    with pytest.raises(ValueError, match=r"level is above 0, got -\d.*Use relative=False"):
        detrend_lightcurves(make(days, -5 - days), window=2.0)
    apart = detrend_lightcurves(make(days, -5 - days), window=2.0, relative=False)
    assert np.nanstd(apart.value.value) < 0.5
    assert apart.value.unit == u.ct
    with pytest.raises(ValueError, match="relative must be False for magnitudes"):
        detrend_lightcurves(make(days, days, u.mag), window=2.0, relative=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_many_are_as_one(seed):
    curves = draw(np.random.default_rng(seed))
    steps = (
        lambda c: clean_lightcurves(c, sigma_faint=3, error_factor=1.3, window=20.0),
        lambda c: bin_lightcurves(c, width=7 * u.day, n_min=2),
        lambda c: bin_lightcurves(c, width=7.0, empty="mask"),
    )
    for step in steps:
        for one, alone in zip(step(curves), map(step, curves), strict=True):
            np.testing.assert_allclose(one.time.mjd, alone.time.mjd, rtol=1e-13)
            np.testing.assert_allclose(one.value.value, alone.value.value, rtol=1e-9)
            np.testing.assert_allclose(one.error.value, alone.error.value, rtol=1e-9)
            np.testing.assert_array_equal(one.band, alone.band)
            np.testing.assert_array_equal(one.mask, alone.mask)
            for key in set(alone.meta):
                assert one.meta[key] == alone.meta[key]


# --- bins -----------------------------------------------------------------------------------------
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 40))
def test_a_line_stays_a_line_and_weights_add_up(seed, width):
    rng = np.random.default_rng(seed)
    days = np.sort(rng.uniform(0, 100, 70))
    error = rng.uniform(0.1, 1, 70)
    mask = rng.random(70) < 0.2
    curve = make(days, 3 + 0.5 * days, error=error * u.ct, mask=mask)
    binned = bin_lightcurves(curve, width=width)
    np.testing.assert_allclose(binned.value.value, 3 + 0.5 * (binned.time.mjd - 58000), rtol=1e-6)
    weight = np.sum(binned.error.value**-2.0)
    assert weight == pytest.approx(np.sum(error[~mask] ** -2.0))
    assert binned.meta["n_unbinned"] == mask.sum()
    assert not binned.n_masked
    even = bin_lightcurves(curve, width=width, empty="mask")
    n_bins = int((days[-1] - days[0]) / width) + 1
    assert len(even) == n_bins
    np.testing.assert_array_equal(even.drop_masked().value, binned.value)


def test_bins_are_those_of_lightkurve():
    lightkurve = pytest.importorskip("lightkurve", reason="a peer: pip install lightkurve")
    rng = np.random.default_rng(4)
    days = np.sort(rng.uniform(0, 50, 500))
    value = rng.normal(10, 1, 500)
    peer = lightkurve.LightCurve(
        time=Time(58000 + days, format="mjd", scale="tdb"), flux=value, flux_err=np.full(500, 0.3)
    ).bin(time_bin_size=2.0 * u.day)
    ours = bin_lightcurves(make(days, value, error=np.full(500, 0.3) * u.ct), width=2 * u.day)
    np.testing.assert_allclose(ours.value.value, peer.flux[: len(ours)], rtol=1e-9)
    # theirs are the errors of a step, not of the mean
    n = np.histogram(days - days[0], np.arange(len(ours) + 1) * 2.0)[0]
    np.testing.assert_allclose(ours.error.value * np.sqrt(n), peer.flux_err[: len(ours)], rtol=1e-6)


def test_errors_that_nobody_said_come_from_the_scatter():
    rng = np.random.default_rng(5)
    days = np.sort(rng.uniform(0, 1000, 3000))
    binned = bin_lightcurves(make(days, rng.normal(0, 2.0, 3000)), width=5.0)
    pull = binned.value.value / binned.error.value
    assert pull.std() == pytest.approx(1, abs=0.15)
    assert bin_lightcurves(make(np.arange(5.0), np.ones(5)), width=0.5).error is None


# --- folds ----------------------------------------------------------------------------------------
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 300), st.floats(-5000, 5000))
def test_phase_and_cycle_give_the_time_back(seed, period, start):
    rng = np.random.default_rng(seed)
    curve = make(np.sort(rng.uniform(0, 3000, 50)), rng.normal(size=50))
    epoch = Time(58000 + start, format="mjd", scale="tdb")
    folded = fold_lightcurves(curve, period=period * u.day, epoch=epoch)
    assert np.all((folded.phase >= 0) & (folded.phase < 1))
    again = epoch.mjd + (folded.cycle + folded.phase) * period
    np.testing.assert_allclose(again, curve.time.mjd, rtol=0, atol=1e-9)
    later = fold_lightcurves(curve, period=period, epoch=epoch + 7 * period * u.day)
    np.testing.assert_array_equal(np.abs(later.cycle - folded.cycle + 7) <= 1, True)
    turned = (later.phase - folded.phase + 0.5) % 1 - 0.5
    np.testing.assert_allclose(turned, 0, atol=1e-6)


def test_phases_are_those_of_lightkurve():
    lightkurve = pytest.importorskip("lightkurve", reason="a peer: pip install lightkurve")
    days = np.sort(np.random.default_rng(6).uniform(0, 80, 200))
    time = Time(58000 + days, format="mjd", scale="tdb")
    epoch = Time(58003.3, format="mjd", scale="tdb")
    peer = lightkurve.LightCurve(time=time, flux=days).fold(
        period=2.7, epoch_time=epoch, normalize_phase=True
    )
    peer = peer[np.argsort(peer.flux)]
    ours = fold_lightcurves(make(days, days), period=2.7, epoch=epoch)
    np.testing.assert_allclose(ours.phase, peer.time.value % 1, atol=1e-9)
    # theirs begin half a cycle before the epoch
    cycle = ours.cycle + (ours.phase >= 0.5)
    np.testing.assert_array_equal(np.diff(cycle), np.diff(peer.cycle))


@pytest.mark.parametrize("sign", [1, -1], ids=["mag", "flux"])
def test_phase_0_is_faintest(sign):
    days = np.sort(np.random.default_rng(7).uniform(0, 50, 3000))
    band = np.where(np.arange(3000) % 2, "g", "r")
    value = sign * np.cos(2 * np.pi * (days - 0.5) / 1.7) + 20 + (band == "g")
    folded = fold_lightcurves(
        make(days, value, u.mag if sign == 1 else u.ct, band=band), period=1.7
    )
    assert ((folded.epoch.mjd - 58000.5) / 1.7 + 0.5) % 1 - 0.5 == pytest.approx(0, abs=0.01)
    rows = folded.bin_phases(10)
    assert rows["n"].sum() == 3000
    for name in "gr":
        own = rows["value"][rows["band"] == name].value * sign
        assert own.argmax() in (0, 9)
        np.testing.assert_allclose(own, sign * (20 + (name == "g")) + np.cos(
            2 * np.pi * rows["phase"][:10]), atol=0.15)  # fmt: skip


def test_outliers_of_the_fold_are_found_and_eclipses_stay():
    kinds = ["cepheid", "contact", "detached", "rr-ab"]
    options = {"n": 5, "random_state": 21}
    wild, quiet = (simulate_lightcurves(kinds, outliers=o, **options) for o in (0.02, 0.0))
    off = wild.value != quiet.value
    masked = mask_fold_outliers(wild, period=wild.objects["period"])
    assert masked.mask[off].mean() > 0.8
    assert masked.mask[~off].mean() < 0.002
    assert masked.objects["n_fold_outliers"].sum() == masked.n_masked
    # all at once and one by one
    alone = mask_fold_outliers(wild[7], period=wild.objects["period"][7])
    np.testing.assert_array_equal(alone.mask, masked[7].mask)
    # a period that is not its own says less
    wrong = mask_fold_outliers(wild, period=wild.objects["period"] * np.sqrt(2))
    assert wrong.mask[off].mean() < 0.5
    assert not mask_fold_outliers(wild, period=np.nan).n_masked


def test_a_fold_without_scatter_has_no_outliers():
    days = np.arange(200) * 0.25
    value = np.tile([1.0, 2.0, 3.0, 2.0], 50)
    value[17] = 9.0
    masked = mask_fold_outliers(make(days, value), period=1.0)
    assert not masked.n_masked
    noise = 0.1 * np.random.default_rng(1).normal(size=200)
    assert mask_fold_outliers(make(days, value + noise), period=1.0, sigma=8).mask[17]


def test_a_table_of_periods_folds_them_all():
    curves = simulate_lightcurves("rr-ab", n=3, survey="ztf", random_state=1)
    periods = find_periods(curves, n_candidates=2)
    periods = periods[periods["name"] != curves.names[1]]
    folds = fold_lightcurves(curves, period=periods)
    assert [len(fold) for fold in folds] == curves.n_steps.tolist()
    assert np.isnan(folds[1].period)
    assert folds[1].mask.all()
    for number in (0, 2):
        best = periods[(periods["name"] == curves.names[number]) & (periods["rank"] == 0)]
        assert folds[number].period == best["period"][0]
        table = folds[number].to_table()
        assert table["phase"].max() < 1
        assert table.meta["period"] == folds[number].period
        assert f"{folds[number].period.value:.8g} d" in str(folds[number])


def test_everything_chains():
    curves = simulate_lightcurves("rr-c", n=1, survey="ztf", random_state=2)
    period = curves.objects["period"][0]
    rows = fold_lightcurves(bin_lightcurves(clean_lightcurves(curves), width=0.01)[0],
                            period=period).bin_phases(8)  # fmt: skip
    assert np.isfinite(rows["value"]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: fold_lightcurves(c, period=-1.0), "period must be finite and > 0, got -1"),
        (lambda c: fold_lightcurves(c, period=[1, 2.0]), "period must be one number or one for"),
        (lambda c: fold_lightcurves(c, period=1, epoch="last"), "epoch must be a Time or one of"),
        (lambda c: bin_lightcurves(c, width=0), "width must be finite and > 0"),
        (lambda c: bin_lightcurves(c, width=1, empty="fill"), "empty must be one of"),
        (lambda c: mask_noisy(c, factor=1), "factor must be finite and > 1"),
        (lambda c: mask_outliers(c, sigma_bright=0), "sigma_bright must be > 0"),
        (lambda c: mask_outliers(c, scatter="std"), "scatter must be one of"),
        (lambda c: mask_outliers(c, gap=3), "gap must be given with a window"),
        (lambda c: detrend_lightcurves(c, window=None), "window must be a number of days"),
        (lambda c: fold_lightcurves(c, period=1).bin_phases(1), "n_bins must be"),
        (lambda c: correct_barycentre(c, position=STAR), "times of a clock, got 'scale tdb'"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(make(np.arange(5.0), np.ones(5)))


def test_a_curve_without_steps_goes_through():
    curve = make(np.zeros(0), np.zeros(0))
    cleaned = clean_lightcurves(curve, window=1.0)
    assert len(bin_lightcurves(cleaned, width=1.0)) == 0
    assert len(fold_lightcurves(cleaned, period=1.0)) == 0


# --- barycentre -----------------------------------------------------------------------------------
def move(star, date):
    moved = star.apply_space_motion(new_obstime=Time(date, format="jd"))
    return SkyCoord(moved.ra, moved.dec)


def test_the_barycentre_is_that_of_barycorrpy():
    # Tau Ceti from CTIO, Hipparcos astrometry: test_JDUTC_BJDTDB of barycorrpy (Kanodia & Wright
    # 2018, doi:10.3847/2515-5172/aaa4b7), itself checked against Eastman et al. 2010
    star = SkyCoord(
        26.0213645867 * u.deg, -15.9395557246 * u.deg, distance=3.65 * u.pc,
        pm_ra_cosdec=-1721.05 * u.mas / u.yr, pm_dec=854.16 * u.mas / u.yr,
        obstime=Time("J1991.25"),
    )  # fmt: skip
    time = Time(2458000 + np.array([0, 1e-5, 2e-5]), format="jd", scale="utc")
    curve = LightCurve(time, [1, 1, 1] * u.mag)
    moved = correct_barycentre(curve, position=move(star, 2458000), location=CTIO)
    expected = 2458000 + np.array([0.00505211, 0.00506211, 0.00507211])
    np.testing.assert_allclose(moved.time.jd, expected, rtol=0, atol=1e-8)
    assert moved.time.scale == "tdb"
    assert moved.meta["time_reference"] == "barycentric"
    with pytest.raises(ValueError, match="times of a clock, got 'barycentric'"):
        correct_barycentre(moved, position=STAR)
    centre = correct_barycentre(curve, position=move(star, 2458000))
    assert 0 < abs((centre.time - moved.time).to_value("ms")[0]) < 21.5


def test_heliocentric_times_are_those_of_astropy():
    time = Time(58000 + np.linspace(0, 2000, 30), format="mjd", scale="utc")
    light = np.ones(30) * u.mag
    helio = time + time.light_travel_time(STAR, "heliocentric", location=CTIO)
    by_clock = correct_barycentre(LightCurve(time, light), position=STAR, location=CTIO)
    by_sun = correct_barycentre(
        LightCurve(helio, light), position=STAR, location=CTIO, reference="sun"
    )
    assert np.abs((by_sun.time - by_clock.time).to_value("us")).max() < 1
    # Eastman et al. 2010: the Sun is within about 4 s of the barycentre
    apart = np.abs((by_sun.time - helio).to_value("s"))
    assert 1 < apart.max() < 5
    said = LightCurve(helio, light, meta={"time_reference": "heliocentric"})
    with pytest.raises(ValueError, match="reference must be 'sun' for times that are heliocentric"):
        correct_barycentre(said, position=STAR, location=CTIO)
    wrong = correct_barycentre(LightCurve(helio, light), position=STAR, location=CTIO)
    assert np.abs((wrong.time - by_clock.time).to_value("s")).max() > 300


def test_many_objects_have_places_of_their_own():
    curves = draw(np.random.default_rng(9), n=40)
    places = SkyCoord([10, 100, 200], [0, 40, -70], unit="deg")
    moved = correct_barycentre(curves, position=places, location=CTIO)
    assert moved.time_scale == "tdb"
    for number, one in enumerate(moved):
        alone = correct_barycentre(curves[number], position=places[number], location=CTIO)
        np.testing.assert_allclose(one.time.mjd, alone.time.mjd, rtol=0, atol=2e-11)
        assert one.meta["time_reference"] == "barycentric"
    with pytest.raises(ValueError, match="times of a clock"):
        correct_barycentre(replace(moved, time_scale="utc"), position=places)
    with pytest.raises(ValueError, match="position must be one or one for each of the 3"):
        correct_barycentre(curves, position=places[:2])


def test_an_even_cadence_tells_a_clock_from_the_barycentre():
    days = np.arange(0, 60, 0.02)
    clock = LightCurve(Time(58000 + days, format="mjd", scale="utc"), np.ones(len(days)) * u.ct)
    moved = correct_barycentre(clock, position=STAR)
    check = check_barycentre(moved, position=STAR)
    assert check.share == pytest.approx(1, abs=0.01)
    assert check.plausible
    assert "plausibly barycentric: scale tdb, cadence shows 1.0" in str(check)
    called = replace(clock, time=Time(58000 + days, format="mjd", scale="tdb"))
    check = check_barycentre(called, position=STAR)
    assert check.share < 0.01
    assert not check.plausible
    assert not check_barycentre(clock, position=STAR).plausible
    nights = check_barycentre(draw(np.random.default_rng(1), time_scale="tdb")[0], position=STAR)
    assert np.isnan(nights.share)
    assert nights.plausible
    assert nights.to_dict()["share"] is None


def test_half_a_day_lost_is_daylight():
    # at CTIO
    midnight = 58000.2 + np.arange(30) + np.random.default_rng(1).uniform(-0.1, 0.1, 30)
    for shift, n in ((0, 0), (0.5, 30)):
        time = Time(midnight + shift, format="mjd", scale="tdb")
        check = check_barycentre(
            LightCurve(time, np.ones(30) * u.mag), position=STAR, location=CTIO
        )
        assert check.n_daylight == n
        assert check.plausible == (n == 0)
        assert ("by daylight" in str(check)) == (n > 0)


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="set ASTROML_KIT_DATA to the folder with exoplanet-transits")
@pytest.mark.parametrize("name", [
    "hlsp_tess-data-alerts_tess_phot_00025155310-s01_tess_v1_lc.fits",
    "kepler90_llc/kplr011442793-2010009091648_llc.fits",
])  # fmt: skip
def test_missions_say_the_truth_of_their_times(name):
    with fits.open(Path(DATA) / "exoplanet-transits" / name) as file:
        star = SkyCoord(file[0].header["RA_OBJ"], file[0].header["DEC_OBJ"], unit="deg")
        offset = float(file[1].header["BJDREFI"])
        rows = np.array(file[1].data["TIME"], dtype=float)
        shift = np.array(file[1].data["TIMECORR"], dtype=float)
    good = np.isfinite(rows)
    for days, expected in ((rows[good], True), ((rows - shift)[good], False)):
        time = Time(np.full(len(days), offset), days, format="jd", scale="tdb")
        curve = LightCurve(time, np.ones(len(days)) * u.ct)
        assert check_barycentre(curve, position=star).plausible == expected
