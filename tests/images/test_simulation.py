"""Simulated galaxies are what their table says: light, shape, sense of winding, noise, votes."""

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.images import simulate_stamps
from astroml_kit.images._profiles import edge_on_disc, sersic, spiral_disc, tail

QUIET = {"depth": 40.0, "gain": 1e12}  # no noise
AXIS = (np.arange(1201) - 600) * 0.05
X, Y = AXIS[None, :], AXIS[:, None]


@pytest.mark.parametrize("index", [0.7, 1.0, 2.5])
def test_half_of_a_sersic_profile_lies_within_its_radius(index):
    light = (
        sersic(X, Y, flux=3.0, radius=2.0, index=index, ratio=0.6, angle=0.4, core=0.0) * 0.05**2
    )
    along = np.cos(0.4) * X + np.sin(0.4) * Y
    across = np.cos(0.4) * Y - np.sin(0.4) * X
    inside = np.hypot(along, across / 0.6) < 2.0
    assert light.sum() == pytest.approx(3.0, rel=0.01)
    assert light[inside].sum() == pytest.approx(1.5, rel=0.01)


def test_arms_and_edges_and_tails_keep_the_light():
    disc = spiral_disc(
        X, Y, flux=2.0, radius=2.0, ratio=0.7, angle=1.0, pitch=0.3, phase=0.5, contrast=0.8,
        n_arms=2, winding=1, core=0.01,
    )  # fmt: skip
    edge = edge_on_disc(X, Y, flux=2.0, radius=2.0, height=0.3, angle=1.0)
    arc = tail(X, Y, flux=2.0, bend=4.0, opening=0.6, thickness=0.3, angle=2.0)
    for light in (disc, edge, arc):
        assert light.min() >= 0
        assert light.sum() * 0.05**2 == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize("winding", [1, -1])
def test_an_arm_is_a_logarithmic_spiral(winding):
    """Its angle changes by ln(r2 / r1) / tan(pitch) between two radii."""
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    phases = []
    for radius in (3.0, 3.3):
        light = spiral_disc(
            radius * np.cos(angles), radius * np.sin(angles), flux=1.0, radius=2.0, ratio=1.0,
            angle=0.0, pitch=0.35, phase=0.5, contrast=0.8, n_arms=2, winding=winding, core=0.0,
        )  # fmt: skip
        phases.append(np.angle((light * np.exp(2j * angles)).sum()) / 2)
    assert phases[1] - phases[0] == pytest.approx(winding * np.log(1.1) / np.tan(0.35), abs=1e-5)


@pytest.fixture(scope="module")
def clean():
    return simulate_stamps(60, size=96, magnitude_range=(17.0, 18.0), rng=3, **QUIET)


def test_light_is_that_of_the_magnitude(clean):
    flux = clean.images[:, 1].sum(axis=(1, 2))
    wanted = 10 ** (-0.4 * (clean.table["magnitude"].value - 22.5))
    smooth = np.asarray(clean.table["label"]) == "spiral"  # all of it within the stamp, no dust
    colour = -2.5 * np.log10(flux / wanted)
    assert np.abs(colour[smooth]).max() < 0.25
    assert np.abs(np.median(colour[smooth])) < 0.08


def test_axes_lie_where_the_table_says(clean):
    rows = np.asarray(clean.table["label"]) == "edge-on"
    grid = np.arange(96) - 47.5
    for image, angle in zip(
        clean.images[rows, 1], clean.table["position_angle"][rows], strict=True
    ):
        image = image.astype(float)
        xx = (image * grid[None, :] ** 2).sum()
        yy = (image * grid[:, None] ** 2).sum()
        xy = (image * grid[:, None] * grid[None, :]).sum()
        from_x = 0.5 * np.rad2deg(np.arctan2(2 * xy, xx - yy))
        # east is to the left: an axis along x lies at 90 degrees
        apart = (from_x - 90 - angle.value + 90) % 180 - 90
        assert abs(apart) < 3


def measure_winding(image):
    """Which logarithmic spiral fits better, of either sense, two to four arms, and many pitches."""
    grid = np.arange(len(image)) - (len(image) - 1) / 2
    x, y = grid[None, :], grid[:, None]
    radius, angle = np.hypot(x, y) + 0.5, np.arctan2(y, x)
    ring = (radius > 4) & (radius < 20)
    profile = [image[(radius >= r) & (radius < r + 1)].mean() for r in range(1, 25)]
    mean = np.interp(radius, np.arange(1, 25) + 0.5, profile)
    wave = (image / mean - 1) * ring
    power = [
        max(
            abs((wave * np.exp(1j * m * (angle - s * k * np.log(radius)))).sum())
            for m in (2, 3, 4)
            for k in np.linspace(1.5, 5, 15)  # pitch angles of 11 to 34 degrees
        )
        for s in (1, -1)
    ]
    return "Z" if power[0] > power[1] else "S"


def test_arms_wind_as_the_table_says_and_a_mirror_turns_them():
    spirals = simulate_stamps(
        60, classes=("spiral",), size=64, magnitude_range=(15, 15.5), rng=5, **QUIET
    )
    spirals = spirals[spirals.table["axis_ratio"] > 0.75]  # others are waves of two arms by shape
    told = np.asarray(spirals.table["winding"])
    assert set(told) == {"S", "Z"}
    seen = np.array([measure_winding(image) for image in spirals.images[:, 0]])
    mirrored = np.array([measure_winding(image[:, ::-1]) for image in spirals.images[:, 0]])
    assert np.mean(seen == told) > 0.75
    assert np.mean(mirrored == told) < 0.25


def test_noise_is_that_of_the_depth():
    stamps = simulate_stamps(5, magnitude_range=(21, 21.1), depth=21.0, gain=1e9, rng=1)
    corner = stamps.images[:, :, :12, :12]
    area = 4 * np.pi * (1.3 / 2.3548 / 0.6) ** 2
    wanted = 10 ** (-0.4 * (21.0 - 22.5)) / 5 / np.sqrt(area)
    assert corner.std() == pytest.approx(wanted, rel=0.05)


def test_wcs_puts_the_galaxy_in_the_middle(clean):
    for k in (0, 7):
        where = clean.wcs[k].pixel_to_world(47.5, 47.5)
        assert where.separation(clean.table["coord"][k]) < 1e-6 * u.arcsec
    assert clean.pixel_scale.to_value("arcsec") == pytest.approx(0.6)


def test_votes_follow_the_class_and_blur_with_faintness():
    stamps = simulate_stamps(400, size=16, n_votes=40, rng=2)
    votes = np.asarray(stamps.table["votes"])
    assert (votes.sum(axis=1) == 40).all()
    names = np.array(["elliptical", "edge-on", "spiral", "merger"])
    agreed = votes[
        np.arange(400), [int(np.flatnonzero(names == k)[0]) for k in stamps.table["label"]]
    ]
    faint = stamps.table["magnitude"].value > 17.5
    assert agreed[~faint].mean() > agreed[faint].mean() + 2


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([("spiral", "merger"), ("ring", "artefact")]))
def test_same_seed_same_bits(seed, classes):
    one, two = (simulate_stamps(4, classes=classes, size=16, rng=seed) for _ in range(2))
    assert np.array_equal(one.images, two.images)
    assert np.isfinite(one.images).all()
    assert list(one.table["label"]) == list(two.table["label"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("quasar",)}, "classes must be one of"),
        ({"classes": ("ring", "ring")}, "classes must be different"),
        ({"fractions": (1, 2)}, "fractions must be"),
        ({"bands": ("K",)}, "bands must be one of"),
        ({"bands": ()}, "bands must be different ones"),
        ({"size": 8}, "size must be a whole number >= 16"),
        ({"pixel_scale": 0.4}, "pixel_scale must be an angle"),
        ({"psf_fwhm": 0 * u.arcsec}, "psf_fwhm must be"),
        ({"magnitude_range": (18, 15)}, "magnitude_range must be"),
        ({"n_votes": -1}, "n_votes must be a whole number"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        simulate_stamps(2, **options)
