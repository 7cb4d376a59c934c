"""Densities on the sphere: nothing is lost, areas are true."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.catalogs import measure_density

pytest.importorskip("astropy_healpix", reason="astropy-healpix is of the extra catalogs")


def draw_sky(n, seed):
    rng = np.random.default_rng(seed)
    return SkyCoord(
        rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))), unit="deg"
    )


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 300), order=st.integers(0, 8), seed=st.integers(0, 99))
def test_every_position_is_counted_once(n, order, seed):
    density = measure_density(draw_sky(n, seed), nside=2**order)
    assert density["n"].sum() == n
    assert np.all(density["n"] > 0)
    assert len(np.unique(density["pixel"])) == len(density)
    total = (density["density"] * density.meta["pixel_area"]).sum()
    assert total.to_value("") == pytest.approx(n)


def test_a_whole_sky_has_its_area():
    density = measure_density(draw_sky(50_000, 1), nside=8, empty=True)
    assert len(density) == 12 * 64
    area = density.meta["pixel_area"]
    assert (area * len(density)).to_value("sr") == pytest.approx(4 * np.pi)
    pull = (density["density"] - 50_000 / (area * len(density))) / density["density_error"]
    assert pull.to_value("").std() == pytest.approx(1, abs=0.1)


def test_positions_are_near_the_centres_of_their_pixels():
    """At the poles and on both sides of 0 degrees; in any frame."""
    coords = SkyCoord([0.01, 359.99, 10, 200], [0, 0, 89.99, -89.99], unit="deg")
    for sky in (coords, coords.galactic):
        density = measure_density(sky, nside=64)
        assert density.meta["frame"] == sky.frame.name
        away = sky[:, None].separation(density["centre"][None, :]).min(axis=1)
        assert away.max() < 0.8 * u.deg


def test_weights_and_what_is_lost():
    coords = SkyCoord([10, 10, np.nan, 200], [5, 5, 5, 5], unit="deg")
    density = measure_density(coords, nside=32, weights=[1, 3, 9, 2])
    assert density.meta["n_dropped"] == 1
    assert sorted(density["sum"]) == [2, 4]
    row = density[density["n"] == 2]
    share = (row["density_error"] / row["density"]).to_value("")
    assert share[0] == pytest.approx(np.sqrt(10) / 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nside": 12}, "nside must be a power of two"),
        ({"nside": 0}, "nside must be"),
        ({"nside": 16384}, "nside must be"),
        ({"weights": [1.0]}, "weights must be one for each"),
        ({"weights": [np.nan] * 5}, "weights must be finite"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        measure_density(draw_sky(5, 1), **options)


def test_only_positions_are_taken():
    with pytest.raises(ValueError, match="coords must be a SkyCoord"):
        measure_density([1, 2])
