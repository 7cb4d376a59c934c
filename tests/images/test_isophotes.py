"""Features of isophotes and lobes: ellipses, companions and doubles made by hand; symmetries."""

import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.images import (
    Stamps,
    extract_isophote_features,
    extract_lobe_features,
    simulate_stamps,
)
from astroml_kit.images._isophote_measures import _measure_gini, _measure_m20, _measure_waves

EXTRACTORS = (extract_isophote_features, extract_lobe_features)


def read(samples, name):
    return samples.X[:, samples.feature_names.index(name)]


def draw_grid(side=64, x=0.0, y=0.0):
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return columns - x, rows - y


def draw_blob(side=64, x=0.0, y=0.0, width=4.0, ratio=1.0):
    dx, dy = draw_grid(side, x, y)
    return np.exp(-0.5 * (dx**2 + (dy / ratio) ** 2) / width**2)


@pytest.fixture(scope="module")
def galaxies():
    return simulate_stamps(12, size=48, rng=3)


@pytest.mark.parametrize("extract", EXTRACTORS)
def test_turning_mirroring_and_scaling_change_nothing(extract, galaxies):
    images = galaxies.images
    plain = extract(images).X
    for other in (np.rot90(images, 1, (2, 3)), images[..., ::-1], 64 * images):
        np.testing.assert_allclose(extract(other).X, plain, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("ratio", [0.3, 0.6, 1.0])
def test_axis_ratio_of_a_gaussian_is_its_own(ratio):
    # an isophote of a Gaussian is an ellipse of its axis ratio, and so are the moments within
    samples = extract_isophote_features(draw_blob(96, ratio=ratio, width=12)[None])
    for name in ("low_axis_ratio", "low_outline_axis_ratio", "high_axis_ratio"):
        assert read(samples, name)[0] == pytest.approx(ratio, abs=0.05)


def test_areas_of_a_gaussian_are_those_of_its_isophotes():
    side, width = 128, 14.0
    samples = extract_isophote_features(draw_blob(side, width=width)[None])
    for name, level in (("low", 0.1), ("high", 0.3)):
        area = 2 * np.pi * width**2 * np.log(1 / level) / (side / 100) ** 2
        assert 10 ** read(samples, f"{name}_area")[0] == pytest.approx(area, rel=0.05)


def test_a_smooth_ellipse_leaves_nothing_and_a_companion_much():
    # an odd side: half turns are about pixels
    alone = draw_blob(65, width=5, ratio=0.7)
    two = alone + 0.8 * draw_blob(65, x=9, y=2, width=2.5)
    samples = extract_isophote_features(np.stack([alone, two]))
    limits = {"low_residual": 0.1, "high_residual": 0.1, "half_turn0": 0.1, "low_lopsided": 0.01}
    for name, limit in limits.items():
        one, other = read(samples, name)
        assert one < limit < other
    assert read(samples, "peaks1_n").tolist() == [1, 2]
    assert read(samples, "peaks1_light2")[0] == 0
    # 0.8 of its own, on what the galaxy has there
    assert 0.8 < read(samples, "peaks1_light2")[1] < 1
    distance = np.hypot(9, 2) / 0.65
    assert read(samples, "peaks1_distance2")[1] == pytest.approx(distance, abs=2)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.floats(0.1, 0.9), st.floats(0, 6))
def test_waves_find_the_wave_that_is_there(m, amplitude, phase):
    angle = 2 * np.pi * np.arange(240) / 240
    light = 1 + amplitude * np.cos(m * angle + phase)
    found = np.array(_measure_waves(light, np.cos(angle), np.sin(angle)))
    expected = np.where(np.arange(1, 5) == m, amplitude / 2, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=30))
def test_gini_is_the_mean_difference_of_pairs(values):
    values = np.array(values)
    pairs = np.abs(values[:, None] - values).sum() / (len(values) * (len(values) - 1))
    assert _measure_gini(values) == pytest.approx(pairs / (2 * values.mean()), abs=1e-6)


def test_m20_by_hand():
    # 20 % of 10 is 2: the pixel of 3 alone, at distance 1; all: 3*1 + 7*4
    weight, distance2 = np.array([3.0, 2.5, 2.5, 2.0]), np.array([1.0, 4.0, 4.0, 4.0])
    assert _measure_m20(weight, distance2) == pytest.approx(np.log10(3 / 31), abs=1e-3)


def test_colours_are_those_of_the_bands():
    blob = draw_blob()
    samples = extract_isophote_features(np.stack([blob, 2 * blob, blob])[None])
    # (a - b) / (b + 2 % of the peak of the mean band)
    for place in range(2):
        assert read(samples, f"colour0_{place}")[0] == pytest.approx(-0.5, abs=0.02)
        assert read(samples, f"colour1_{place}")[0] == pytest.approx(1, abs=0.08)


def test_fanaroff_riley_of_two_spots_and_of_a_core():
    edge = (
        draw_blob(x=-18, width=2) + draw_blob(x=18, width=2) + 0.2 * draw_blob(width=9, ratio=0.2)
    )
    x, y = draw_grid()
    core = np.exp(-np.abs(x) / 8 - 0.5 * (y / 2) ** 2)
    samples = extract_lobe_features(np.stack([edge, core]))
    two, one = read(samples, "wide_light_fanaroff_riley")
    assert two > 0.75
    assert one < 0.3
    # spots 36 apart, and where a spot falls to 4 % of its peak, 2.54 widths farther out
    assert two == pytest.approx(36 / (36 + 2 * 2.54 * 2), abs=0.06)
    assert read(samples, "core").tolist() == pytest.approx([0.2, 1], abs=0.1)


@pytest.mark.parametrize("extract", EXTRACTORS)
def test_masked_pixels_are_sky(extract):
    image = draw_blob()
    spoilt = image.copy()
    spoilt[2:6, 50:60] = np.nan
    spoilt[10, 12] = 1e9
    mask = np.zeros(image.shape, dtype=bool)
    mask[10, 12] = True
    table = QTable({"id": ["a"], "label": [1]})
    stamps = Stamps(spoilt[None, None], mask=mask[None, None], table=table)
    samples = extract(stamps, label="label")
    np.testing.assert_allclose(samples.X, extract(image[None]).X, atol=1e-3)
    assert samples.meta["masked"] == 1
    assert samples.y.tolist() == [1]
    assert samples.groups.tolist() == ["a"]


@pytest.mark.parametrize("extract", EXTRACTORS)
@pytest.mark.parametrize("image", [np.zeros((32, 32)), np.full((32, 32), 255), -np.eye(32)])
def test_empty_images_have_finite_features(extract, image):
    assert np.isfinite(extract(image[None]).X).all()


@pytest.mark.parametrize("extract", EXTRACTORS)
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 30, 40)), "square"),
        (np.zeros((2, 8, 8)), "24 x 24"),
        (np.zeros((0, 32, 32)), "square"),
        (np.full((1, 32, 32), np.nan), "finite"),
    ],
)
def test_bad_images_are_refused(extract, images, message):
    with pytest.raises(ValueError, match=message):
        extract(images)


def test_a_label_needs_a_table():
    with pytest.raises(ValueError, match="Give Stamps"):
        extract_isophote_features(np.zeros((1, 32, 32)), label="label")
