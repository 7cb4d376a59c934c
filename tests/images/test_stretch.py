"""Stretches: the range they give, astropy's colours, one image alone and among others."""

import numpy as np
import pytest
from astropy.table import QTable
from astropy.visualization import make_lupton_rgb
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.images import SkyImage, Stamps, Stretch, measure_stretch, stretch_images

METHODS = ("asinh", "linear", "log", "percentile", "sqrt")


def draw(n=4, n_bands=3, side=12, *, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] - side / 2
    galaxy = 40 * np.exp(-np.hypot(x, y) / 2)
    return rng.normal(100, 2, (n, n_bands, side, side)) + galaxy * rng.uniform(1, 3, (n, 1, 1, 1))


@pytest.mark.parametrize(("method", "bend", "middle"), [
    ("linear", None, 0.25), ("percentile", None, 0.25), ("sqrt", None, 0.5),
    ("asinh", 3, np.arcsinh(0.75) / np.arcsinh(3)), ("log", 15, np.log(4.75) / np.log(16)),
])  # fmt: skip
def test_each_method_is_its_formula(method, bend, middle):
    image = np.array([[[2.0, 6.0, 18.0, 100.0, -3.0]]])
    found = stretch_images(image, method=method, limits=(2, 18), bend=bend)
    np.testing.assert_allclose(found, [[[0, middle, 1, 1, 0]]], rtol=1e-6)
    assert found.dtype == np.float32


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), method=st.sampled_from(METHODS))
def test_order_and_range_are_kept(seed, method):
    images = draw(2, seed=seed)
    found = stretch_images(images, method=method)
    assert found.min() == 0
    assert found.max() == 1
    order = np.argsort(images[1, 2], axis=None)
    assert (np.diff(found[1, 2].ravel()[order]) >= 0).all()
    # neither level nor gain of the camera matters
    again = stretch_images(3 * images + 50, method=method)
    np.testing.assert_allclose(again, found, atol=2e-6)


@pytest.mark.parametrize("method", [*METHODS, "lupton"])
def test_an_image_is_the_same_in_any_batch(method, monkeypatch):
    images = draw(7)
    whole = stretch_images(images, method=method)
    for row in (0, 6):
        np.testing.assert_array_equal(stretch_images(images[row], method=method), whole[row])
    np.testing.assert_array_equal(stretch_images(images[::-1], method=method), whole[::-1])
    monkeypatch.setattr("astroml_kit.images.stretch.CHUNK", 2)
    np.testing.assert_array_equal(stretch_images(images, method=method), whole)


@pytest.mark.parametrize(("minimum", "stretch", "q"), [(100, 5, 8), (98, 20, 3), (100, 1, 10)])
def test_lupton_is_that_of_astropy(minimum, stretch, q):
    images = draw(3)
    found = stretch_images(
        images, method="lupton", limits=(minimum, minimum + 5 * stretch), bend=5, q=q
    )
    for image, ours in zip(images, found, strict=True):
        peer = make_lupton_rgb(*image, minimum=minimum, stretch=stretch, Q=q)
        # astropy rounds down to eight bits
        apart = ours.transpose(1, 2, 0) * 255 - peer
        assert apart.min() > -0.02
        assert apart.max() < 1.02


def test_colours_stay_where_it_is_bright():
    image = np.array([[[400.0]], [[200.0]], [[100.0]]])
    for gain in (1, 30):
        found = stretch_images(gain * image, method="lupton", limits=(0, 100))
        np.testing.assert_allclose(found.ravel() / found.max(), [1, 0.5, 0.25], rtol=1e-6)


def test_masked_pixels_count_for_nothing():
    images = draw(2, 1)
    mask = np.zeros(images.shape, dtype=bool)
    mask[0, 0, 3, 3], mask[1] = True, True
    clean = Stamps(images, mask, QTable({"id": [0, 1], "label": [5, 6]}), unit="nJy")
    dirty = images.copy()
    dirty[0, 0, 3, 3], dirty[1, 0, 0, 0] = 1e9, np.nan
    spoiled = Stamps(dirty, mask, clean.table, unit="nJy")
    for method in METHODS:
        one, two = (stretch_images(s, method=method, fill=0.25) for s in (clean, spoiled))
        np.testing.assert_array_equal(one.images, two.images)
        assert (two.images[mask] == 0.25).all()
        assert np.ptp(two.images[0]) == 1
        assert two.unit is None
        assert two.table["label"].tolist() == [5, 6]


def test_one_bad_band_leaves_the_others_finite():
    images = draw(1)
    images[0, 0, 4, 4] = np.nan
    found = stretch_images(images, method="lupton")
    assert np.isfinite(found).all()
    assert found[0, 0, 4, 4] == 0
    assert found[0, 1, 4, 4] > 0


def test_no_spread_is_black():
    flat = np.full((2, 3, 5, 5), 7.0)
    for method in (*METHODS, "lupton"):
        assert (stretch_images(flat, method=method) == 0).all()
    assert stretch_images(np.array([[3.0]])).tolist() == [[0.0]]


def test_limits_of_a_survey_bring_another_to_the_same_range():
    survey = Stamps(draw(40, 2), bands=("g", "r"))
    limits = measure_stretch(survey, percentiles=(1, 99))
    assert limits.bands == ("g", "r")
    assert limits.n_images == 40
    first = stretch_images(survey, limits=limits)
    # one number of every image is one number still, which limits of each image would not give
    again = stretch_images(survey[:5], limits=limits)
    np.testing.assert_array_equal(again.images, first.images[:5])
    other = draw(40, 2, seed=1) * 50 + 1000
    own = measure_stretch(other, percentiles=(1, 99))
    levels = [np.percentile(stretch_images(x, limits=m), 60)
              for x, m in ((survey.images, limits), (other, own))]  # fmt: skip
    assert levels[0] == pytest.approx(levels[1], abs=0.02)
    assert Stretch(**limits.to_dict()) == limits
    assert str(limits).startswith("Stretch: asinh from g ")


def test_measured_limits_are_drawn_the_same_each_time(monkeypatch):
    monkeypatch.setattr("astroml_kit.images.stretch.MOST_MEASURED", 500)
    images = draw(20)
    assert measure_stretch(images) == measure_stretch(images)
    assert measure_stretch(images, rng=1) != measure_stretch(images, rng=2)


def test_images_come_back_as_they_were_given():
    plain = SkyImage(draw(1, 1)[0, 0], unit="nJy", meta={"path": "a"})
    found = stretch_images(plain)
    assert found.data.shape == plain.data.shape
    assert found.meta["path"] == "a"
    assert stretch_images(SkyImage(draw(1)[0]), method="lupton").data.shape == (3, 12, 12)
    counts = np.arange(100, dtype=np.uint8).reshape(1, 1, 10, 10)
    assert stretch_images(counts, method="linear").max() == 1


def test_wrong_requests():
    images = draw(2, 2)
    measured = measure_stretch(images)
    for options, message in (
        ({"method": "cubic"}, "method must be one of"),
        ({"method": "lupton"}, "images must be of three bands for 'lupton'"),
        ({"limits": (3, 3)}, "limits must be a Stretch or two numbers in order"),
        ({"limits": measured, "method": "log"}, "limits must be measured for method 'log'"),
        ({"percentiles": (99, 1)}, "percentiles must be two in order"),
        ({"bend": 0}, "bend must be finite and > 0"),
        ({"fill": np.nan}, "fill must be finite"),
    ):
        with pytest.raises(ValueError, match=message):
            stretch_images(images, **options)
    with pytest.raises(ValueError, match="limits must be of 3 bands, got 2"):
        stretch_images(draw(2, 3), limits=measured)
    with pytest.raises(ValueError, match="images must be of shape"):
        stretch_images(np.zeros(3))
    with pytest.raises(ValueError, match="images must be good in some pixels of band 0"):
        measure_stretch(np.full((1, 4, 4), np.nan))
