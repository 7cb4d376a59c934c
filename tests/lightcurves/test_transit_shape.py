"""The shape of a transit: closed forms, a fine sum, what an exposure blurs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.lightcurves import transit_duration, transit_flux
from astroml_kit.lightcurves.transit_shape import covered_light, scaled_axis

UNIFORM = (0.0, 0.0)


def overlap(z, p):
    """Area of two circles that overlap over the star's, Mandel & Agol 2002, eq. 1."""
    if z >= 1 + p:
        return 0.0
    if z <= abs(1 - p):
        return min(p, 1) ** 2
    one = np.arccos((p * p + z * z - 1) / (2 * p * z))
    two = np.arccos((1 - p * p + z * z) / (2 * z))
    return (p * p * one + two - 0.5 * np.sqrt(4 * z * z - (1 + z * z - p * p) ** 2)) / np.pi


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1.6), st.floats(0.005, 0.5))
def test_a_uniform_star_loses_the_overlap_of_two_discs(z, p):
    assert covered_light(z, p, limb_darkening=UNIFORM) == pytest.approx(overlap(z, p), abs=2e-6)


@pytest.mark.parametrize("law", [(0.4, 0.26), (0.1, 0.0), (0.6, -0.1)])
def test_limb_darkening_is_what_a_fine_sum_gives(law):
    edges = np.linspace(-1, 1, 2001)
    x, y = np.meshgrid(0.5 * (edges[1:] + edges[:-1]), 0.5 * (edges[1:] + edges[:-1]))
    mu = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    light = np.where(x**2 + y**2 < 1, 1 - law[0] * (1 - mu) - law[1] * (1 - mu) ** 2, 0)
    for z, p in ((0.0, 0.1), (0.5, 0.1), (0.95, 0.1), (1.05, 0.2), (0.3, 0.4)):
        dark = light[(x - z) ** 2 + y**2 < p**2].sum() / light.sum()
        share = covered_light(z, p, limb_darkening=law)
        assert share == pytest.approx(dark, rel=3e-3, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.5, 400), st.floats(0.01, 0.2), st.floats(0, 0.9), st.floats(-50, 50))
def test_a_transit_comes_back_lasts_as_said_and_is_symmetric(period, ratio, impact, epoch):
    length = transit_duration(period, radius_ratio=ratio, impact=impact)
    away = np.array([-0.51, -0.49, -0.2, 0.0, 0.2, 0.49, 0.51]) * length
    options = {"period": period, "epoch": epoch, "radius_ratio": ratio, "impact": impact}
    flux = transit_flux(epoch + away, **options)
    np.testing.assert_allclose(flux, flux[::-1], atol=1e-9)
    assert flux[0] == 1
    assert (flux[1:-1] < 1).all()
    np.testing.assert_allclose(transit_flux(epoch + away + 3 * period, **options), flux, atol=1e-7)


def test_earth_and_jupiter_before_the_sun():
    # Seager & Mallen-Ornelas 2003: 13 h for the Earth, 33 h for Jupiter
    assert 24 * transit_duration(365.25, radius_ratio=0.00917, impact=0) == pytest.approx(13, abs=1)
    assert 24 * transit_duration(4332.6, radius_ratio=0.103, impact=0) == pytest.approx(32.6, abs=1)
    assert scaled_axis(365.25) == pytest.approx(215.0, rel=2e-3)
    assert transit_duration(10.0, radius_ratio=0.1, impact=1.2) == 0


def test_an_exposure_blurs_and_keeps_the_light():
    days = np.linspace(-0.4, 0.4, 4001)
    sharp, blurred = (
        transit_flux(days, period=9.0, epoch=0.0, radius_ratio=0.1, exposure=e) for e in (0, 0.02)
    )
    assert np.sum(1 - blurred) == pytest.approx(np.sum(1 - sharp), rel=1e-3)
    assert np.sum(blurred < 1) > np.sum(sharp < 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"period": 0}, "period must be"), ({"radius_ratio": -0.1}, "radius_ratio must be"),
     ({"density": np.nan}, "density must be"), ({"exposure": -1}, "exposure must be")],
)  # fmt: skip
def test_bad_planets_are_refused(options, message):
    given = {"period": 3.0, "epoch": 0.0, "radius_ratio": 0.1, **options}
    with pytest.raises(ValueError, match=message):
        transit_flux([0.0, 1.0], **given)
