"""Simulated galaxies: the groups, Fingers of God and field that were asked for."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.cosmology import Planck18
from scipy.stats import kstest

from astroml_kit.catalogs import simulate_galaxies

LIGHT = 299_792.458


def test_counts_and_ranges_are_those_asked_for():
    galaxies = simulate_galaxies(
        30, n_field=400, radius=5 * u.deg, redshift_min=0.02, redshift_max=0.06, richness_min=8,
        richness_max=60, rng=1,
    )  # fmt: skip
    group = np.asarray(galaxies["true_group"])
    size = np.bincount(group[group >= 0])
    assert len(size) == 30
    assert size.min() >= 8
    assert size.max() <= 60
    assert np.sum(group < 0) == 400
    true = np.asarray(galaxies["true_redshift"])
    assert true.min() >= 0.02
    assert true.max() <= 0.06
    away = galaxies["coord"].separation(SkyCoord(0 * u.deg, 0 * u.deg))
    assert away[group < 0].max() <= 5 * u.deg
    for name in ("true_dispersion", "true_radius"):
        assert np.array_equal(np.isnan(galaxies[name].value), group < 0)
    for number in range(30):
        assert len(np.unique(true[group == number])) == 1


def test_fingers_of_god_have_the_dispersion_of_the_group():
    galaxies = simulate_galaxies(
        40, n_field=3000, richness_min=200, richness_max=400, redshift_max=0.05, rng=2
    )
    true, member = np.asarray(galaxies["true_redshift"]), np.asarray(galaxies["true_group"]) >= 0
    velocity = LIGHT * (galaxies["redshift"] - true) / (1 + true)
    sigma = galaxies["true_dispersion"].to_value("km/s")
    assert kstest(velocity[member] / sigma[member], "norm").pvalue > 1e-3
    assert np.std(velocity[~member]) == pytest.approx(200, rel=0.08)


def test_groups_reach_r200_and_are_dense_inside():
    galaxies = simulate_galaxies(30, n_field=0, richness_min=100, richness_max=300, rng=3)
    group, shares = np.asarray(galaxies["true_group"]), []
    for number in range(30):
        rows = galaxies[group == number]
        z, r200 = rows["true_redshift"][0], rows["true_radius"][0]
        # Carlberg et al. 1997
        sigma = rows["true_dispersion"][0]
        assert r200.to_value("Mpc") == pytest.approx(
            (np.sqrt(3) * sigma / (10 * Planck18.H(z))).to_value("Mpc"), rel=1e-6
        )
        vector = rows["coord"].cartesian.xyz.value.mean(axis=1)
        centre = SkyCoord(*vector, representation_type="cartesian").spherical
        centre = SkyCoord(centre.lon, centre.lat)
        away = (rows["coord"].separation(centre).rad) * Planck18.angular_diameter_distance(z) / r200
        assert away.max() < 1.15
        shares.append(np.mean(away < 0.5))
    # of a shell at r in units of r200, 1 - sqrt(1 - 1 / (2 r)^2) is within r200 / 2 in projection
    r = np.linspace(0, 1, 20_001)[1:]
    mass = r / (1 + 4 * r) ** 2
    seen = 1 - np.sqrt(1 - np.minimum(1 / (2 * r), 1) ** 2)
    assert np.mean(shares) == pytest.approx(np.sum(mass * seen) / np.sum(mass), abs=0.015)


def test_galaxies_are_even_in_volume_and_on_the_sky():
    field = simulate_galaxies(0, n_field=4000, radius=180 * u.deg, redshift_max=0.2, rng=4)
    volume = Planck18.comoving_volume(np.asarray(field["true_redshift"])).value
    low, high = Planck18.comoving_volume([0.01, 0.2]).value
    assert kstest((volume - low) / (high - low), "uniform").pvalue > 1e-3
    assert kstest((np.sin(field["coord"].dec.rad) + 1) / 2, "uniform").pvalue > 1e-3


def test_one_seed_gives_the_same_galaxies_and_the_centre_moves_them():
    options = {"n_field": 50, "radius": 2 * u.deg, "rng": 5}
    one, two = (simulate_galaxies(3, **options) for _ in range(2))
    assert np.array_equal(one["redshift"], two["redshift"])
    assert np.array_equal(one["coord"].ra.deg, two["coord"].ra.deg)
    pole = simulate_galaxies(3, centre=SkyCoord(30 * u.deg, 90 * u.deg), **options)
    assert pole["coord"].dec.min() > 85 * u.deg
    assert np.array_equal(one["true_group"], pole["true_group"])
    galactic = simulate_galaxies(3, centre=SkyCoord(0 * u.deg, 0 * u.deg, frame="galactic"),
                                 **options)  # fmt: skip
    assert galactic["coord"].frame.name == "galactic"
    np.testing.assert_allclose(galactic["coord"].b.deg, one["coord"].dec.deg, atol=1e-9)


def test_nothing_gives_an_empty_table():
    assert len(simulate_galaxies(0, n_field=0, rng=1)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_groups": -1}, "n_groups must be .*>= 0"),
        ({"n_field": 1.5}, "n_field must be a whole number"),
        ({"radius": 3}, "radius must be an angle"),
        ({"redshift_min": 0}, "redshift_min must be .*> 0"),
        ({"redshift_min": 0.2}, "redshift_max must be above redshift_min"),
        ({"richness_min": 0}, "richness_min must be .*>= 1"),
        ({"richness_max": 2}, "richness_max must be above"),
        ({"richness_index": -1}, "richness_index must be"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_galaxies(**options)
