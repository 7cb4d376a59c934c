"""Square arrays hold the charge of the camera image, where it was."""

import astropy.units as u
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astroml_kit.cherenkov import CameraGeometry, CameraGrid, extract_image_arrays, read_camera

HEXAGONS = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=331)


def make_squares():
    x, y = np.meshgrid(np.arange(12) * 0.1, np.arange(12) * 0.1)
    return CameraGeometry("squares", x.ravel() * u.m, y.ravel() * u.m, 0.01 * u.m**2, "square")


def draw_shower(camera, *, x, y, length=0.3, width=0.1, psi=0.6):
    dx, dy = camera.pixel_x.value - x, camera.pixel_y.value - y
    along, across = dx * np.cos(psi) + dy * np.sin(psi), dy * np.cos(psi) - dx * np.sin(psi)
    return 1000 * np.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2))


def find_centroid(arrays, grid):
    total = arrays.sum(axis=(1, 2))
    x = (arrays.sum(axis=1) @ grid.x.value) / total
    y = (arrays.sum(axis=2) @ grid.y.value) / total
    return x, y


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-1, 1), st.floats(-1, 1), st.integers(6, 80), st.sampled_from(["bilinear", "nearest"])
)
def test_charge_and_centroid_are_kept(x, y, n_side, method):
    image = draw_shower(HEXAGONS, x=x, y=y)
    grid = CameraGrid.from_camera(HEXAGONS, n_side=n_side, method=method)
    arrays = extract_image_arrays(
        [image], camera=HEXAGONS, n_side=n_side, method=method, dtype=float
    )
    assert arrays.shape == (1, n_side, n_side)
    assert arrays.sum() == pytest.approx(image.sum(), rel=1e-12)
    found = np.ravel(find_centroid(arrays, grid))
    expected = [np.average(p.value, weights=image) for p in (HEXAGONS.pixel_x, HEXAGONS.pixel_y)]
    # "nearest" moves a pixel by up to half a cell
    allowed = 1e-9 if method == "bilinear" else 0.5 * grid.cell_size.value
    np.testing.assert_allclose(found, expected, atol=allowed)


def test_every_pixel_lands_whole_and_nowhere_else():
    for camera in (HEXAGONS, make_squares()):
        for n_side in (None, 5, 60):
            for method in ("bilinear", "nearest"):
                grid = CameraGrid.from_camera(camera, n_side=n_side, method=method)
                shares = grid.matrix.toarray()
                np.testing.assert_allclose(shares.sum(axis=0), 1)
                assert shares.min() >= 0
                x, y = np.meshgrid(grid.x.value, grid.y.value)
                for k in (0, camera.n_pixels // 2, camera.n_pixels - 1):
                    reach = np.hypot(
                        x.ravel() - camera.pixel_x.value[k], y.ravel() - camera.pixel_y.value[k]
                    )[shares[:, k] > 0].max()
                    assert reach < 0.75 * camera.pixel_width.value[k] + 1.5 * grid.cell_size.value


def test_rows_run_along_y_and_columns_along_x():
    grid = CameraGrid.from_camera(HEXAGONS)
    image = draw_shower(HEXAGONS, x=0.8, y=-0.4)
    array = extract_image_arrays([image], camera=HEXAGONS)[0]
    row, column = np.unravel_index(array.argmax(), array.shape)
    assert grid.x[column].value == pytest.approx(0.8, abs=0.2)
    assert grid.y[row].value == pytest.approx(-0.4, abs=0.2)


def test_a_flat_image_stays_flat_inside():
    """Finer cells than pixels show no pattern of holes."""
    array = extract_image_arrays(np.ones((1, 331)), camera=HEXAGONS, n_side=60)[0]
    inner = array[22:38, 22:38]
    assert inner.std() / inner.mean() < 0.12


def test_a_dead_pixel_stays_visible():
    images = np.ones((2, 331))
    images[1, 7] = np.nan
    arrays = extract_image_arrays(images, camera=HEXAGONS)
    assert np.isfinite(arrays[0]).all()
    assert 1 <= np.isnan(arrays[1]).sum() < 30


def test_many_images_in_pieces(monkeypatch):
    from astroml_kit.cherenkov import camera_arrays

    images = np.random.default_rng(2).normal(size=(10, 331))
    whole = extract_image_arrays(images, camera=HEXAGONS)
    monkeypatch.setattr(camera_arrays, "CHUNK", 1)
    np.testing.assert_array_equal(extract_image_arrays(images, camera=HEXAGONS), whole)
    assert extract_image_arrays(np.empty((0, 331)), camera=HEXAGONS).shape[0] == 0


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"images must be numbers of shape \(n_images, 331\)"):
        extract_image_arrays(np.ones((2, 330)), camera=HEXAGONS)
    with pytest.raises(ValueError, match="images must be numbers"):
        extract_image_arrays(np.ones(331), camera=HEXAGONS)
    with pytest.raises(ValueError, match="n_side must be a whole number"):
        extract_image_arrays(np.ones((1, 331)), camera=HEXAGONS, n_side=-5)
    with pytest.raises(ValueError, match="n_side must be a whole number"):
        extract_image_arrays(np.ones((1, 331)), camera=HEXAGONS, n_side=10**6)
    with pytest.raises(ValueError, match="method must be one of"):
        extract_image_arrays(np.ones((1, 331)), camera=HEXAGONS, method="cubic")


@pytest.mark.data
@pytest.mark.parametrize("name", ["ASTRICam", "CHEC", "FACT", "LSTCam", "NectarCam"])
def test_real_cameras(data_folder, name):
    camera = read_camera(data_folder("camera-geometries") / f"{name}.camgeom.fits.gz")
    size = camera.pixel_x.value.std()
    image = draw_shower(camera, x=size, y=0.5 * size, length=0.3 * size, width=0.1 * size)
    grid = CameraGrid.from_camera(camera)
    arrays = extract_image_arrays([image], camera=camera, dtype=float)
    assert arrays.sum() == pytest.approx(image.sum(), rel=1e-9)
    x, y = find_centroid(arrays, grid)
    assert x[0] == pytest.approx(np.average(camera.pixel_x.value, weights=image), abs=1e-9)
    assert y[0] == pytest.approx(np.average(camera.pixel_y.value, weights=image), abs=1e-9)
