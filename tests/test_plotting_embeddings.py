"""Maps of samples and tiles of images show what they were given, and where."""

import matplotlib
import numpy as np
import pytest

from astroml_kit.plotting import plot_embedding, plot_images, plot_reconstructions

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def test_labels_are_told_by_colour_and_marker_and_noise_is_grey():
    points = np.random.default_rng(1).normal(size=(30, 2))
    labels = np.repeat([-1, 0, 1], 10)
    ax = plot_embedding(points, labels=labels)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["noise", "0", "1"]
    noise, zero, one = ax.collections
    np.testing.assert_allclose(noise.get_offsets(), points[:10])
    np.testing.assert_allclose(one.get_offsets(), points[20:])
    assert not np.array_equal(zero.get_facecolor(), one.get_facecolor())
    assert zero.get_paths()[0].vertices.shape != one.get_paths()[0].vertices.shape


def test_numbers_are_told_by_colour():
    points, values = np.arange(10.0).reshape(5, 2), np.arange(5.0)
    ax = plot_embedding(points, values=values, value_label="score", cmap="magma")
    np.testing.assert_array_equal(ax.collections[0].get_array(), values)
    assert ax.collections[0].get_cmap().name == "magma"
    assert ax.figure.axes[1].get_ylabel() == "score"
    assert plot_embedding(points, ax=ax) is ax


def test_tiles_lie_where_they_belong():
    images = np.arange(5)[:, None, None] * np.ones((5, 2, 3))
    picture = plot_images(images, n_columns=2).images[0].get_array()
    assert picture.shape == (3 * 3 - 1, 2 * 4 - 1)
    np.testing.assert_array_equal(picture[3:5, 4:7], images[3])
    assert np.ma.getmaskarray(picture)[2].all()
    assert np.ma.getmaskarray(picture)[6:8, 4:].all()  # no sixth image


def test_reconstructions_lie_under_their_images():
    images = np.random.default_rng(2).normal(size=(10, 4, 4))
    ax = plot_reconstructions(images, images / 2, n_images=3)
    picture = ax.images[0].get_array()
    np.testing.assert_allclose(picture[:4, 5:9], images[1])
    np.testing.assert_allclose(picture[5:9, 5:9], images[1] / 2)
    np.testing.assert_allclose(picture[10:14, 5:9], images[1] / 2)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["image", "reconstruction", "rest"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_embedding(np.ones((3, 3))), "points must be .* Use reduce_dimensions"),
        (lambda: plot_embedding(np.ones((3, 2)), labels=[1]), "labels must be one entry for each"),
        (lambda: plot_embedding(np.ones((3, 2)), values=[1]), "values must be one entry for each"),
        (lambda: plot_embedding(np.ones((20, 2)), labels=np.arange(20)), "at most 12"),
        (lambda: plot_embedding(np.ones((2, 2)), labels=[0, 1], values=[0, 1]), "not be given"),
        (lambda: plot_images(np.ones((3, 2, 4, 4))), "images must be .* Choose one channel"),
        (lambda: plot_images(np.ones((3, 4, 4)), n_columns=0), "n_columns must be"),
        (lambda: plot_reconstructions(np.ones((3, 4, 4)), np.ones((3, 4, 5))), "of the shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
