"""First looks: east is left, bright is up, pixels and members are where they belong."""

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from matplotlib.figure import Figure

from astroml_kit.catalogs import find_cluster, measure_density, simulate_open_cluster
from astroml_kit.plotting import plot_cluster, plot_colours, plot_density, plot_sky

matplotlib.use("Agg")


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def sky_ax():
    return Figure(figsize=(8, 4)).add_subplot(projection="hammer")


@pytest.fixture(scope="module")
def cluster():
    return find_cluster(simulate_open_cluster(80, n_field=500, magnitude_limit=18.0, rng=1))


def test_right_ascension_grows_to_the_left(sky_ax):
    coords = SkyCoord([0, 90, 270, 180.1], [0, 10, -20, 80], unit="deg")
    assert plot_sky(coords, values=[1.0, 2, 3, 4], plane=False, ax=sky_ax) is sky_ax
    x, y = np.degrees(np.asarray(sky_ax.collections[0].get_offsets())).T
    np.testing.assert_allclose(x, [0, -90, 90, 179.9], atol=1e-9)
    np.testing.assert_allclose(y, [0, 10, -20, 80])
    texts = [label.get_text() for label in sky_ax.get_xticklabels()]
    assert (texts[0], texts[5], texts[-1]) == ("10h", "0h", "14h")
    assert len(sky_ax.figure.axes) == 2


def test_the_galactic_plane_is_flat_in_its_own_frame(sky_ax):
    plane = SkyCoord(np.arange(0, 360, 30), 0, unit="deg", frame="galactic")
    plot_sky(plane.icrs, frame="galactic", ax=sky_ax, s=9)
    drawn = sky_ax.collections[0]
    np.testing.assert_allclose(np.asarray(drawn.get_offsets())[:, 1], 0, atol=1e-9)
    assert drawn.get_sizes() == [9]
    equatorial = Figure().add_subplot(projection="aitoff")
    plot_sky(plane, ax=equatorial)
    lon, lat = equatorial.lines[0].get_xdata(), equatorial.lines[0].get_ydata()
    back = SkyCoord(-lon, lat, unit="rad").galactic
    np.testing.assert_allclose(back.b.deg, 0, atol=1e-6)


@pytest.mark.parametrize("frame", ["icrs", "galactic"])
def test_pixels_are_painted_where_the_positions_are(frame, sky_ax):
    rng = np.random.default_rng(1)
    coords = SkyCoord(rng.uniform(30, 60, 400), rng.uniform(-30, 10, 400), unit="deg")
    density = measure_density(coords, nside=16)
    plot_density(density, frame=frame, log=False, ax=sky_ax)
    mesh = sky_ax.collections[0]
    corners = mesh.get_coordinates()
    x = 0.25 * (corners[1:, 1:] + corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:])
    value = np.ma.filled(mesh.get_array().reshape(x.shape[:2]), 0.0)
    area = np.cos(x[..., 1]) * np.ptp(corners[0, :2, 0]) * np.ptp(corners[:2, 0, 1])
    assert np.sum(value * area) * np.degrees(1) ** 2 == pytest.approx(400, rel=0.03)
    peak = np.unravel_index(np.argmax(value), value.shape)
    there = SkyCoord(-x[peak][0], x[peak][1], unit="rad", frame=frame)
    assert there.separation(density["centre"][np.argmax(density["n"])]) < 4 * u.deg


def test_an_empty_density_is_an_empty_sky(sky_ax):
    plot_density(measure_density(SkyCoord([], [], unit="deg"), nside=4), ax=sky_ax)
    assert np.ma.count(sky_ax.collections[0].get_array()) == 0


def test_bright_stars_are_up(ax):
    colour, magnitude = np.array([0.5, 1.0, np.nan, 2.0]), np.array([10.0, 15.0, 3.0, 18.0])
    assert plot_colours(colour, magnitude, magnitude=True, y_label="G", ax=ax) is ax
    assert ax.yaxis_inverted()
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0.5, 1.0, 2.0])
    assert ax.get_ylabel() == "G"


def test_classes_have_their_own_colours(ax):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3000))
    labels = np.where(np.arange(3000) < 300, "star", "galaxy")
    plot_colours(x, y, labels=labels, ax=ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["galaxy (2700)", "star (300)"]
    assert len(ax.lines[1].get_xdata()) == 300
    assert ax.lines[0].get_color() != ax.lines[1].get_color()


def test_crowds_are_shown_by_their_density(ax):
    x, y = np.random.default_rng(1).normal(size=(2, 25_000))
    plot_colours(x, y, percentile=100, ax=ax)
    assert not ax.lines
    assert ax.collections[0].get_array().sum() == 25_000


def test_a_cluster_in_four_pictures(cluster):
    axes = Figure(figsize=(9, 8)).subplots(2, 2)
    panels = plot_cluster(cluster, axes=axes)
    assert list(panels) == list(axes.ravel())
    for panel in panels[:3]:
        assert len(panel.collections[-1].get_offsets()) == len(cluster.members)
    motion = np.asarray(panels[1].collections[-1].get_offsets())
    np.testing.assert_allclose(np.sort(motion[:, 0]), np.sort(cluster.members["pmra"].value))
    assert panels[0].xaxis_inverted()
    assert panels[3].yaxis_inverted()
    circle = panels[0].lines[-1].get_xydata()
    np.testing.assert_allclose(np.hypot(*circle.T), cluster.radius.value)
    assert panels[1].get_xlim()[0] < cluster.pmra.value < panels[1].get_xlim()[1]


def test_a_cluster_without_brightness_or_without_members():
    stars = simulate_open_cluster(0, n_field=200, magnitude_limit=17.0, rng=2)
    stars.remove_columns(["phot_g_mean_mag", "bp_rp", "coord"])
    panels = plot_cluster(find_cluster(stars, magnitude_max=None), axes=Figure().subplots(1, 4))
    assert panels[2].get_xlabel() == "pmra [mas/yr]"
    assert sum(bar.get_height() for bar in panels[3].patches) == 200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: plot_sky(SkyCoord([1], [1], unit="deg"), ax=ax), "ax must be axes of the whol"),
        (lambda ax: plot_sky(SkyCoord([1], [1], unit="deg"), frame="fk4"), "frame must be one of"),
        (lambda ax: plot_density(simulate_open_cluster(2, n_field=0)), "a table of measure_densi"),
        (lambda ax: plot_colours([1, 2], [1], ax=ax), "y must be one for each of the 2"),
        (lambda ax: plot_colours([np.nan], [1], ax=ax), "x and y must be both finite"),
        (lambda ax: plot_colours(["a"], [1], ax=ax), "x must be numbers"),
        (lambda ax: plot_colours([1] * 7, [1] * 7, labels=range(7), ax=ax), "at most 6 classes"),
        (lambda ax: plot_colours([1], [1], percentile=40, ax=ax), "percentile must be"),
    ],
)
def test_mistakes_are_named(ax, call, message):
    with pytest.raises(ValueError, match=message):
        call(ax)


def test_a_cluster_needs_four_axes(cluster):
    with pytest.raises(ValueError, match="axes must be four axes"):
        plot_cluster(cluster, axes=Figure().subplots(1, 3))
