"""Lenses bend light as theory says, and agree with lenstronomy."""

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.images import deflect_sis, simulate_lenses


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 3), st.floats(0.01, 0.99), st.floats(0, 2 * np.pi))
def test_two_images_of_a_point(einstein, share, angle):
    """Narayan & Bartelmann 1996, arXiv:astro-ph/9606001, eq. 62: theta = beta +- theta_E."""
    beta = share * einstein
    for theta in (beta + einstein, beta - einstein):
        x, y = deflect_sis(theta * np.cos(angle), theta * np.sin(angle), einstein_radius=einstein)
        assert x == pytest.approx(beta * np.cos(angle), abs=1e-9)
        assert y == pytest.approx(beta * np.sin(angle), abs=1e-9)


def test_magnification_of_a_small_source():
    """The same, eq. 64 and 65: the two images together are magnified by 2 theta_E / beta."""
    axis = (np.arange(1600) - 799.5) * 0.004
    x, y = deflect_sis(axis[None, :], axis[:, None], einstein_radius=1.0)
    for beta in (0.3, 0.6):
        disc = (x - beta) ** 2 + y**2 < 0.05**2
        magnified = disc.sum() * 0.004**2 / (np.pi * 0.05**2)
        assert magnified == pytest.approx(2 / beta, rel=0.02)


def test_no_mass_bends_nothing_and_the_centre_is_finite():
    x, y = deflect_sis([0.0, 1.0], [0.0, -2.0], einstein_radius=0.0)
    assert x.tolist() == [0.0, 1.0]
    assert y.tolist() == [0.0, -2.0]
    assert np.isfinite(deflect_sis(0.0, 0.0, einstein_radius=1.0)).all()


def test_rays_agree_with_lenstronomy():
    from lenstronomy.LensModel.lens_model import LensModel

    rng = np.random.default_rng(1)
    x, y = rng.uniform(-3, 3, (2, 200))
    shear, angle = 0.07, 0.6
    theirs = LensModel(["SIS", "SHEAR"]).ray_shooting(
        x, y,
        [{"theta_E": 1.3, "center_x": 0, "center_y": 0},
         {"gamma1": shear * np.cos(2 * angle), "gamma2": shear * np.sin(2 * angle)}],
    )  # fmt: skip
    ours = deflect_sis(x, y, einstein_radius=1.3, shear=shear, shear_angle=angle)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("backend", ["own", "lenstronomy"])
def test_lenses_and_look_alikes(backend):
    stamps = simulate_lenses(12, size=32, backend=backend, rng=4)
    lensed = np.asarray(stamps.table["label"]) == "lens"
    assert 0 < lensed.sum() < 12
    assert (stamps.table["magnification"][lensed] > 1.5).all()
    assert (stamps.table["magnification"][~lensed] == 1).all()
    assert np.isnan(stamps.table["einstein_radius"][~lensed]).all()
    offset, einstein = (
        stamps.table["source_offset"][lensed],
        stamps.table["einstein_radius"][lensed],
    )
    assert (offset < einstein).all()
    again = simulate_lenses(12, size=32, backend=backend, rng=4)
    assert np.array_equal(stamps.images, again.images)


def test_arcs_are_blue_and_near_the_einstein_radius():
    stamps = simulate_lenses(
        40, fraction=1.0, source_range=(20.5, 21.0), depth=40.0, gain=1e12, rng=2
    )
    grid = (np.arange(64) - 31.5) * 0.2
    radius = np.hypot(grid[None, :], grid[:, None])
    for image, einstein in zip(stamps.images, stamps.table["einstein_radius"].value, strict=True):
        blue = image[0] - image[2] * np.median(image[0][radius < 0.3] / image[2][radius < 0.3])
        blue = np.where(radius > 0.5, np.maximum(blue, 0), 0)
        mean = (blue * radius).sum() / blue.sum()
        assert 0.6 * einstein < mean < 2.0 * einstein


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.5}, "fraction must be"),
        ({"backend": "gravlens"}, "backend must be one of"),
        ({"einstein_range": (2, 1) * u.arcsec}, "einstein_range must be two rising"),
        ({"source_range": (24, 22)}, "source_range must be two rising"),
        ({"bands": ("H",)}, "bands must be one of"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_lenses(2, **options)
