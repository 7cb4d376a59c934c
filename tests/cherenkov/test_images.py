"""Image parameters: laws that hold for any image, and what becomes of damaged ones."""

import astropy.units as u
import numpy as np
import pytest

from astroml_kit.cherenkov import CameraGeometry, RaggedImages, clean_images, extract_hillas


@pytest.fixture(scope="module")
def camera():
    return CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=127)


def test_two_levels_by_hand():
    camera = CameraGeometry.hexagonal(pixel_size=1 * u.deg, n_pixels=7)
    masks = clean_images([[0, 6, 4, 12, 0, 0, 0], [0, 0, 0, 12, 0, 0, 0]], camera=camera)
    assert masks.tolist() == [[False, True, False, True, False, False, False], [False] * 7]


def test_two_pixels_by_hand(camera):
    image = np.zeros((1, 127))
    left, right = 63, 64  # centre and its right-hand neighbour
    image[0, [left, right]] = 10, 30
    row = extract_hillas(image, camera=camera)[0]
    assert row["hillas_intensity"] == 40
    assert row["hillas_x"].to_value("deg") == pytest.approx(0.12)
    assert row["hillas_length"].to_value("deg") == pytest.approx(0.16 * np.sqrt(0.75 * 0.25))
    assert row["hillas_width"].value == 0


def test_ragged_is_dense_bit_for_bit(camera):
    rng = np.random.default_rng(1)
    images = rng.poisson(1.0, (50, 127)) * rng.exponential(5, (50, 127))
    ragged = RaggedImages.from_dense(images)
    masks, listed = clean_images(images, camera=camera), clean_images(ragged, camera=camera)
    assert masks[images != 0].tolist() == listed.tolist()
    dense_table = extract_hillas(images, camera=camera, masks=masks)
    ragged_table = extract_hillas(ragged, camera=camera, masks=listed)
    for name in dense_table.colnames:
        np.testing.assert_array_equal(dense_table[name], ragged_table[name])
