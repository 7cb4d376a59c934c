"""Simulated open clusters: the profile, velocities and errors that were asked for."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from scipy.stats import kstest

from astroml_kit.catalogs import simulate_open_cluster


@pytest.fixture(scope="module")
def stars():
    return simulate_open_cluster(4000, n_field=4000, radius=1.5 * u.deg, rng=1)


def test_numbers_and_names(stars):
    assert len(stars) == 8000
    assert stars["true_member"].sum() == 4000
    away = stars["coord"].separation(SkyCoord(120 * u.deg, -3 * u.deg, frame="galactic"))
    assert away.max() <= 1.5 * u.deg + 1e-6 * u.deg
    assert stars["phot_g_mean_mag"].max() < 19.2
    again = simulate_open_cluster(4000, n_field=4000, radius=1.5 * u.deg, rng=1)
    assert np.array_equal(again["pmra"], stars["pmra"])
    assert len(simulate_open_cluster(0, n_field=0, rng=1)) == 0


def test_errors_are_as_large_as_said(stars):
    for name, truth in (("pmra", stars["true_pmra"]), ("pmdec", stars["true_pmdec"]),
                        ("parallax", 1 / stars["true_distance"].value * u.mas)):  # fmt: skip
        pull = ((stars[name] - truth) / stars[f"{name}_error"]).to_value("")
        assert kstest(pull, "norm").pvalue > 1e-3
    one = ((stars["pmra"] - stars["true_pmra"]) / stars["pmra_error"]).to_value("")
    two = ((stars["pmdec"] - stars["true_pmdec"]) / stars["pmdec_error"]).to_value("")
    high = stars["pmra_pmdec_corr"] > 0.15
    expected = stars["pmra_pmdec_corr"][high].mean()
    assert np.mean(one[high] * two[high]) == pytest.approx(expected, abs=4 / np.sqrt(high.sum()))


@pytest.mark.parametrize("profile", ["plummer", "king"])
def test_half_of_the_members_are_within_the_half_radius(profile):
    stars = simulate_open_cluster(
        4000, n_field=0, radius=3 * u.deg, profile=profile, half_radius=3 * u.pc,
        tidal_radius=15 * u.pc, rng=2,
    )  # fmt: skip
    centre = SkyCoord(120 * u.deg, -3 * u.deg, frame="galactic")
    away = np.radians(stars["coord"].separation(centre).deg) * 1000  # pc at 1 kpc
    assert np.mean(away < 3) == pytest.approx(0.5, abs=0.03)
    assert away.max() <= 15.01


def test_velocities_are_those_of_the_cluster():
    stars = simulate_open_cluster(
        3000, n_field=0, distance=0.5 * u.kpc, dispersion=2 * u.km / u.s,
        motion=[3, -4] * u.mas / u.yr, rng=3,
    )  # fmt: skip
    for name, mean in (("true_pmra", 3.0), ("true_pmdec", -4.0)):
        speed = stars[name].value * 4.740470463 * 0.5
        assert speed.std() == pytest.approx(2, rel=0.06)
        assert speed.mean() == pytest.approx(mean * 4.740470463 * 0.5, abs=0.15)
    assert np.median(stars["parallax"].value) == pytest.approx(2, abs=0.01)


def test_the_field_turns_with_the_disc():
    """Towards l = 90, stars without dispersion would have pm_l of (B - A) / 4.74 and the Sun's."""
    centre = SkyCoord(90 * u.deg, 0 * u.deg, frame="galactic")
    field = simulate_open_cluster(0, n_field=20_000, centre=centre, rng=4)
    moving = SkyCoord(
        field["ra"], field["dec"], pm_ra_cosdec=field["true_pmra"], pm_dec=field["true_pmdec"]
    ).galactic
    speed = moving.pm_l_cosb.value * 4.740470463 * field["true_distance"].value
    # towards l = 90 motion in l is -U: the Sun's 11.1 km/s inwards, and the turning per kpc
    far = field["true_distance"].value
    slope, offset = np.polyfit(far, speed, 1)
    assert slope == pytest.approx(-11.9 - 15.3, abs=1.5)
    assert offset == pytest.approx(11.1, abs=3)
    up = moving.pm_b.value * 4.740470463 * far
    assert up.mean() == pytest.approx(-7.2, abs=0.6)
    assert up.std() == pytest.approx(16, rel=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_members": -1}, "n_members must be"),
        ({"n_field": 1.5}, "n_field must be a whole number"),
        ({"profile": "flat"}, "profile must be one of"),
        ({"tidal_radius": 2 * u.pc}, "tidal_radius must be"),
        ({"distance": 0 * u.kpc}, "distance must be"),
        ({"binaries": 2}, "binaries must be"),
        ({"motion": [1, 2, 3] * u.mas / u.yr}, "motion must be two numbers"),
        ({"radius": 20 * u.deg}, "radius must be"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_open_cluster(**{"n_members": 5, "n_field": 5} | options)
