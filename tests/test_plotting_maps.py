"""Map plots say what the map says: values, marks and labels are read back from the axes."""

from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from astroml_kit.cherenkov import NullFit
from astroml_kit.plotting import plot_significance_distribution, plot_significance_map

matplotlib.use("Agg")


@pytest.fixture
def result():
    rng = np.random.default_rng(1)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [201.0, -43.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [25.5, 20.5], [-0.05, 0.05]
    significance = rng.standard_normal((40, 50))
    significance[30, 10] = 9.0
    significance[0, :] = np.nan
    exclusion = np.zeros((40, 50), dtype=bool)
    exclusion[27:34, 7:14] = True
    return SimpleNamespace(
        wcs=wcs,
        significance=significance,
        significance_outside=np.where(exclusion, np.nan, significance),
        excess=10 * significance,
        exclusion=exclusion,
        null_fit=NullFit(0.02, 0.03, 0.98, 0.02, 1900, 200.0),
    )


@pytest.fixture
def wcs_axes(result):
    return Figure().add_subplot(projection=result.wcs)


def test_map_shows_values_exclusions_and_sources(result, wcs_axes):
    sources = QTable({"ra": [201.99, 200.5] * u.deg, "dec": [-42.5, -43.2] * u.deg})
    ax = plot_significance_map(result, sources=sources, labels=["A", "B"], ax=wcs_axes)
    assert ax is wcs_axes
    (shown,) = ax.images
    np.testing.assert_array_equal(shown.get_array().filled(np.nan), result.significance)
    assert shown.get_clim() == (-5, 10)
    red, blue = shown.to_rgba([-5.0, 5.0])
    # equal strength on both sides of white: the blue of -5 is as far from 1 as the red of 5
    assert abs(red[:3].min() - blue[:3].min()) < 0.15
    np.testing.assert_allclose(shown.to_rgba([0.0])[0, :3], 0.97, atol=0.02)
    assert [text.get_text() for text in ax.texts] == ["A", "B"]
    marks = [c for c in ax.collections if len(c.get_offsets()) == 2]
    assert len(marks) == 1
    pixels = marks[0].get_offset_transform().transform(marks[0].get_offsets())
    expected = ax.transData.transform(
        np.transpose(result.wcs.wcs_world2pix(sources["ra"].value, sources["dec"].value, 0))
    )
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    assert ax.figure.axes[1].get_ylabel() == r"significance [$\sigma$]"


def test_other_images_have_no_sign_in_colour(result):
    result.exclusion[:] = False
    ax = plot_significance_map(result, image="excess", limits=(-10, 90), cmap="magma")
    assert isinstance(ax, Axes)
    assert ax.images[0].get_cmap().name == "magma"
    assert ax.images[0].get_clim() == (-10, 90)
    assert ax.figure.axes[1].get_ylabel() == "excess"
    empty = QTable({"ra": [] * u.deg, "dec": [] * u.deg})
    plot_significance_map(result, sources=empty)
    matplotlib.pyplot.close("all")


def test_distribution_counts_pixels_and_draws_the_fit(result):
    ax = Figure().subplots()
    assert plot_significance_distribution(result, bin_width=0.5, ax=ax) is ax
    everywhere, outside = (patch.get_data() for patch in ax.patches)
    assert everywhere.values.sum() == np.isfinite(result.significance).sum()
    assert outside.values.sum() == np.isfinite(result.significance_outside).sum()
    assert everywhere.edges[0] < -4 < 9 < everywhere.edges[-1]
    fit, normal = ax.lines
    assert fit.get_label() == "fit: mean +0.02, width 0.98"
    step = np.diff(fit.get_xdata())[0]
    for line in (fit, normal):
        assert line.get_ydata().sum() * step / 0.5 == pytest.approx(outside.values.sum(), rel=0.01)
    assert fit.get_xdata()[np.argmax(fit.get_ydata())] == pytest.approx(0.02, abs=step)


def test_a_map_without_null_has_no_curve(result):
    result.null_fit = NullFit(*(np.nan,) * 4, 0, 0.0)
    ax = Figure().subplots()
    plot_significance_distribution(result, ax=ax)
    assert not ax.lines


def test_bad_arguments_are_named(result, wcs_axes):
    table = QTable({"ra": [1.0] * u.deg, "dec": [2.0] * u.deg})
    with pytest.raises(TypeError, match="ax must be a WCSAxes"):
        plot_significance_map(result, ax=Figure().subplots())
    with pytest.raises(ValueError, match="limits must be two rising numbers"):
        plot_significance_map(result, limits=(3, 3), ax=wcs_axes)
    with pytest.raises(ValueError, match="labels must be one for each of the 1 sources"):
        plot_significance_map(result, sources=table, labels=["A", "B"], ax=wcs_axes)
    with pytest.raises(ValueError, match="labels must be given with sources"):
        plot_significance_map(result, labels=["A"], ax=wcs_axes)
    with pytest.raises(ValueError, match="sources lacks the columns"):
        plot_significance_map(result, sources=table["ra",], ax=wcs_axes)
    with pytest.raises(ValueError, match="bin_width must be finite and > 0"):
        plot_significance_distribution(result, bin_width=0)
    result.significance = np.full((3, 3), np.nan)
    with pytest.raises(ValueError, match="significance_map must be finite in some pixels"):
        plot_significance_distribution(result)
