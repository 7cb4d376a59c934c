"""Cameras: the lattice, who touches whom, files and tables, and the picture of one image."""

import astropy.units as u
import matplotlib
import numpy as np
import pytest
from astropy.table import Table
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from astroml_kit.cherenkov import CameraGeometry, EventFileError, extract_hillas, read_camera
from astroml_kit.plotting import plot_camera_image

matplotlib.use("Agg")


@pytest.fixture
def camera():
    return CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=91)


@pytest.fixture
def table():
    """Nine square pixels in a block, as ctapipe writes them."""
    y, x = (k.ravel() * 0.01 for k in np.mgrid[-1:2, -1:2])
    meta = {"PIX_TYPE": "rectangular", "CAM_ID": "Block", "PIX_ROT": 0.0, "CAM_ROT": 0.0}
    columns = [np.arange(9), x * u.m, y * u.m, np.full(9, 1e-4) * u.m**2]
    return Table(columns, names=["pix_id", "pix_x", "pix_y", "pix_area"], meta=meta)


# --- lattice and neighbours


@pytest.mark.parametrize("rings", range(1, 7))
def test_full_hexagons(rings):
    n_pixels = 1 + 3 * rings * (rings + 1)
    camera = CameraGeometry.hexagonal(pixel_size=2 * u.cm, n_pixels=n_pixels)
    count = np.asarray(camera.neighbours.sum(axis=1))
    assert camera.unit == u.m
    assert np.bincount(count, minlength=7)[[3, 4, 6]].tolist() == [
        6,
        6 * (rings - 1),
        n_pixels - 6 * rings,
    ]
    assert camera.border_pixels(1).sum() == 6 * rings
    if rings > 1:
        assert camera.border_pixels(2).sum() == 6 * rings + 6 * (rings - 1)
    np.testing.assert_allclose(camera.pixel_width.value, 0.02)


def test_lattice_is_ordered_and_as_dense_as_can_be():
    camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960)
    x, y = camera.pixel_x.value, camera.pixel_y.value
    rows = np.round(y / (0.16 * np.sqrt(3) / 2)).astype(int)
    assert np.all(np.diff(rows * 1000 + x) > 0)
    larger = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=2000)
    nearest = np.sort(np.hypot(larger.pixel_x.value, larger.pixel_y.value))[:960]
    np.testing.assert_allclose(np.sort(np.hypot(x, y)), nearest, atol=1e-12)
    assert str(camera) == "hexagonal-960: 960 hexagonal pixels of 0.16 deg, out to 2.62 deg"


def test_neighbours_are_mutual_and_one_pixel_away(camera):
    matrix = camera.neighbours.toarray()
    assert np.array_equal(matrix, matrix.T)
    assert not matrix.diagonal().any()
    i, j = np.nonzero(matrix)
    apart = np.hypot(camera.pixel_x[i] - camera.pixel_x[j], camera.pixel_y[i] - camera.pixel_y[j])
    np.testing.assert_allclose(apart.value, 0.16)
    table = camera.neighbour_table
    assert table.dtype == np.int32
    assert table.shape == (91, 6)
    for pixel in range(91):
        assert set(table[pixel]) - {-1} == set(np.flatnonzero(matrix[pixel]))


def test_square_pixels_do_not_touch_at_corners(table):
    camera = read_camera(table)
    assert camera.pixel_shape == "square"
    assert np.asarray(camera.neighbours.sum(axis=1)).tolist() == [2, 3, 2, 3, 4, 3, 2, 3, 2]
    assert np.flatnonzero(~camera.border_pixels(1)).tolist() == [4]


def test_a_camera_of_one_pixel():
    camera = CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=1)
    assert camera.neighbours.nnz == 0
    row = extract_hillas([[5.0]], camera=camera)[0]
    assert row["hillas_intensity"] == 5


def test_arrays_are_read_only_copies():
    x = np.array([0.0, 1.0, 2.0])
    camera = CameraGeometry("row", x * u.deg, 0 * x * u.deg, 1 * u.deg**2, "square")
    x[0] = 9.0
    assert camera.pixel_x[0].value == 0
    with pytest.raises(ValueError, match="read-only"):
        camera.pixel_x[0] = 3 * u.deg
    assert camera.pixel_area.shape == (3,)


# --- units and files


def test_to_angular(table):
    camera = read_camera(table)
    seen = camera.to_angular(2 * u.m)
    assert seen.unit == u.deg
    np.testing.assert_allclose(seen.pixel_x.value, np.rad2deg(camera.pixel_x.value / 2))
    np.testing.assert_allclose(seen.pixel_width.value, np.rad2deg(0.01 / 2))
    assert seen.to_angular(5 * u.m) is seen
    with pytest.raises(ValueError, match="focal_length must be finite and > 0, got -1"):
        camera.to_angular(-1 * u.m)


@pytest.mark.parametrize("ending", ["fits", "fits.gz", "ecsv"])
def test_files_and_tables_are_the_same(table, tmp_path, ending):
    path = tmp_path / f"block.camgeom.{ending}"
    table.write(path)
    camera = read_camera(path)
    assert camera.name == "Block"
    np.testing.assert_allclose(camera.pixel_x.value, table["pix_x"])
    np.testing.assert_allclose(camera.pixel_area.value, 1e-4)


def test_pixels_come_in_the_order_of_their_id(table):
    camera = read_camera(table[::-1])
    np.testing.assert_array_equal(camera.pixel_x.value, table["pix_x"])


def test_a_rotation_of_the_camera_is_undone(table):
    turned = table.copy()
    cos, sin = np.cos(0.3), np.sin(0.3)
    turned["pix_x"] = table["pix_x"] * cos - table["pix_y"] * sin
    turned["pix_y"] = table["pix_x"] * sin + table["pix_y"] * cos
    turned.meta["CAM_ROT"] = turned.meta["PIX_ROT"] = np.rad2deg(0.3)
    camera = read_camera(turned)
    np.testing.assert_allclose(camera.pixel_x.value, table["pix_x"], atol=1e-15)
    np.testing.assert_allclose(camera.pixel_y.value, table["pix_y"], atol=1e-15)
    assert camera.pixel_rotation.value == pytest.approx(0, abs=1e-12)


def test_a_table_of_other_origin(table):
    other = table.copy()
    other.rename_columns(["pix_x", "pix_y"], ["PIX_POSX", "PIX_POSY"])
    del other.meta["PIX_TYPE"]
    names = {"PIX_POSX": "pix_x", "PIX_POSY": "pix_y"}
    camera = read_camera(other, columns=names, pixel_shape="square")
    np.testing.assert_array_equal(camera.pixel_x.value, table["pix_x"])
    assert "PIX_POSX" in other.colnames
    with pytest.raises(ValueError, match=r"must say PIX_TYPE in its header.*Give pixel_shape"):
        read_camera(other, columns=names)
    with pytest.raises(ValueError, match=r"lacks the columns \['pix_x', 'pix_y'\]"):
        read_camera(other, pixel_shape="square")


@pytest.mark.parametrize("ending", ["fits", "fits.gz"])
def test_a_cut_file_is_said_wherever_it_ends(table, tmp_path, ending):
    path = tmp_path / f"cut.{ending}"
    table.write(path)
    whole = path.read_bytes()
    for share in (0.0, 0.2, 0.5, 0.69):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(EventFileError, match=r"cut\.fits"):
            read_camera(path)


def test_wrong_files_are_said(table, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.fits is not there"):
        read_camera(tmp_path / "none.fits")
    text = tmp_path / "text.ecsv"
    text.write_text("no camera\n")
    with pytest.raises(EventFileError, match=r"text\.ecsv must be a readable camera file"):
        read_camera(text)
    table.meta["PIX_TYPE"] = "triangle"
    with pytest.raises(EventFileError, match=r"PIX_TYPE must be one of .* got 'triangle'"):
        read_camera(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_x": [1.0, 2.0]}, "pixel positions must be angles or lengths, got the unit"),
        ({"pixel_x": [1.0, 2.0] * u.s}, "pixel positions must be angles or lengths"),
        ({"pixel_y": [1.0] * u.deg}, "pixel_x and pixel_y must be two lists of equal length"),
        ({"pixel_y": [1.0, np.nan] * u.deg}, "pixel_y must be finite, got nan"),
        ({"pixel_y": [1.0, 2.0] * u.m}, "pixel_y must have a unit like deg, got m"),
        ({"pixel_area": [1.0, 0.0] * u.deg**2}, "pixel_area must be finite and > 0, got 0.0"),
        ({"pixel_area": [1.0, 1.0, 1.0] * u.deg**2}, "pixel_area must be one area or one for"),
        ({"pixel_shape": "triangle"}, "pixel_shape must be one of"),
    ],
)
def test_wrong_cameras_are_said(change, message):
    good = {
        "name": "two",
        "pixel_x": [0.0, 1.0] * u.deg,
        "pixel_y": [0.0, 0.0] * u.deg,
        "pixel_area": 1 * u.deg**2,
        "pixel_shape": "square",
    }
    with pytest.raises(ValueError, match=message):
        CameraGeometry(**{**good, **change})


@pytest.mark.parametrize("n_pixels", [0, 2.5])
def test_wrong_numbers_of_pixels_are_said(n_pixels):
    with pytest.raises(ValueError, match="n_pixels must be an integer >= 1"):
        CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=n_pixels)


def test_wrong_border_is_said(camera):
    with pytest.raises(ValueError, match="width must be an integer >= 1, got 0"):
        camera.border_pixels(0)


# --- picture


def test_the_picture_shows_charges_mask_and_ellipse(camera):
    image = np.zeros(91)
    image[[44, 45, 46, 55]] = 10, 40, 20, 15
    image[3] = np.nan
    mask = image > 5
    row = extract_hillas(image[None], camera=camera, masks=mask[None])[0]
    ax = plot_camera_image(image, camera=camera, mask=mask, hillas=row, ax=Figure().subplots())
    shown = {c.get_label(): c for c in ax.collections if isinstance(c, PolyCollection)}
    np.testing.assert_array_equal(shown["charge"].get_array(), np.delete(image, 3))
    assert len(shown["no charge"].get_paths()) == 1
    assert len(shown["cleaned"].get_paths()) == 4
    corners = shown["charge"].get_paths()[0].vertices[:6]
    x, y = (np.r_[corners[:, k], corners[0, k]] for k in (0, 1))
    area = 0.5 * abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
    assert area == pytest.approx(camera.pixel_area[0].value)
    (ellipse,) = (p for p in ax.patches if p.get_label() == "Hillas")
    assert isinstance(ellipse, Ellipse)
    assert ellipse.width == pytest.approx(2 * row["hillas_length"].value)
    assert ellipse.angle == pytest.approx(row["hillas_psi"].value)
    assert ax.get_xlabel() == "x [deg]"


def test_neighbouring_pixels_share_an_edge(camera):
    from astroml_kit.plotting.cameras import find_corners

    corners = find_corners(camera)
    i, j = np.nonzero(camera.neighbours.toarray())
    apart = np.linalg.norm(corners[i][:, :, None] - corners[j][:, None], axis=-1)
    assert np.all((apart < 1e-9).sum(axis=(1, 2)) == 2)


def test_the_picture_of_an_image_without_parameters(camera):
    row = extract_hillas(np.zeros((1, 91)), camera=camera)[0]
    ax = plot_camera_image(np.zeros(91), camera=camera, hillas=row, ax=Figure().subplots())
    assert not ax.patches
    with pytest.raises(ValueError, match="image must have one entry for each of the 91 pixels"):
        plot_camera_image(np.zeros((1, 91)), camera=camera)
    with pytest.raises(ValueError, match="mask must have one entry for each"):
        plot_camera_image(np.zeros(91), camera=camera, mask=[True])
