"""The same images through ctapipe and through us: pixels equal, parameters within 1e-6."""

import warnings
from functools import cache

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from astroml_kit.cherenkov import (
    CameraGeometry,
    RaggedImages,
    clean_images,
    extract_hillas,
    read_camera,
)

pytest.importorskip("ctapipe", reason="compares with ctapipe: pip install ctapipe")

RELATIVE = 1e-6
N_IMAGES = 12
CAMERAS = (
    "ASTRICam", "CHEC", "DigiCam", "FACT", "FlashCam", "HESS-I", "HESS-II", "LSTCam",
    "LSTCam-002", "LSTCam-003", "MAGICCam", "MAGICCamMars", "NectarCam", "NectarCam-003",
    "SCTCam", "VERITAS", "Whipple109", "Whipple151", "Whipple331", "Whipple490",
)  # fmt: skip
CLEANING = (
    {},
    {"keep_isolated_pixels": True},
    {"min_number_picture_neighbors": 1},
    {"min_number_picture_neighbors": 3},
)
OURS = {"fov_lon": "x", "fov_lat": "y"}


@cache
def import_ctapipe():
    """Import what is used, without the warnings of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ctapipe.image
        import ctapipe.image.cleaning
        import ctapipe.image.statistics
        import ctapipe.image.timing
        import ctapipe.image.toymodel
        import ctapipe.instrument

        return ctapipe


def make_peer(table):
    """Geometry of ctapipe from a table of pixels."""
    geometry = import_ctapipe().instrument.CameraGeometry
    table = table.copy()
    table.meta["TAB_VER"] = "1.0"  # some files lack it, and ctapipe refuses a number
    peer = geometry.from_table(table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Whipple490 has pixels of two sizes
        _ = peer.neighbor_matrix_sparse, peer.get_border_pixel_mask(2)
    return peer


def draw_images(peer, *, n_images=N_IMAGES, seed=1):
    """Toy showers of all sizes, some at the edge, over noise; and times along two axes."""
    model = import_ctapipe().image.toymodel.SkewedGaussian
    rng = np.random.default_rng(seed)
    unit = peer.pix_x.unit
    radius = np.hypot(peer.pix_x, peer.pix_y).max().value
    images, times = [], []
    for _ in range(n_images):
        length = radius * rng.uniform(0.05, 0.2)
        shower = model(
            x=rng.uniform(-0.9, 0.9) * radius * unit,
            y=rng.uniform(-0.9, 0.9) * radius * unit,
            length=length * unit,
            width=length * rng.uniform(0.1, 0.6) * unit,
            psi=rng.uniform(0, 180) * u.deg,
            skewness=rng.uniform(-0.8, 0.8),
        )
        light = 10 ** rng.uniform(2, 4)
        image, _, _ = shower.generate_image(peer, intensity=light, nsb_level_pe=2, rng=rng)
        images.append(image + rng.normal(0, 0.3, len(image)))
        slope = rng.normal(0, 10 / radius, 2)
        line = slope[0] * peer.pix_x.value + slope[1] * peer.pix_y.value
        times.append(line + rng.normal(0, 0.3, len(image)))
    return np.array(images), np.array(times)


def measure_with_ctapipe(peer, image, mask):
    """All parameters but the timing, under our names; None where ctapipe refuses."""
    lib = import_ctapipe().image
    part, light = peer[mask], image[mask]
    try:
        hillas = lib.hillas_parameters(part, light)
    except lib.hillas.HillasParameterizationError:
        return None
    found = {f"hillas_{OURS.get(key, key)}": value for key, value in hillas.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        statistics = lib.statistics.descriptive_statistics(light)
    for prefix, container in (
        ("concentration", lib.concentration_parameters(part, light, hillas)),
        ("leakage", lib.leakage_parameters(peer, image, mask)),
        ("morphology", lib.morphology_parameters(peer, mask)),
        ("intensity", statistics),
    ):
        found |= {f"{prefix}_{key}": value for key, value in container.items()}
    return found, hillas


def compare_rows(table, peer, images, masks):
    """Assert that every row is what ctapipe gives; return the number of rows with parameters."""
    n_compared = 0
    for row, image, mask in zip(table, images, masks, strict=True):
        theirs = measure_with_ctapipe(peer, image, mask)
        if theirs is None:
            assert np.isnan(row["hillas_intensity"])
            continue
        n_compared += 1
        # Zero by symmetry is rounding; 1e-9 of the field or of a turn is as good as equal.
        scale = float(np.hypot(peer.pix_x, peer.pix_y).max().value)
        for name, value in theirs[0].items():
            ours = row[name]
            if hasattr(value, "unit"):
                value, ours = value.to_value(ours.unit), ours.value
            floor = 1e-9 * scale if name in {"hillas_x", "hillas_y", "hillas_width"} else 1e-9
            np.testing.assert_allclose(ours, value, rtol=RELATIVE, atol=floor, err_msg=name)
    return n_compared


@pytest.mark.data
@pytest.mark.parametrize("name", CAMERAS)
def test_real_cameras(data_folder, name):
    path = data_folder("camera-geometries") / f"{name}.camgeom.fits.gz"
    camera, peer = read_camera(path), make_peer(Table.read(path))
    assert (camera.neighbours != peer.neighbor_matrix_sparse).nnz == 0
    for width in (1, 2):
        border = peer.get_border_pixel_mask(width)
        np.testing.assert_array_equal(camera.border_pixels(width), border)
    np.testing.assert_allclose(camera.pixel_width.value, peer.pixel_width.to_value(u.m))
    images, _ = draw_images(peer)
    levels = {"picture_threshold": 8, "boundary_threshold": 4}
    lib = import_ctapipe().image
    for options in CLEANING:
        masks = clean_images(images, camera=camera, **levels, **options)
        expected = [lib.tailcuts_clean(peer, image, 8, 4, **options) for image in images]
        np.testing.assert_array_equal(masks, expected)
    masks = clean_images(images, camera=camera, **levels)
    table = extract_hillas(images, camera=camera, masks=masks)
    assert compare_rows(table, peer, images, masks) >= N_IMAGES // 2


@pytest.fixture(scope="module")
def lattice():
    """One camera for both, in degree, and 300 images."""
    camera = CameraGeometry.hexagonal(pixel_size=0.16 * u.deg, n_pixels=960)
    table = Table(
        [np.arange(960), camera.pixel_x, camera.pixel_y, camera.pixel_area],
        names=["pix_id", "pix_x", "pix_y", "pix_area"],
        meta={"PIX_TYPE": "hexagonal", "PIX_ROT": 0.0, "CAM_ROT": 0.0, "CAM_ID": "lattice"},
    )
    peer = make_peer(table)
    return camera, peer, *draw_images(peer, n_images=300, seed=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lattice_in_degree(lattice, dtype):
    camera, peer, images, _ = lattice
    images = images[:100].astype(dtype)
    masks = clean_images(images, camera=camera, picture_threshold=8.3, boundary_threshold=4.2)
    lib = import_ctapipe().image
    expected = [lib.tailcuts_clean(peer, image, 8.3, 4.2) for image in images]
    np.testing.assert_array_equal(masks, expected)
    table = extract_hillas(images, camera=camera, masks=masks)
    # Ours are sums in double precision; theirs are in that of the charges they are given.
    assert compare_rows(table, peer, images.astype(float), masks) > 90


def test_ragged_images(lattice):
    camera, peer, images, _ = lattice
    images = np.where(images[:30] > 3, images[:30], 0.0)
    ragged = RaggedImages.from_dense(images)
    listed = clean_images(ragged, camera=camera)
    masks = np.zeros(images.shape, dtype=bool)
    masks[images != 0] = listed
    lib = import_ctapipe().image
    np.testing.assert_array_equal(masks, [lib.tailcuts_clean(peer, k, 10, 5) for k in images])
    table = extract_hillas(ragged, camera=camera, masks=listed)
    assert compare_rows(table, peer, images, masks) > 25


def test_thresholds_of_each_pixel(lattice):
    camera, peer, images, _ = lattice
    levels = np.random.default_rng(3).uniform(3, 12, (2, 960))
    masks = clean_images(
        images, camera=camera, picture_threshold=levels[0], boundary_threshold=levels[1]
    )
    lib = import_ctapipe().image
    np.testing.assert_array_equal(masks, [lib.tailcuts_clean(peer, k, *levels) for k in images])


@pytest.mark.parametrize("least", [1, 2, 4])
def test_time_limit(lattice, least):
    camera, peer, images, times = lattice
    levels = {"camera": camera, "picture_threshold": 8, "boundary_threshold": 4}
    masks = clean_images(images, **levels)
    kept = clean_images(images, **levels, times=times, time_limit=0.7, min_time_neighbors=least)
    clean = import_ctapipe().image.cleaning.apply_time_delta_cleaning
    expected = [clean(peer, m, t, least, 0.7) for m, t in zip(masks, times, strict=True)]
    np.testing.assert_array_equal(kept, expected)
    assert 0 < kept.sum() < masks.sum()


def test_few_pixels(lattice):
    """Images of one pixel to three, where ctapipe has rules of its own."""
    camera, peer, _, _ = lattice
    images = np.zeros((6, 960))
    centre, first, second = 480, *camera.neighbour_table[480, :2]
    images[0, centre] = images[1, centre] = images[2, centre] = 7.0
    images[1, first] = images[2, first] = 11.0
    images[2, second] = 5.0
    images[3, [100, 700]] = 4.0, 9.0
    images[4, [100, 480, 700]] = 4.0, 9.0, 3.0
    masks = images > 0
    table = extract_hillas(images, camera=camera)
    assert compare_rows(table, peer, images, masks) == 5


def test_timing(lattice):
    """Least trimmed squares: no sum of squares above theirs, and the same line where it is one.

    ctapipe draws five starts at random, and ends in a local minimum for about one image in ten
    of this kind; with 500 starts it is taken for the truth.
    """
    camera, _, images, times = lattice
    lib = import_ctapipe()
    masks = clean_images(images, camera=camera, picture_threshold=8, boundary_threshold=4)
    table = extract_hillas(images, camera=camera, masks=masks, times=times)
    n_equal, n_images = 0, 0
    for row, mask, time in zip(table, masks, times, strict=True):
        if mask.sum() < 4:
            continue
        psi = row["hillas_psi"].to_value(u.rad)
        x = (camera.pixel_x - row["hillas_x"]).value[mask]
        y = (camera.pixel_y - row["hillas_y"]).value[mask]
        along = x * np.cos(psi) + y * np.sin(psi)
        slope, intercept = lib.fitting.lts_linear_regression(along, time[mask], samples=500)[0]
        ours = row["timing_slope"].value, row["timing_intercept"]
        best, found = (
            np.sort((time[mask] - a * along - b) ** 2)[: int(0.85 * mask.sum())].sum()
            for a, b in ((slope, intercept), ours)
        )
        n_images += 1
        n_equal += np.allclose(ours, (slope, intercept), rtol=RELATIVE, atol=1e-9)
        assert found < 1.1 * best
        spread = np.sqrt(np.mean((time[mask] - ours[0] * along - ours[1]) ** 2))
        assert row["timing_deviation"] == pytest.approx(spread)
    assert n_images > 250
    assert n_equal > 0.98 * n_images
