"""Shapes: profiles whose answer is known, brute force, and what turning a stamp may not change."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.integrate import quad
from scipy.ndimage import uniform_filter
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from astroml_kit.images import Stamps, extract_shape_features, measure_shapes
from astroml_kit.images._shape_indices import measure_gini, measure_m20

SCALE_FREE = (
    "ellipticity", "petrosian_radius", "r20", "r50", "r80", "concentration", "asymmetry",
    "asymmetry_outer", "asymmetry_shape", "smoothness", "gini", "m20", "multimode", "intensity",
    "deviation", "n_peaks", "fourier_1", "fourier_2", "fourier_3", "fourier_4", "n_neighbours",
    "area", "semi_major", "semi_minor", "snr", "flag",
)  # fmt: skip
ALONE = {"background": 0.0, "noise": 1e-9}


def values(table, name):
    column = table[name]
    return np.asarray(getattr(column, "value", column))


def draw_sersic(n, re, *, size=121, centre=None, q=1.0, angle=0.0, pieces=5):
    """A profile whose pixels are means over ``pieces`` squared points."""
    middle = ((size - 1) / 2, (size - 1) / 2) if centre is None else centre
    fine = (np.arange(size * pieces) + 0.5) / pieces - 0.5
    dx, dy = fine[None] - middle[0], fine[:, None] - middle[1]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    r = np.hypot(dx * c + dy * s, (dy * c - dx * s) / q)
    bright = np.exp(-gammaincinv(2 * n, 0.5) * (r / re) ** (1 / n))
    return bright.reshape(size, pieces, size, pieces).mean(axis=(1, 3))


def draw_galaxies(n, *, size=48, seed=0):
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        centre = (size - 1) / 2 + rng.uniform(-2, 2, 2)
        body = draw_sersic(
            1, rng.uniform(3, 5), size=size, centre=centre, q=rng.uniform(0.4, 1), pieces=3,
            angle=rng.uniform(0, 180),
        )  # fmt: skip
        knot = draw_sersic(1, 2, size=size, centre=centre + rng.uniform(-5, 5, 2), pieces=3)
        out.append(100 * body + 40 * knot + rng.normal(0, 1, (size, size)))
    return np.array(out)


@pytest.mark.parametrize("n", [1, 4])
def test_radii_of_sersic_profiles(n):
    """Against quadrature of the same definitions: gammainc is the light within a radius."""
    re, b = 13.0, gammaincinv(2 * n, 0.5)

    def light(r):
        return gammainc(2 * n, b * (r / re) ** (1 / n))

    def excess(r):
        ring = (light(1.1 * r) - light(0.9 * r)) / (1.1**2 - 0.9**2)
        return ring / light(r) - 0.2

    assert light(re) == pytest.approx(0.5)
    core = quad(lambda r: r * np.exp(-b * (r / re) ** (1 / n)), 0, re)[0]
    whole = quad(lambda r: r * np.exp(-b * (r / re) ** (1 / n)), 0, 1e4, limit=500, points=[1, re])
    assert core / whole[0] == pytest.approx(0.5, rel=1e-3)  # the formula above is the profile
    petrosian = brentq(excess, 0.5 * re, 5 * re)
    total = light(1.5 * petrosian)
    radii = [brentq(lambda r, k=k: light(r) - k * total, 1e-3, 10 * re) for k in (0.2, 0.5, 0.8)]
    row = measure_shapes(draw_sersic(n, re, pieces=10)[None], **ALONE)[0]
    assert row["petrosian_radius"].value == pytest.approx(petrosian, rel=0.01)
    for name, radius in zip(("r20", "r50", "r80"), radii, strict=True):
        assert row[name].value == pytest.approx(radius, rel=0.02)
    # r20 of 2.7 pixels comes out 1.6 % wide at n = 4; the spread of pixels makes 0.6 % of it
    spread = {1: 0.02, 4: 0.04}[n]
    assert row["concentration"] == pytest.approx(5 * np.log10(radii[2] / radii[0]), abs=spread)
    assert row["asymmetry"] == pytest.approx(0, abs=1e-12)
    assert row["n_peaks"] == 1
    assert row["intensity"] == 0


def test_moments_of_a_gaussian():
    y, x = np.mgrid[:101, :101] - 50.0
    c, s = np.cos(np.radians(30)), np.sin(np.radians(30))
    image = np.exp(-0.5 * (((x * c + y * s) / 8) ** 2 + ((y * c - x * s) / 4) ** 2))
    row = measure_shapes(image[None], **ALONE)[0]
    assert row["semi_major"].value == pytest.approx(8, rel=1e-3)
    assert row["semi_minor"].value == pytest.approx(4, rel=1e-3)
    assert row["ellipticity"] == pytest.approx(0.5, abs=1e-3)
    assert row["orientation"].to_value("deg") == pytest.approx(30, abs=1e-3)
    assert (row["x"].value, row["y"].value) == pytest.approx((50, 50))


@pytest.mark.parametrize(("light", "gini"), [
    ([1.0] * 7, 0.0),
    ([0.0] * 6 + [5.0], 1.0),
    ([1.0, 2.0, 3.0, 4.0], 1 / 3),  # Lotz et al. 2004, eq. 6, by hand
])  # fmt: skip
def test_gini_known(light, gini):
    assert measure_gini(np.array(light)) == pytest.approx(gini)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(float, st.integers(2, 30), elements=st.floats(0.01, 100)))
def test_gini_is_half_the_mean_difference(light):
    n = len(light)
    difference = np.abs(light[:, None] - light).sum() / (n * (n - 1))
    expected = difference / (2 * light.mean())
    assert measure_gini(np.sort(light)) == pytest.approx(expected, abs=1e-9)


def test_m20_by_brute_force():
    rng = np.random.default_rng(2)
    y, x = np.nonzero(np.ones((9, 11)))
    light = rng.exponential(size=99)
    total = sum(light)
    place_x, place_y = sum(light * x) / total, sum(light * y) / total
    moments = [f * ((i - place_x) ** 2 + (j - place_y) ** 2)
               for f, i, j in zip(light, x, y, strict=True)]  # fmt: skip
    part, so_far = 0.0, 0.0
    for f, moment in sorted(zip(light, moments, strict=True), reverse=True):
        if so_far >= 0.2 * total:
            break
        so_far, part = so_far + f, part + moment
    assert measure_m20(light, np.sort(light), x, y) == pytest.approx(np.log10(part / sum(moments)))


def test_asymmetry_of_a_spot():
    """A symmetric body and one spot beside it: the spot counts twice."""
    image = 100 * draw_sersic(1, 5, size=81)
    image[40, 48] += 10.0
    row = measure_shapes(image[None], **ALONE)[0]
    y, x = np.mgrid[:81, :81] - 40
    inside = np.hypot(x, y) <= row["aperture"].value
    outer = inside & (np.hypot(x, y) > row["r50"].value)
    assert (row["x_turning"].value, row["y_turning"].value) == (40, 40)
    assert outer[40, 48]
    assert row["asymmetry"] == pytest.approx(20 / image[inside].sum())
    assert row["asymmetry_outer"] == pytest.approx(20 / image[outer].sum())


def test_smoothness_by_hand():
    image = 100 * draw_sersic(1, 6, size=81)
    rng = np.random.default_rng(3)
    y, x = rng.integers(30, 51, (2, 25))
    image[y, x] += 5
    row = measure_shapes(image[None], **ALONE)[0]
    petrosian = row["petrosian_radius"].value
    y, x = np.mgrid[:81, :81]
    r = np.hypot(x - row["x_turning"].value, y - row["y_turning"].value)
    width = 2 * round(petrosian / 8) + 1
    clumps = np.maximum(image - uniform_filter(image, width), 0)
    ring = (r >= 0.25 * petrosian) & (r <= row["aperture"].value)
    expected = clumps[ring].sum() / image[r <= row["aperture"].value].sum()
    assert row["smoothness"] == pytest.approx(expected, rel=1e-6)
    assert expected > 0.01


def test_noise_is_taken_out_of_asymmetry_and_smoothness():
    rng = np.random.default_rng(4)
    body = 20 * draw_sersic(1, 6, size=81)
    table = measure_shapes(body + rng.normal(0, 0.5, (60, 81, 81)))
    raw = measure_shapes(body + rng.normal(0, 0.5, (60, 81, 81)), background=0, noise=0)
    for name in ("asymmetry", "smoothness"):
        assert abs(np.mean(table[name])) < 0.02
        assert np.mean(raw[name]) > 0.04  # what there is to take out


TURNS = {
    "quarter": lambda a: np.rot90(a, axes=(1, 2)),
    "half": lambda a: a[:, ::-1, ::-1],
    "mirror": lambda a: a[:, :, ::-1],
    "transposed": lambda a: a.transpose(0, 2, 1),
}


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(TURNS)), st.floats(0.01, 1000), st.integers(0, 10**6))
def test_turning_and_scaling_change_nothing(turn, scale, seed):
    images = draw_galaxies(3, seed=seed)
    first = measure_shapes(images)
    second = measure_shapes(scale * TURNS[turn](images))
    for name in SCALE_FREE:
        np.testing.assert_allclose(
            values(second, name), values(first, name), rtol=1e-6, atol=1e-9, err_msg=name
        )
    np.testing.assert_allclose(second["flux"], scale * first["flux"], rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(-4, 4), st.integers(-4, 4))
def test_shifting_moves_the_centre_only(step_x, step_y):
    image = np.zeros((1, 91, 91))
    image[:, 25:65, 25:65] = draw_galaxies(1, size=40, seed=5) * (draw_sersic(1, 5, size=40) > 0.02)
    options = {"background": 0.0, "noise": 1.0}
    first = measure_shapes(image, **options)
    second = measure_shapes(np.roll(image, (step_y, step_x), axis=(1, 2)), **options)
    for name, step in (("x", step_x), ("y", step_y), ("x_turning", step_x), ("y_turning", step_y)):
        np.testing.assert_allclose(values(second, name), values(first, name) + step, atol=1e-9)
    for name in SCALE_FREE:
        np.testing.assert_allclose(values(second, name), values(first, name), rtol=1e-6, atol=1e-9)


def test_masked_pixels_are_not_used():
    images = draw_galaxies(2, seed=6)
    y, x = np.random.default_rng(6).integers(10, 38, (2, 15))
    mask = np.zeros(images.shape, dtype=bool)
    mask[1, y, x] = True
    spoilt, holes = images.copy(), images.copy()
    spoilt[mask], holes[mask] = 1e6, np.nan
    masked, clean = measure_shapes(spoilt, mask=mask), measure_shapes(images)
    for name in masked.colnames:
        np.testing.assert_array_equal(masked[name], measure_shapes(holes)[name])
    assert masked.meta["n_masked"] == mask.sum()
    assert (np.asarray(masked["flag"]) & 32).tolist() == [0, 32]
    for name, room in (("flux", 0.05), ("r50", 0.05), ("concentration", 0.05), ("gini", 0.05)):
        np.testing.assert_allclose(masked[name], clean[name], rtol=room)


@pytest.mark.parametrize(("image", "flag"), [
    (np.zeros((20, 20)), 2), (np.full((20, 20), 7.0), 2), (np.full((20, 20), np.nan), 3),
    (np.ones((1, 1)), 3), (np.full((1, 1), np.nan), 3),
])  # fmt: skip
def test_nothing_there(image, flag):
    row = measure_shapes(image[None])[0]
    assert row["flag"] == flag
    for name in ("flux", "concentration", "asymmetry", "gini", "m20", "r50"):
        assert np.isnan(row[name])


def test_a_single_bright_pixel_is_flagged():
    image = np.zeros((41, 41))
    image[20, 20] = 1.0
    row = measure_shapes(image[None], **ALONE)[0]
    assert row["flag"] & 128
    assert row["asymmetry"] == 0


def test_what_does_not_fit_is_flagged():
    large = measure_shapes(draw_sersic(1, 30, size=61, pieces=1)[None], **ALONE)[0]
    assert large["flag"] & 4
    assert large["flag"] & 16
    assert large["flag"] & 8
    assert np.isnan(large["petrosian_radius"])
    assert large["aperture"].value <= 30.5


def test_neighbours_are_left_out():
    rng = np.random.default_rng(7)
    alone = 300 * draw_sersic(1, 8, size=81) + rng.normal(0, 3, (81, 81))
    both = alone + 1000 * draw_sersic(1, 1.5, size=81, centre=(64, 40))
    # at ten sigma a gap parts the two, and the other one lies within the aperture
    lonely, masked, kept = (
        measure_shapes(alone[None], threshold=10)[0],
        measure_shapes(both[None], threshold=10)[0],
        measure_shapes(both[None], threshold=10, mask_neighbours=False)[0],
    )
    assert masked["n_neighbours"] == 1
    assert masked["asymmetry"] == pytest.approx(lonely["asymmetry"], abs=0.03)
    assert kept["asymmetry"] > lonely["asymmetry"] + 0.1


def test_two_nuclei():
    pair = draw_sersic(1, 3, size=61, centre=(25, 30)) + 0.5 * draw_sersic(
        1, 3, size=61, centre=(36, 30)
    )
    row = measure_shapes(pair[None], background=0, noise=1e-3)[0]
    assert row["n_peaks"] == 2
    assert row["intensity"] == pytest.approx(0.5, abs=0.1)  # of the light, some is the other's
    assert row["multimode"] > 0.3
    assert row["deviation"] > 0.1


def test_arms_are_waves():
    y, x = np.mgrid[:81, :81] - 40.0
    body = draw_sersic(1, 8, size=81)
    image = body * (1 + 0.3 * np.cos(3 * np.arctan2(y, x)))
    row = measure_shapes(image[None], **ALONE)[0]
    assert row["fourier_3"] == pytest.approx(0.15, abs=0.005)  # half of the amplitude
    assert row["fourier_1"] < 0.01


def test_bands_colours_and_identity():
    galaxy = draw_galaxies(2, seed=8)
    planes = np.stack([galaxy, 2 * galaxy, 10 + galaxy], axis=1)
    table = QTable({"id": ["a", "b"], "label": [1, 0]})
    stamps = Stamps(planes, table=table, bands=("g", "r", "i"), unit="nJy")
    shapes = measure_shapes(stamps)
    assert shapes["id"].tolist() == ["a", "b"]
    assert shapes["flux"].unit == u.nJy
    np.testing.assert_allclose(shapes["colour_g_r"].to_value("mag"), 2.5 * np.log10(2), rtol=1e-5)
    np.testing.assert_allclose(shapes["colour_r_i"].to_value("mag"), -2.5 * np.log10(2), rtol=1e-4)
    one = measure_shapes(stamps, band="r")
    np.testing.assert_array_equal(one["flux"], measure_shapes(stamps, band=1)["flux"])
    np.testing.assert_allclose(
        one["flux"].value, measure_shapes(np.float32(2 * galaxy))["flux"], rtol=1e-6
    )
    assert all(shapes[name].info.description for name in SCALE_FREE)


def test_features_are_samples():
    galaxies = draw_galaxies(3, seed=9)
    galaxies[2] = 0
    stamps = Stamps(galaxies[:, None], table=QTable({"id": [5, 6, 7], "kind": [1, 0, 1]}))
    samples = extract_shape_features(stamps, label="kind")
    assert samples.y.tolist() == [1, 0, 1]
    assert samples.groups.tolist() == [5, 6, 7]
    assert samples.X.shape == (3, len(samples.feature_names))
    assert np.isfinite(samples.X[:2]).all()
    assert np.isnan(samples.X[2, samples.feature_names.index("gini")])
    assert samples.meta["n_flagged"] == 1
    plain = extract_shape_features(galaxies)
    np.testing.assert_allclose(plain.X[:2], samples.X[:2], rtol=1e-4)
    assert plain.y is None


def test_no_stamps_no_rows():
    assert len(measure_shapes(np.zeros((0, 9, 9)))) == 0


@pytest.mark.parametrize(("options", "words"), [
    ({"images": np.zeros((5, 5))}, "images must be numbers of shape"),
    ({"mask": np.zeros((2, 5, 5))}, "mask must be of the shape"),
    ({"band": "r"}, "lacks the columns"),
    ({"band": 1}, "band must be"),
    ({"noise": -1}, "noise must be"),
    ({"background": [1, 2]}, "one for each of the 1 stamps"),
    ({"threshold": -1}, "threshold must be"),
    ({"frame": 0}, "frame must be"),
])  # fmt: skip
def test_bad_input(options, words):
    options = {"images": np.zeros((1, 6, 6)), **options}
    with pytest.raises(ValueError, match=words):
        measure_shapes(options.pop("images"), **options)


def test_a_label_needs_a_table():
    with pytest.raises(ValueError, match="Give Stamps"):
        extract_shape_features(np.zeros((1, 6, 6)), label="kind")
