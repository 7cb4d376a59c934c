"""Simulated light curves keep the laws of what they simulate, and their seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import LightCurves, find_periods, simulate_lightcurves
from astroml_kit.lightcurves.simulation import KINDS, SURVEYS
from astroml_kit.lightcurves.transit_shape import covered_light, transit_duration, transit_flux


def test_every_kind_in_every_survey():
    for survey, habits in SURVEYS.items():
        curves = simulate_lightcurves(n=2, survey=survey, random_state=1)
        assert len(curves) == 2 * len(KINDS)
        assert np.isfinite(curves.value).all()
        assert (curves.error > 0).all()
        assert (curves.unit, curves.time_scale) == (habits.unit, habits.time_scale)
        for number in range(len(curves)):
            days = curves.time[curves.offsets[number] : curves.offsets[number + 1]]
            assert (np.diff(days) >= 0).all()
        span = curves.time.max() - curves.time.min()
        assert 0.8 * habits.days < span <= habits.days + 1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(KINDS)))
def test_a_seed_gives_the_same_bits_whatever_the_number_of_others(seed, kind):
    rest = "rr-c" if kind == "constant" else "constant"
    one = simulate_lightcurves([kind, rest], n=[3, 1], random_state=seed)
    two = simulate_lightcurves([kind, rest], n=[3, 4], random_state=seed)
    n = one.offsets[3]
    assert np.array_equal(one.time[:n], two.time[:n])
    assert np.array_equal(one.value[:n], two.value[:n])
    other = simulate_lightcurves([kind, rest], n=[3, 1], random_state=seed + 1)
    assert not np.array_equal(one.value, other.value)


@pytest.mark.parametrize("kind", ["rr-ab", "rr-c", "cepheid", "contact", "semi-detached"])
def test_periods_come_back(kind):
    curves = simulate_lightcurves(kind, n=8, survey="asas", random_state=2)
    found = find_periods(curves, n_candidates=1)
    true = np.array(curves.objects["period"])
    # eclipses of equal depth fold at half of the period as well
    ratios = (1.0, 0.5) if kind == "contact" else (1.0,)
    apart = np.min([np.abs(found["period"].value / true - r) for r in ratios], axis=0)
    assert np.mean(apart < 1e-3) >= 0.75


def test_a_damped_random_walk_has_its_variance_and_structure_function():
    # Kelly et al. 2009: SF^2(dt) = 2 sigma^2 (1 - exp(-dt / tau))
    curves = simulate_lightcurves("agn", n=600, survey="fermi", noise=False, random_state=3)
    tau, sigma = (np.array(curves.objects[name]) for name in ("tau", "scatter"))
    squared, far = [], {7: [], 70: [], 700: []}
    for number in range(len(curves)):
        rows = slice(curves.offsets[number], curves.offsets[number + 1])
        walk = -2.5 * np.log10(curves.value[rows])
        walk = (walk - curves.objects["magnitude"][number]) / sigma[number]
        squared.append(np.mean(walk**2))
        for lag, values in far.items():
            step = lag // 7
            apart = np.isclose(np.diff(curves.time[rows]), 7, atol=1e-6)
            assert apart.mean() > 0.9
            days = curves.time[rows]
            same = np.isclose(days[step:] - days[:-step], lag)
            expected = 2 * (1 - np.exp(-lag / tau[number]))
            values.append(np.mean((walk[step:] - walk[:-step])[same] ** 2) / expected)
    assert np.mean(squared) == pytest.approx(1, abs=0.06)
    for values in far.values():
        assert np.mean(values) == pytest.approx(1, abs=0.06)


def test_noise_is_as_large_as_its_errors():
    options = {"n": 30, "outliers": 0.0, "random_state": 4}
    for survey in ("asas", "kepler", "fermi"):
        noisy = simulate_lightcurves("rr-ab", survey=survey, **options)
        exact = simulate_lightcurves("rr-ab", survey=survey, noise=False, **options)
        assert exact.error is None
        pull = (noisy.value - exact.value) / noisy.error
        assert np.std(pull) == pytest.approx(1, abs=0.05)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 0.2), st.floats(0, 1.3))
def test_a_uniform_disc_hides_what_two_circles_share(ratio, distance):
    if distance <= 1 - ratio:
        share = ratio**2
    elif distance >= 1 + ratio:
        share = 0.0
    else:
        one = np.arccos((distance**2 + 1 - ratio**2) / (2 * distance))
        two = np.arccos((distance**2 + ratio**2 - 1) / (2 * distance * ratio))
        square = 4 * distance**2 - (1 + distance**2 - ratio**2) ** 2
        share = (one + ratio**2 * two - 0.5 * np.sqrt(max(square, 0))) / np.pi
    ours = covered_light([distance], ratio, limb_darkening=(0.0, 0.0))[0]
    assert ours == pytest.approx(share, abs=2e-6)


def test_limb_darkening_deepens_the_middle_as_for_a_small_planet():
    # Mandel & Agol 2002, section 5: a small planet hides p^2 I(r) / <I>
    first, second, ratio = 0.4, 0.26, 0.01
    for distance in (0.0, 0.4, 0.8):
        mu = np.sqrt(1 - distance**2)
        light = 1 - first * (1 - mu) - second * (1 - mu) ** 2
        expected = ratio**2 * light / (1 - first / 3 - second / 6)
        ours = covered_light([distance], ratio, limb_darkening=(first, second))[0]
        assert ours == pytest.approx(expected, rel=2e-3)


def test_the_duration_is_that_of_the_light_and_of_the_earth():
    assert 24 * transit_duration(365.25, radius_ratio=0.00917, impact=0) == pytest.approx(
        13.1, 0.01
    )
    time = np.linspace(-0.5, 0.5, 20_001)
    for impact in (0.0, 0.5, 0.9):
        flux = transit_flux(time, period=10.0, epoch=0.0, radius_ratio=0.1, impact=impact)
        seen = np.ptp(time[flux < 1])
        expected = transit_duration(10.0, radius_ratio=0.1, impact=impact)
        assert seen == pytest.approx(expected, abs=2e-3)


def test_exposures_blur_but_keep_the_area():
    time = np.linspace(-0.5, 0.5, 5001)
    sharp, long = (
        1 - transit_flux(time, period=5.0, epoch=0.0, radius_ratio=0.1, exposure=e)
        for e in (0.0, 0.04)
    )
    assert long.sum() == pytest.approx(sharp.sum(), rel=2e-3)
    assert (long > 0).sum() > (sharp > 0).sum()


def test_times_are_copied_from_real_ones():
    time = np.tile(np.sort(np.random.default_rng(5).uniform(0, 300, 90)), 2)
    real = LightCurves.from_columns(
        name=np.repeat(["a", "b"], 90), time=time, value=np.full(180, 14.0),
        error=np.full(180, 0.02), unit="mag", time_format="mjd", time_scale="utc",
    )  # fmt: skip
    curves = simulate_lightcurves("rr-c", n=5, survey=real, random_state=1)
    assert set(curves.time) <= set(time)
    assert set(curves.error) == {0.02}


@pytest.mark.parametrize("survey", ["asas", "ztf"])
def test_what_has_not_exploded_yet_is_not_seen(survey):
    curves = simulate_lightcurves("supernova", n=50, survey=survey, outliers=0, random_state=3)
    assert curves.objects.meta["n_undetected"] > 1000
    assert np.isfinite(curves.value).all()
    assert curves.value.max() < 25


def test_a_supernova_follows_a_template_of_sncosmo():
    sncosmo = pytest.importorskip("sncosmo", reason="extra lightcurves")
    phase, wave = np.linspace(-20, 50, 71), np.linspace(3000, 9000, 50)
    shape = np.exp(-0.5 * (phase / 10) ** 2)[:, None] * np.ones(50)
    source = sncosmo.TimeSeriesSource(phase, wave, shape)
    curves = simulate_lightcurves(
        "supernova", n=5, supernova_source=source, noise=False, random_state=1
    )
    for curve in curves:
        since = curve.time.mjd - curve.meta["epoch"]
        near = np.abs(since) < 15
        width = 10 * (1 + curve.meta["redshift"])
        expected = 1.0857 * 0.5 * (since[near] / width) ** 2
        drop = curve.value.value[near] - curve.meta["magnitude"]
        np.testing.assert_allclose(drop, expected, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kinds": "quark-star"}, "kind must be one of"),
        ({"kinds": ["agn", "agn"]}, "named once"),
        ({"kinds": "agn", "n": -1}, "n must be an integer >= 0"),
        ({"kinds": "agn", "n": 0}, "above 0 for at least one"),
        ({"kinds": ["agn", "mira"], "n": [1]}, "lengths must be equal"),
        ({"survey": "hubble"}, "survey must be one of"),
        ({"outliers": 1.0}, "outliers must be"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_lightcurves(**arguments)
