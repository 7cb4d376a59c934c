"""Plots of groups: every galaxy is there, east is left, circles are as large as the groups."""

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from matplotlib.figure import Figure

from astroml_kit.catalogs import find_groups
from astroml_kit.plotting import plot_cone, plot_groups

matplotlib.use("Agg")


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def coords():
    """Two groups on both sides of 0 degrees, and lone positions around them."""
    rng = np.random.default_rng(1)
    ra = np.concatenate([rng.normal(359, 0.05, 30), rng.normal(1, 0.05, 20), rng.uniform(-3, 3, 9)])
    dec = np.concatenate([rng.normal(0, 0.05, 50), [-3, 3, -3, 3, 3, -3, 2, -2, 2]])
    return SkyCoord(ra % 360, dec, unit="deg")


def test_groups_on_the_sky(ax, coords):
    groups = find_groups(coords, radius=0.1 * u.deg)
    assert plot_groups(coords, groups, n_circles=1, ax=ax) is ax
    alone, first, second, circle = (line.get_xydata() for line in ax.lines)
    assert [len(alone), len(first), len(second)] == [9, *groups.table["n_members"]]
    assert first[:, 0].mean() < 0 < second[:, 0].mean()
    assert ax.xaxis_inverted()
    apart = np.hypot(*(first.mean(axis=0) - second.mean(axis=0)))
    assert apart == pytest.approx(2, abs=0.05)
    size = groups.table["radius"][0].to_value("deg")
    assert np.ptp(circle, axis=0) == pytest.approx(2 * size, rel=1e-3)
    assert np.all(np.hypot(*(first - circle[:-1].mean(axis=0)).T) < size * 1.001)
    assert [text.get_text() for text in ax.texts] == ["0"]


def test_labels_alone_have_no_circles(ax, coords):
    labels = np.full(len(coords), -1)
    labels[:3] = 0
    plot_groups(coords, labels, ax=ax, ms=7)
    assert len(ax.lines) == 2
    assert ax.lines[1].get_markersize() == 7


def test_the_cone_opens_as_the_field(ax, coords):
    redshift = np.full(len(coords), 0.1)
    redshift[-1] = np.nan
    assert plot_cone(coords, redshift, find_groups(coords, radius=0.1 * u.deg), ax=ax) is ax
    for line in ax.lines:
        x, y = line.get_xydata().T
        good = np.isfinite(x)
        np.testing.assert_allclose(np.hypot(x, y)[good], 0.1)
    first, second = (line.get_xydata() for line in ax.lines[1:])
    angle = np.degrees(np.arctan2(second[:, 1], second[:, 0]).mean())
    assert angle - np.degrees(np.arctan2(first[:, 1], first[:, 0]).mean()) == pytest.approx(
        2, abs=0.05
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, ax: plot_groups(c, [0, 1], ax=ax), "a label for each of the 59"),
        (lambda c, ax: plot_groups(c, np.zeros(59), ax=ax), "groups must be"),
        (lambda c, ax: plot_groups(c, np.zeros(59, int), n_circles=-1, ax=ax), "n_circles must be"),
        (lambda c, ax: plot_cone(c, [0.1], np.zeros(59, int), ax=ax), "redshift must be one for"),
    ],
)
def test_mistakes_are_named(ax, coords, call, message):
    with pytest.raises(ValueError, match=message):
        call(coords, ax)
