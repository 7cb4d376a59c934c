"""The picture of where a network looked shows both, image by image."""

import matplotlib
import numpy as np
import pytest

from astroml_kit.plotting import plot_explanations

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def test_colour_lies_where_the_map_is():
    images = np.random.default_rng(1).normal(size=(3, 10, 12))
    maps = np.zeros_like(images)
    maps[1, 2:5, 3:6] = 1
    ax = plot_explanations(images, maps, titles=["a", "b", "c"], n_images=2)
    tiles = np.asarray(ax.images[0].get_array())
    assert tiles.shape == (22, 26, 3)
    above, below = tiles[:10], tiles[12:]
    np.testing.assert_array_equal(above[..., 0], above[..., 2])  # grey
    coloured = np.abs(above - below).max(axis=-1) > 0.01
    wanted = np.zeros((10, 26), dtype=bool)
    wanted[2:5, 14 + 3 : 14 + 6] = True
    np.testing.assert_array_equal(coloured, wanted)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "b"]
    assert plot_explanations(images[:, None], maps, ax=ax) is ax


def test_mistakes_are_named():
    images = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match=r"maps must be of the shape \(2, 4, 4\) of the images"):
        plot_explanations(images, images[:, :3])
    with pytest.raises(ValueError, match="maps must be"):
        plot_explanations(images, images - 1)
    with pytest.raises(ValueError, match="titles"):
        plot_explanations(images, images, titles=["one"])
