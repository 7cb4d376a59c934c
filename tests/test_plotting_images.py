"""Plots of images: what is drawn, and where."""

import matplotlib
import numpy as np
import pytest
from astropy.wcs import WCS
from matplotlib import pyplot

from astroml_kit.images import Background, SkyImage
from astroml_kit.images.detection import Detection, find_segments
from astroml_kit.plotting import plot_image, plot_segmentation

matplotlib.use("Agg")
pytest.importorskip("sep")


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


def make_image(wcs=False):
    data = np.random.default_rng(1).normal(10, 1, (60, 80))
    data[20:24, 30:34] += 50
    made = None
    if wcs:
        made = WCS(naxis=2)
        made.wcs.ctype, made.wcs.cdelt = ["GLON-TAN", "GLAT-TAN"], [-0.001, 0.001]
        made.wcs.crval, made.wcs.crpix = [18.0, 0.0], [40, 30]
    mask = np.zeros(data.shape, dtype=bool)
    mask[:5] = True
    return SkyImage(data, mask=mask, wcs=made)


@pytest.mark.parametrize("stretch", ["asinh", "linear", "sqrt", "log"])
def test_image_is_stretched_between_its_percentiles(stretch):
    image = make_image()
    ax = plot_image(image, stretch=stretch, limits=(0, 100))
    shown = ax.images[0]
    assert shown.get_array().mask.sum() == 5 * 80
    used = image.data[~image.mask]
    assert shown.norm.vmin == pytest.approx(used.min())
    assert shown.norm.vmax == pytest.approx(used.max())
    shades = np.asarray(shown.norm(np.array([used.min(), 12.0, used.max()])))
    assert shades[0] == pytest.approx(0)
    assert shades[2] == pytest.approx(1)
    assert np.all(np.diff(shades) > 0)


def test_axes_are_celestial_where_there_is_a_wcs():
    ax = plot_image(make_image(wcs=True))
    assert [ax.coords[k].get_axislabel() for k in (0, 1)] == [
        "galactic longitude", "galactic latitude",
    ]  # fmt: skip
    _, plain = pyplot.subplots()
    assert plot_image(make_image(), ax=plain) is plain
    assert plain.get_ylabel() == "y [pixel]"


def test_outlines_run_around_the_sources():
    image = make_image()
    ax = plot_segmentation(image, find_segments(image, threshold=10))
    (lines,) = ax.collections
    corners = np.concatenate(lines.get_segments())
    assert corners.min(axis=0).tolist() == pytest.approx([29.5, 19.5], abs=1.01)
    assert corners.max(axis=0).tolist() == pytest.approx([33.5, 23.5], abs=1.01)
    assert ax.get_title() == "1 source"


def test_outline_of_one_pixel_and_weak_sources():
    image = make_image()
    found = find_segments(image, threshold=10)
    labels = np.zeros(image.data.shape, dtype=int)
    labels[7, 9] = 1
    one = Detection(found.sources, labels, Background(image.data, image.data))
    lines = plot_segmentation(image, one, significance=1e6).collections[0]
    sides = {tuple(map(tuple, side)) for side in lines.get_segments()}
    assert sides == {((8.5, 6.5), (8.5, 7.5)), ((9.5, 6.5), (9.5, 7.5)),
                     ((8.5, 6.5), (9.5, 6.5)), ((8.5, 7.5), (9.5, 7.5))}  # fmt: skip
    assert "0 of at least" in pyplot.gca().get_title()


@pytest.mark.parametrize(("options", "words"), [
    ({"stretch": "cube"}, "stretch must be one of"), ({"limits": (9, 1)}, "limits must be"),
    ({"image": np.zeros(4)}, "image must be of shape"),
])  # fmt: skip
def test_bad_input(options, words):
    options = {"image": np.zeros((4, 4)), **options}
    with pytest.raises(ValueError, match=words):
        plot_image(options.pop("image"), **options)


def test_a_segmentation_of_another_image():
    found = find_segments(make_image(), threshold=10)
    with pytest.raises(ValueError, match="detection must be of the shape"):
        plot_segmentation(np.zeros((4, 4)), found)
