"""Cut-outs against hand-made cases, against astropy, and against what a WCS must do."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.nddata.utils import NoOverlapError
from astropy.table import QTable
from astropy.wcs import WCS, Sip
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from astroml_kit.images import SkyImage, extract_stamps
from astroml_kit.images._cutting import (
    choose_matrices,
    find_grids,
    find_points,
    measure_jacobians,
)
from astroml_kit.images._stamp_wcs import flip_wcs


def make_wcs(*, crval=(150.0, 2.0), crpix=(8, 6), scale=1.0, angle=0.0, flip=False, ctype="RA DEC"):
    wcs = WCS(naxis=2)
    names = ctype.split()
    wcs.wcs.ctype = [f"{name}{'-' * (5 - len(name))}TAN" for name in names]
    wcs.wcs.crval, wcs.wcs.crpix = crval, crpix
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    wcs.wcs.cd = turn @ np.diag([1.0 if flip else -1.0, 1.0]) * scale / 3600
    wcs.wcs.set()
    return wcs


def make_image(shape=(12, 15), **options):
    """Pixels that say where they are: 100 row + column."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return SkyImage(100.0 * rows + columns, wcs=make_wcs(**options))


def at(image, *pixels):
    x, y = np.array(pixels, dtype=float).T
    return image.wcs.pixel_to_world(x, y)


def test_whole_edge_and_corner_by_hand():
    image = make_image()
    stamps = extract_stamps(image, at(image, (7, 5), (0, 5), (14, 11), (30, 5)), size=3)
    nan = np.nan
    expected = [
        [[406, 407, 408], [506, 507, 508], [606, 607, 608]],
        [[nan, 400, 401], [nan, 500, 501], [nan, 600, 601]],
        [[1013, 1014, nan], [1113, 1114, nan], [nan, nan, nan]],
        [[nan] * 3] * 3,
    ]
    np.testing.assert_array_equal(stamps.images[:, 0], expected)
    np.testing.assert_array_equal(stamps.mask, np.isnan(stamps.images))
    np.testing.assert_allclose(stamps.table["coverage"], [1, 6 / 9, 4 / 9, 0])
    assert stamps.meta["not_covered"] == 1
    assert stamps.wcs[3] is None
    assert stamps.parity.tolist() == ["sky", "sky", "sky", ""]
    np.testing.assert_allclose(stamps.pixel_scale[:3].to_value("arcsec"), 1)
    assert np.isnan(stamps.pixel_scale[3])


def test_nan_mask_and_errors_stay_with_the_pixels():
    data = make_image().data.copy()
    data[5, 7] = np.nan
    mask = np.zeros(data.shape, dtype=bool)
    mask[4, 6] = True
    image = SkyImage(data, mask=mask, uncertainty=data / 10, wcs=make_wcs(), unit="nJy")
    stamps = extract_stamps(image, at(image, (7, 5), (0, 0)), size=3)
    assert np.argwhere(stamps.mask[0, 0]).tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(stamps.table["good"], [7 / 9, 4 / 9])
    assert stamps.table["coverage"][0] == 1
    assert stamps.uncertainty[0, 0, 2, 2] == pytest.approx(60.8)
    assert np.isnan(stamps.uncertainty[1, 0, 0, 0])
    assert stamps.unit == u.nJy
    assert stamps.to_samples(fill=-1).X[0, 0, 1, 1] == -1


def test_bands_are_cut_together():
    planes = np.stack([make_image().data, 1e4 + make_image().data])
    mask = np.zeros(planes.shape, dtype=bool)
    mask[1, 5, 7] = True
    image = SkyImage(planes, mask=mask, wcs=make_wcs(), bands=("g", "r"))
    position = image.wcs.pixel_to_world([7], [5])
    for options in ({}, {"pixel_scale": 1 * u.arcsec, "interpolation": "nearest"}):
        stamps = extract_stamps(image, position, size=3, **options)
        assert stamps.bands == ("g", "r")
        np.testing.assert_array_equal(stamps.images[0, 0], planes[0, 4:7, 6:9])
        assert stamps.images[0, 1, 2, 2] == 10608
        assert np.argwhere(stamps.mask[0]).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("size", [1, 4, 7])
def test_whole_pixels_as_astropy_cuts_them(size):
    image = make_image(angle=30)
    rng = np.random.default_rng(size)
    positions = at(image, *rng.uniform([-4, -4], [18, 15], (60, 2)))
    stamps = extract_stamps(image, positions, size=size)
    found = 0
    for row, position in enumerate(positions):
        try:
            peer = Cutout2D(image.data, position, size, wcs=image.wcs, mode="partial",
                            fill_value=np.nan)  # fmt: skip
        except NoOverlapError:
            assert stamps.table["coverage"][row] == 0
            continue
        found += 1
        np.testing.assert_array_equal(stamps.images[row, 0], peer.data.astype(np.float32))
        np.testing.assert_allclose(stamps.wcs[row].wcs.crpix, peer.wcs.wcs.crpix)
    assert found > 20


@settings(max_examples=25, deadline=None)
@given(
    ra=st.sampled_from([0.0, 359.9999, 150.0]),
    dec=st.sampled_from([-90.0, -89.9995, 0.0, 45.0, 89.9999, 90.0]),
    angle=st.floats(0, 360),
    flip=st.booleans(),
    frame=st.sampled_from(["RA DEC", "GLON GLAT"]),
    options=st.sampled_from([
        {}, {"parity": "sky"}, {"parity": "mirror"}, {"pixel_scale": 0.7 * u.arcsec},
        {"north_up": True}, {"pixel_scale": 2.5 * u.arcsec, "north_up": True, "parity": "sky"},
    ]),
)  # fmt: skip
def test_the_wcs_of_a_stamp_finds_its_position(ra, dec, angle, flip, frame, options):
    image = make_image(crval=(ra, dec), angle=angle, flip=flip, ctype=frame)
    positions = at(image, (7.3, 5.1), (6.0, 6.49), (3.2, 4.4))
    stamps = extract_stamps(image, positions, size=4, **options)
    assert (stamps.table["coverage"] > 0).all()
    for row in range(3):
        wcs = stamps.wcs[row]
        pixel = np.array(wcs.world_to_pixel(positions[row]))
        expected = [stamps.table["x"][row], stamps.table["y"][row]]
        np.testing.assert_allclose(pixel, expected, atol=1e-5)
        # the position lies within half a pixel of the middle
        assert np.abs(pixel - 1.5).max() <= 0.5 + 1e-5
        corner = wcs.pixel_to_world(0, 0)
        # and a stamp of the image's scale is where the image has it
        if "pixel_scale" not in options:
            back = wcs.world_to_pixel(corner)
            np.testing.assert_allclose(back, 0, atol=1e-5)
            apart = corner.separation(wcs.pixel_to_world(3, 0)).arcsec
            assert apart == pytest.approx(3, abs=1e-3)
    if "parity" in options:
        assert set(stamps.parity) == {options["parity"]}
    else:
        assert set(stamps.parity) == {image.parity}
    if options.get("north_up"):
        here = positions[2].icrs
        there = stamps.wcs[2].pixel_to_world(1.5, 2.5).icrs
        turn = (here.position_angle(there).deg + 180) % 360 - 180
        assert abs(turn) < 0.01 or abs(dec) > 89.9 or frame != "RA DEC"


def test_a_flip_reverses_columns_and_nothing_else():
    image = make_image()
    position = image.wcs.pixel_to_world([5.2], [5.4])
    plain = extract_stamps(image, position, size=4)
    turned = extract_stamps(image, position, size=4, parity="mirror")
    np.testing.assert_array_equal(turned.images, plain.images[..., ::-1])
    assert turned.meta["interpolated"] == 0
    assert extract_stamps(image, position, size=4, parity="sky").images.tolist() == (
        plain.images.tolist()
    )
    for column in range(4):
        apart = (
            plain.wcs[0]
            .pixel_to_world(column, 1)
            .separation(turned.wcs[0].pixel_to_world(3 - column, 1))
        )
        assert apart.arcsec < 1e-8


def test_interpolation_is_that_of_the_two_wcs():
    rng = np.random.default_rng(3)
    image = SkyImage(rng.normal(size=(60, 70)), wcs=make_wcs(crpix=(35, 30), angle=40, flip=True))
    positions = at(image, (30.3, 31.7), (36, 25))
    for options in ({}, {"parity": "sky"}):
        stamps = extract_stamps(
            image, positions, size=15, pixel_scale=0.8 * u.arcsec, north_up=True, kind="brightness",
            **options,
        )  # fmt: skip
        y, x = np.mgrid[:15, :15]
        for row in range(2):
            column, line = image.wcs.world_to_pixel(stamps.wcs[row].pixel_to_world(x, y))
            expected = map_coordinates(image.data, [line, column], order=1)
            np.testing.assert_allclose(stamps.images[row, 0], expected, atol=1e-5)


@pytest.mark.parametrize(("crval", "ctype", "sip"), [
    ((40.0, 89.97), "RA DEC", 0), ((0.0, -90.0), "RA DEC", 0), ((0.0, 5.0), "GLON GLAT", 0),
    ((10.0, 30.0), "RA DEC", 3e-6), ((10.0, 30.0), "RA DEC", 1e-4),
])  # fmt: skip
def test_grids_from_a_few_points_are_those_of_every_point(crval, ctype, sip, monkeypatch):
    wcs = make_wcs(crval=crval, crpix=(100, 90), scale=3.0, angle=15, ctype=ctype)
    if sip:
        wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
        a = np.zeros((4, 4))
        a[2, 0], a[0, 3] = sip, sip / 30
        wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    sky = wcs.pixel_to_world([99.0, 140.0], [89.0, 60.0]).icrs
    centers = np.stack([sky.ra.deg, sky.dec.deg], axis=1)
    jacobians = measure_jacobians(wcs, np.array([[99.0, 89.0], [140.0, 60.0]]))
    matrices = choose_matrices(jacobians, scale=2 / 3600, north_up=True, parity="sky")
    grids = find_grids(wcs, centers, matrices, 40, 2)
    assert grids.shape == (2, 40, 40, 4, 2)
    # row 7, column 31, the lower right of its four points
    offset = np.array([31 - 19.5 + 0.25, 7 - 19.5 - 0.25])
    exact = find_points(wcs, centers, matrices, offset)
    assert np.abs(grids[:, 7, 31, 1] - exact).max() < 1e-3
    monkeypatch.setattr("astroml_kit.images._cutting.TOLERANCE", 0)
    np.testing.assert_allclose(
        find_grids(wcs, centers, matrices, 40, 2)[:, 7, 31, 1], exact, rtol=0, atol=1e-9
    )


def test_nothing_changes_on_the_grid_of_the_image():
    image = make_image(angle=25, crval=(0.0, 0.0), crpix=(8, 7))
    position = image.wcs.pixel_to_world([7], [6])  # where the image's own projection touches
    stamps = extract_stamps(image, position, size=5, pixel_scale=1 * u.arcsec)
    np.testing.assert_allclose(stamps.images[0, 0], image.data[4:9, 5:10], rtol=1e-6)
    assert stamps.meta["interpolated"] == 1


@pytest.mark.parametrize(("scale", "fine"), [(0.5, 1), (2.0, 1), (3.0, 1)])
def test_flux_is_kept_and_brightness_is_not_scaled(scale, fine):
    y, x = np.mgrid[:81, :81] - 40.0
    star = 1000 * np.exp(-(x**2 + y**2) / (2 * 4**2)) / (2 * np.pi * 4**2)
    wcs = make_wcs(crpix=(41, 41))
    position = wcs.pixel_to_world([40], [40])
    options = {"size": 60 * u.arcsec, "pixel_scale": scale * u.arcsec}
    counts = extract_stamps(SkyImage(star, wcs=wcs, unit="ct"), position, **options)
    assert counts.meta["kind"] == "flux"
    assert counts.images.sum() == pytest.approx(1000, rel=2e-3)
    bright = extract_stamps(SkyImage(star, wcs=wcs, unit="MJy/sr"), position, **options)
    assert bright.meta["kind"] == "brightness"
    np.testing.assert_allclose(bright.images * scale**2, counts.images, rtol=1e-6)
    for unit, kind in (("Jy/beam", "brightness"), ("nmgy/arcsec2", "brightness"), ("Jy", "flux")):
        with u.add_enabled_units(u.photometric):
            image = SkyImage(star, wcs=wcs, unit=unit)
        assert extract_stamps(image, position, size=4).meta["kind"] == kind


def test_noise_of_larger_pixels_is_that_of_their_sum():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 2, (300, 300))
    wcs = make_wcs(crpix=(150, 150))
    image = SkyImage(noise, uncertainty=np.full(noise.shape, 2.0), wcs=wcs, unit="ct")
    stamps = extract_stamps(
        image, wcs.pixel_to_world([149.5], [149.5]), size=60, pixel_scale=4 * u.arcsec
    )
    # 16 pixels each of 2 counts; smoothed a little by the interpolation
    assert stamps.uncertainty.mean() == pytest.approx(8, rel=1e-3)
    assert stamps.images.std() == pytest.approx(8, rel=0.1)


def test_a_bad_pixel_spoils_what_it_contributes_to():
    data = np.ones((20, 20))
    data[10, 10] = np.nan
    image = SkyImage(data, wcs=make_wcs(crpix=(10, 10)))
    position = image.wcs.pixel_to_world([9.5], [9.5])
    stamps = extract_stamps(image, position, size=4, pixel_scale=1 * u.arcsec)
    # stamp pixels lie at whole pixels 8 to 11: only the bad one itself
    assert np.argwhere(stamps.mask[0, 0]).tolist() == [[2, 2]]
    shifted = image.wcs.pixel_to_world([9.9], [9.9])
    stamps = extract_stamps(image, shifted, size=4, pixel_scale=1 * u.arcsec)
    assert stamps.mask.sum() == 4
    np.testing.assert_allclose(stamps.images[~stamps.mask], 1, rtol=1e-6)
    cubic = extract_stamps(image, shifted, size=8, pixel_scale=1 * u.arcsec, interpolation="cubic")
    assert cubic.mask.sum() == 16
    np.testing.assert_allclose(cubic.images[~cubic.mask], 1, atol=1e-6)


def test_many_images_each_position_from_the_one_that_covers_it(tmp_path):
    paths, positions = [], []
    for k in range(3):
        image = make_image(shape=(40, 50), crval=(10 + 0.012 * k, -5), crpix=(25, 20))
        path = tmp_path / f"tile{k}.fits"
        fits.writeto(path, image.data + 1e5 * k, image.wcs.to_header())
        paths.append(path)
        positions += list(at(image, (20, 20), (0, 0), (49, 10)))
    table = QTable({"coord": SkyCoord(positions), "name": [f"g{k}" for k in range(9)]})
    stamps = extract_stamps(paths, table, size=9)
    assert stamps.table["name"].tolist() == table["name"].tolist()
    for row in range(9):
        source = [path.name for path in paths].index(stamps.table["source"][row])
        middle = stamps.images[row, 0, 4, 4]
        whole = [
            extract_stamps(path, table["coord"][row], size=9).table["coverage"][0] for path in paths
        ]
        assert stamps.table["coverage"][row] == max(whole)
        assert source == int(np.argmax(whole))
        assert middle // 1e5 == source
    assert stamps.table["source"][0] == "tile0.fits"
    assert len(set(stamps.table["source"])) == 3
    # in memory and on disk are the same
    again = extract_stamps(paths[0], table[:2], size=9)
    np.testing.assert_array_equal(again.images[0], stamps.images[0])


def test_a_big_image_is_read_by_tiles(tmp_path, monkeypatch):
    image = make_image(shape=(100, 120), crpix=(60, 50), angle=12)
    path = tmp_path / "big.fits"
    fits.writeto(path, image.data, image.wcs.to_header())
    rng = np.random.default_rng(0)
    positions = at(image, *rng.uniform([-3, -3], [123, 103], (40, 2)))
    for options in ({}, {"pixel_scale": 1.7 * u.arcsec}):
        whole = extract_stamps(path, positions, size=6, **options)
        with monkeypatch.context() as patch:
            patch.setattr("astroml_kit.images._image_sources.MOST_AT_ONCE", 100)
            patch.setattr("astroml_kit.images._image_sources.TILE", 32)
            tiled = extract_stamps(path, positions, size=6, **options)
        np.testing.assert_allclose(tiled.images, whole.images, rtol=1e-6)
        np.testing.assert_array_equal(tiled.table["coverage"], whole.table["coverage"])


def test_oblong_pixels_of_a_file_are_read_as_far_as_a_stamp_reaches(tmp_path):
    wcs = make_wcs(crpix=(200, 50))
    wcs.wcs.cd = np.diag([-0.25, 2.0]) / 3600
    data = np.random.default_rng(0).normal(size=(100, 400))
    fits.writeto(tmp_path / "slit.fits", data, wcs.to_header())
    position = wcs.pixel_to_world([200.0], [50.0])
    options = {"size": 20, "pixel_scale": 2 * u.arcsec}
    found = extract_stamps(tmp_path / "slit.fits", position, **options)
    assert found.table["coverage"][0] == 1
    whole = extract_stamps(SkyImage(data, wcs=wcs), position, **options)
    np.testing.assert_allclose(found.images, whole.images, atol=1e-5)


def test_units_convert_or_are_refused():
    first = SkyImage(np.ones((12, 15)), wcs=make_wcs(), unit="Jy")
    second = SkyImage(np.ones((12, 15)), wcs=make_wcs(crval=(150.1, 2)), unit="mJy")
    positions = SkyCoord([first.wcs.pixel_to_world(7, 5), second.wcs.pixel_to_world(7, 5)])
    stamps = extract_stamps([first, second], positions, size=3)
    np.testing.assert_allclose(stamps.images[1], 1e-3)
    plain = SkyImage(np.ones((12, 15)), wcs=make_wcs(crval=(150.1, 2)))
    with pytest.raises(ValueError, match="images must have units that convert, got Jy in 0"):
        extract_stamps([first, plain], positions, size=3)


def test_distorted_images_are_flipped_by_interpolation():
    wcs = make_wcs()
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a = np.zeros((3, 3))
    a[2, 0] = 1e-3
    wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    image = SkyImage(np.arange(180.0).reshape(12, 15), wcs=wcs)
    position = wcs.pixel_to_world([7.0], [5.0])
    stamps = extract_stamps(image, position, size=3, parity="mirror")
    assert stamps.meta["interpolated"] == 1
    assert stamps.parity[0] == "mirror"
    plain = extract_stamps(image, position, size=3)
    np.testing.assert_allclose(stamps.images, plain.images[..., ::-1], rtol=0.05)
    np.testing.assert_allclose(
        plain.wcs[0].all_pix2world(1, 1, 0), wcs.all_pix2world(7, 5, 0), rtol=0, atol=1e-12
    )


def test_an_exact_flip_of_the_whole_wcs():
    wcs = make_wcs(angle=31)
    flipped = flip_wcs(wcs, 15)
    x, y = np.meshgrid(np.arange(15.0), np.arange(12.0))
    apart = wcs.pixel_to_world(x, y).separation(flipped.pixel_to_world(14 - x, y))
    assert apart.arcsec.max() < 1e-8


def test_positions_that_are_missing_are_counted():
    image = make_image()
    here = image.wcs.pixel_to_world(7, 5)
    positions = SkyCoord([here.ra.deg, np.nan], [here.dec.deg, np.nan], unit="deg")
    stamps = extract_stamps(image, positions, size=3)
    assert stamps.table["coverage"].tolist() == [1, 0]
    assert stamps.meta["not_covered"] == 1
    empty = extract_stamps(image, positions[:0], size=3)
    assert empty.images.shape == (0, 1, 3, 3)
    single = extract_stamps(image, here, size=3)
    assert len(single) == 1


def test_wrong_requests_say_what_to_do():
    image = make_image()
    here = image.wcs.pixel_to_world([7], [5])
    cases = [
        (image, here, {"size": 3.5}, "size must be an angle or a whole number of pixels"),
        (image, here, {"size": 0}, "size must be an angle or a whole number of pixels"),
        (image, here, {"size": 3 * u.s}, "size must be an angle or a whole number of pixels"),
        (image, here, {"size": 3, "pixel_scale": 1.0}, "pixel_scale must be an angle"),
        (image, here, {"size": 3, "parity": "left"}, "parity must be one of"),
        (image, [1, 2], {"size": 3}, "coords must be a SkyCoord or a table"),
        (SkyImage(np.ones((4, 4))), here, {"size": 3}, "image 0 must have a celestial WCS"),
        ([], here, {"size": 3}, "images must be a SkyImage, a path, or a list"),
        ([image, make_image(scale=2.0)], here, {"size": 8 * u.arcsec},
         "size must be of one number of pixels on all images, got 4 to 8"),
    ]  # fmt: skip
    for images, coords, options, message in cases:
        with pytest.raises(ValueError, match=message):
            extract_stamps(images, coords, **options)
