"""Images out of FITS of every kind, NPZ and pictures, with what belongs to them."""

import bz2
import gzip
import os
import pickle
import tracemalloc
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.units import photometric
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, DistortionLookupTable, Sip
from PIL import Image

from astroml_kit.images import SkyImage, read_image
from astroml_kit.images._stamp_wcs import flip_wcs, shift_wcs

DATA = os.environ.get("ASTROML_KIT_DATA")


def make_wcs(*, crval=(150.0, 2.0), crpix=(20, 15), scale=0.5, angle=20.0, flip=False):
    """Gnomonic, its rows turned by an angle [deg]; pixels of ``scale`` arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = crval, crpix
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, -sin], [sin, cos]])
    wcs.wcs.cd = turn @ np.diag([1.0 if flip else -1.0, 1.0]) * scale / 3600
    wcs.wcs.set()
    return wcs


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(10, 2, (30, 40)).astype(np.float32)


@pytest.fixture
def plain(tmp_path, pixels):
    header = make_wcs().to_header()
    header["BUNIT"], header["FILTER"] = "MJy/sr", "r"
    path = tmp_path / "plain.fits"
    fits.writeto(path, pixels, header)
    return path


def compress(path, kind):
    content = path.read_bytes()
    packed = path.with_name(f"{path.name}.{kind}")
    packed.write_bytes({"gz": gzip.compress, "bz2": bz2.compress}[kind](content))
    return packed


@pytest.mark.parametrize("kind", ["plain", "gz", "bz2", "fz"])
def test_fits_in_any_wrapping_is_the_same_image(plain, pixels, kind):
    path = plain
    if kind == "fz":
        path = plain.with_suffix(".fits.fz")
        with fits.open(plain) as file:
            header = file[0].header
            packed = fits.CompImageHDU(pixels, header, compression_type="GZIP_1", quantize_level=0)
            fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
    elif kind != "plain":
        path = compress(plain, kind)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, pixels)
    assert image.data.dtype == np.float32
    assert image.data.dtype.isnative
    assert image.unit == u.MJy / u.sr
    assert image.bands == ("r",)
    assert image.parity == "sky"
    assert image.meta["first_row"] == "bottom"
    part = read_image(path, section=((5, 12), slice(30, None)))
    np.testing.assert_array_equal(part.data, pixels[5:12, 30:])
    same = image.wcs.pixel_to_world(33, 9).separation(part.wcs.pixel_to_world(3, 4))
    assert same.arcsec < 1e-9


def test_scaled_integers_and_blank(tmp_path):
    path = tmp_path / "scaled.fits"
    hdu = fits.PrimaryHDU(np.array([[1, 2, 3], [4, -99, 6]], dtype=np.int16))
    hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5, 100, -99
    hdu.writeto(path)
    image = read_image(path)
    np.testing.assert_array_equal(image.data, [[100.5, 101, 101.5], [102, np.nan, 103]])
    np.testing.assert_array_equal(image.mask, [[0, 0, 0], [0, 1, 0]])
    fits.writeto(tmp_path / "unsigned.fits", np.array([[1, 65535]], dtype=np.uint16))
    assert read_image(tmp_path / "unsigned.fits").data.tolist() == [[1, 65535]]
    fits.writeto(tmp_path / "long.fits", np.array([[1, 2**31 - 1]], dtype=np.int32))
    # float32 would make 2147483648 of it
    assert read_image(tmp_path / "long.fits").data[0, 1] == 2**31 - 1


def write_extensions(path, pixels, extra):
    parts = [fits.PrimaryHDU(), fits.ImageHDU(pixels, make_wcs().to_header(), name="SCI")]
    parts += [fits.ImageHDU(array, name=name) for name, array in extra.items()]
    fits.HDUList(parts).writeto(path)
    return path


def test_extensions_become_mask_errors_and_psf(tmp_path, pixels):
    flags = np.zeros(pixels.shape, dtype=np.int32)
    flags[2, 3], flags[4, 5] = 1, 8
    ivar = np.full(pixels.shape, 4.0)
    ivar[0, 0] = 0
    psf = np.full((5, 5), 0.04)
    path = write_extensions(
        tmp_path / "many.fits", pixels, {"DQ": flags, "IVAR": ivar, "PSF": psf, "OTHER": pixels}
    )
    image = read_image(path)
    assert np.argwhere(image.mask).tolist() == [[0, 0], [2, 3], [4, 5]]
    assert image.uncertainty[1, 1] == 0.5
    np.testing.assert_array_equal(image.psf, psf)
    assert image.meta["hdu"] == 1
    assert image.meta["read_as"] == {"DQ": "mask", "IVAR": "ivar", "PSF": "psf"}
    assert image.meta["others"][-1] == "5 OTHER: 30 x 40"
    some = read_image(path, bad_bits=8, section=((2, 6), (3, 9)))
    assert np.argwhere(some.mask).tolist() == [[2, 2]]
    assert read_image(path, hdu="OTHER").meta["hdu"] == 5
    back = image.to_nddata()
    assert back.uncertainty.array[1, 1] == 0.5
    assert back.wcs is image.wcs


def test_weights_are_relative_unless_said_otherwise(tmp_path, pixels):
    weight = np.full(pixels.shape, 25.0)
    weight[3, 3] = 0
    path = write_extensions(tmp_path / "weight.fits", pixels, {"WHT": weight})
    image = read_image(path)
    assert image.uncertainty is None
    np.testing.assert_array_equal(image.meta["weight"], weight)
    assert np.argwhere(image.mask).tolist() == [[3, 3]]
    assert read_image(path, weight="inverse_variance").uncertainty[0, 0] == pytest.approx(0.2)


def test_partners_are_those_of_the_same_version(tmp_path, pixels):
    parts = [fits.PrimaryHDU()]
    for version in (1, 2):
        parts.append(fits.ImageHDU(pixels * version, name="SCI", ver=version))
        parts.append(fits.ImageHDU(np.full_like(pixels, version), name="ERR", ver=version))
    fits.HDUList(parts).writeto(tmp_path / "chips.fits")
    assert read_image(tmp_path / "chips.fits").uncertainty[0, 0] == 1
    assert read_image(tmp_path / "chips.fits", hdu=3).uncertainty[0, 0] == 2


def test_a_cube_becomes_bands(tmp_path):
    cube = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    wcs = WCS(naxis=4)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN", "FREQ", "STOKES"]
    wcs.wcs.cdelt, wcs.wcs.crval = [-0.01, 0.01, 1e6, 1], [10, 20, 1e9, 1]
    fits.writeto(tmp_path / "cube.fits", cube, wcs.to_header())
    image = read_image(tmp_path / "cube.fits", section=((1, 3), (0, 5)))
    assert image.data.shape == (6, 2, 5)
    np.testing.assert_array_equal(image.data[4], cube[1, 1, 1:3])
    assert image.wcs.naxis == 2
    assert image.wcs.wcs.crpix[1] == -1
    # an axis of one, as radio images have two of
    fits.writeto(tmp_path / "radio.fits", cube[:1, :1])
    assert read_image(tmp_path / "radio.fits").data.shape == (4, 5)
    with pytest.raises(ValueError, match="bands must be 6 names, one per plane"):
        read_image(tmp_path / "cube.fits", bands=("I", "Q"))


def test_units_that_are_none_are_said(tmp_path, pixels):
    for text, unit in (("counts", u.ct), ("ADU", u.adu), ("nanomaggy", photometric.mgy)):
        fits.writeto(tmp_path / "unit.fits", pixels, fits.Header({"BUNIT": text}), overwrite=True)
        assert read_image(tmp_path / "unit.fits").unit.is_equivalent(unit)
    fits.writeto(tmp_path / "unit.fits", pixels, fits.Header({"BUNIT": "bananas"}), overwrite=True)
    image = read_image(tmp_path / "unit.fits")
    assert image.unit is None
    assert image.meta["unknown_unit"] == "bananas"


def test_a_section_of_a_big_file_takes_little_memory(tmp_path):
    side = 20_000
    header = fits.PrimaryHDU(np.zeros((1, 1), dtype=np.float32)).header
    header["NAXIS1"] = header["NAXIS2"] = side
    path = tmp_path / "big.fits"
    block = np.arange(50, dtype=">f4")
    with path.open("wb") as file:
        file.write(header.tostring().encode())
        start = file.tell()
        file.seek(start + 4 * (side * 15_000 + 7_000))
        file.write(block.tobytes())
        # 1.6 GB, of which the disk holds two blocks
        file.truncate(-(-(start + 4 * side**2) // 2880) * 2880)
    tracemalloc.start()
    image = read_image(path, section=((14_990, 15_010), (7_000, 7_050)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(image.data[10], block)
    assert image.data[:10].sum() == image.data[11:].sum() == 0
    assert peak < 4e6


def test_npz_and_pictures(tmp_path, pixels):
    np.savez(tmp_path / "a.npz", data=pixels, mask=pixels > 12, psf=np.ones((3, 3)))
    image = read_image(tmp_path / "a.npz", section=((0, 10), (0, 10)))
    np.testing.assert_array_equal(image.mask, pixels[:10, :10] > 12)
    assert image.psf.shape == (3, 3)
    assert image.parity is None
    colours = np.random.default_rng(1).integers(0, 256, (6, 7, 4), dtype=np.uint8)
    colours[0, 1, 3], colours[2:, :, 3] = 0, 200
    Image.fromarray(colours).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.data, colours[..., :3].transpose(2, 0, 1))
    assert image.mask[:, 0, 1].all()  # transparent
    assert not image.mask[:, 2:].any()
    assert image.meta["first_row"] == "top"
    Image.fromarray(colours[..., 0]).save(tmp_path / "b.jpg", quality=95)
    assert read_image(tmp_path / "b.jpg").data.shape == (6, 7)
    deep = np.array([[0, 65535], [300, 1]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "c.png")
    assert read_image(tmp_path / "c.png").data.tolist() == deep.tolist()


@pytest.mark.parametrize("flip", [False, True])
def test_parity_is_told_from_the_wcs(flip):
    for angle in (0, 33, 90, 200):
        wcs = make_wcs(angle=angle, flip=flip)
        image = SkyImage(np.zeros((4, 4)), wcs=wcs)
        assert image.parity == ("mirror" if flip else "sky")
        assert SkyImage(np.zeros((4, 4)), wcs=flip_wcs(wcs, 4)).parity != image.parity


def test_the_wcs_of_a_part_is_that_of_the_whole_with_every_distortion():
    wcs = make_wcs()
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a = np.zeros((3, 3))
    a[2, 0], a[0, 2] = 1e-4, -2e-4
    wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    table = np.random.default_rng(0).normal(0, 0.3, (6, 6)).astype(np.float32)
    wcs.cpdis1 = DistortionLookupTable(table, (1, 1), (1, 1), (10, 10))
    x, y = np.array([3.0, 18.5]), np.array([20.0, 7.25])
    whole = wcs.all_pix2world(x, y, 0)
    part = shift_wcs(wcs, 3, 5).all_pix2world(x - 3, y - 5, 0)
    np.testing.assert_allclose(part, whole, rtol=0, atol=1e-12)
    # and the distortion is felt
    assert np.abs(np.array(whole) - wcs.wcs_pix2world(x, y, 0)).max() * 3600 > 0.001


def test_images_go_to_other_processes():
    image = SkyImage(np.eye(4), wcs=make_wcs(), unit="nJy", meta={"path": "a.fits"})
    back = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(back.data, image.data)
    apart = back.wcs.pixel_to_world(3, 1).separation(image.wcs.pixel_to_world(3, 1))
    assert apart.arcsec < 1e-9
    assert dict(back.meta) == {"path": "a.fits"}


def test_what_is_given_is_checked_and_kept():
    data = np.array([[1, np.inf], [3, 4]], dtype=">f4")
    image = SkyImage(data, mask=[[True, False], [False, False]], unit="nJy")
    assert image.mask.tolist() == [[True, True], [False, False]]
    assert image.data.dtype.isnative
    assert image.planes.shape == (1, 2, 2)
    with pytest.raises(ValueError, match=r"mask must be of the shape of data \(2, 2\)"):
        SkyImage(data, mask=[True, False])
    with pytest.raises(ValueError, match=r"data must be of shape \(h, w\)"):
        SkyImage(np.zeros(3))
    with pytest.raises(ValueError, match="data must be numbers"):
        SkyImage(np.array([["a"]]))
    with pytest.raises(ValueError, match="wcs must be celestial and of two axes"):
        SkyImage(data, wcs=WCS(naxis=2))


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="set ASTROML_KIT_DATA to a folder with fits-images")
def test_the_shipped_images_read():
    folder = Path(DATA) / "fits-images"
    expected = {
        "HorseHead.fits": ((893, 891), True, None),
        "M13_blue_0001.fits": ((1040, 1392), False, None),
        "gc_2mass_h.fits": ((720, 721), True, None),
        "reprojected_sdss_g.fits.bz2": ((496, 682), True, "nmgy"),
        "sep_image.fits": ((256, 256), False, None),
        "spitzer_example_image.fits": ((513, 1025), True, "MJy / sr"),
    }
    for name, (shape, has_wcs, unit) in expected.items():
        image = read_image(folder / name)
        assert image.data.shape == shape
        assert (image.wcs is not None) == has_wcs
        assert (None if image.unit is None else str(image.unit)) == unit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # their headers are as they are
            same = np.asarray(fits.getdata(folder / name, 0), dtype=np.float64)
        np.testing.assert_allclose(image.data, same, rtol=1e-6)
