"""Sources: simulated ones found where they are, chance ones as often as said, peers agree."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.wcs import WCS

from astroml_kit.catalogs import match_catalogs
from astroml_kit.images import (
    Background,
    SkyImage,
    find_segments,
    find_sources,
    measure_background,
    measure_fluxes,
    read_image,
)
from astroml_kit.images._detect import count_trials
from astroml_kit.significance import p_value_from_significance

sep = pytest.importorskip("sep")
pytest.importorskip("photutils")

DATA = os.environ.get("ASTROML_KIT_DATA")
needs_data = pytest.mark.skipif(
    DATA is None or not (Path(DATA) / "fits-images").is_dir(),
    reason="needs the FITS images: set ASTROML_KIT_DATA, or astroml-kit datasets fetch fits-images",
)
FLAT = Background(np.zeros((80, 80)), np.ones((80, 80)))


def make_wcs(shape):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [359.999, 10.0]
    wcs.wcs.crpix = [shape[1] / 2, shape[0] / 2]
    wcs.wcs.cdelt = [-0.001, 0.001]
    return wcs


def draw_stars(places, flux, *, shape=(200, 200), sigma=1.5, seed=1, noise=1.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = np.random.default_rng(seed).normal(100, noise, shape)
    for (i, j), f in zip(places, np.broadcast_to(flux, len(places)), strict=True):
        r2 = (x - i) ** 2 + (y - j) ** 2
        image += f / (2 * np.pi * sigma**2) * np.exp(-0.5 * r2 / sigma**2)
    return image


PLACES = np.array([(20 + 40 * i + 0.3 * i, 30 + 40 * j - 0.2 * j) for i in range(4)
                   for j in range(4)])  # fmt: skip


@pytest.mark.parametrize("backend", ["sep", "photutils"])
def test_stars_are_found_where_they_are(backend):
    image = draw_stars(PLACES, 2000.0)
    found = find_segments(SkyImage(image, wcs=make_wcs(image.shape)), backend=backend, threshold=5)
    sources = found.sources
    assert len(sources) == 16
    truth = make_wcs(image.shape).pixel_to_world(*PLACES.T)
    pairs = match_catalogs(truth, sources["coord"], radius=0.4 * u.arcsec)
    assert len(pairs) == 16  # a pixel is 3.6 arcsec
    pull = (sources["flux"] - 2000) / sources["flux_error"]
    assert np.all(np.abs(sources["flux"] / 2000 - 1) < 0.06)
    assert np.abs(np.mean(pull)) < 3
    np.testing.assert_allclose(sources["semi_major"].value, 1.5, rtol=0.15)
    np.testing.assert_allclose(sources["r50"].value, 1.5 * np.sqrt(2 * np.log(2)), rtol=0.1)
    assert not np.any(sources["flag"])
    assert sorted(np.unique(found.segmentation)) == list(range(17))
    for row in sources:
        x, y = (round(row[name].value) for name in "xy")
        assert found.segmentation[y, x] == row["id"]
    assert "16 sources" in str(found)


@pytest.mark.parametrize("width", [0.0, 1.5])
def test_chance_sources_are_as_rare_as_said(width):
    """The best source of empty images has a uniform p-value after trials."""
    y, x = np.mgrid[-4:5, -4:5]
    kernel = np.exp(-0.5 * (x**2 + y**2) / width**2) if width else None
    rng = np.random.default_rng(8)
    best = []
    for _ in range(200):
        sources = find_sources(
            rng.normal(size=(80, 80)), threshold=2.7, min_pixels=1, kernel=kernel,
            background=FLAT, deblend_contrast=1,
        )  # fmt: skip
        best.append(max(sources["significance_post_trial"], default=-9))
    p_value = p_value_from_significance(np.array(best))
    for level in (0.1, 0.3, 0.5):
        room = 3 * np.sqrt(level * (1 - level) / 200)
        assert abs(np.mean(p_value < level) - level) < room
    plain = find_sources(rng.normal(size=(80, 80)), background=FLAT, min_pixels=5, threshold=3)
    assert not np.any(plain["significance_post_trial"] > 3)


def test_trials_of_independent_pixels():
    """Without a filter 1 - (1 - p)^n counts every pixel, but for neighbours both above."""
    np.testing.assert_allclose(count_trials([4.0, 6.0], np.ones((1, 1)), 500), 500, rtol=1e-3)
    wide = count_trials([3.0, 5.0, 40.0], np.ones((9, 9)), 10_000)
    assert np.all(np.diff(wide) > 0)
    assert wide[0] < 5000


def test_faint_sources_have_their_significance():
    """Filtered with its own shape, a source of flux f has f sqrt(sum k^2) / noise on average."""
    y, x = np.mgrid[-6:7, -6:7]
    kernel = np.exp(-0.5 * (x**2 + y**2) / 1.5**2)
    kernel /= kernel.sum()
    flux = 40.0
    image = draw_stars(PLACES.round(), flux)
    flat = Background(np.full(image.shape, 100.0), np.ones(image.shape))
    sources = find_sources(image, kernel=kernel, background=flat, threshold=2.5, min_pixels=1)
    x, y = sources["x"].value, sources["y"].value
    near = [int(np.argmin((x - i) ** 2 + (y - j) ** 2)) for i, j in PLACES.round()]
    expected = flux * np.sqrt(np.sum(kernel**2))
    assert np.mean(sources["significance"][near]) == pytest.approx(expected, abs=0.8)


def test_masked_pixels_and_uncertainty_are_used():
    image = draw_stars(PLACES, 500.0)
    mask = np.zeros(image.shape, dtype=bool)
    x, y = PLACES[5].round().astype(int)
    mask[y - 6 : y + 7, x - 6 : x + 7] = True
    spoilt = image.copy()
    spoilt[mask] = np.nan
    by_nan, by_mask = find_sources(spoilt, threshold=5), find_sources(image, mask=mask, threshold=5)
    assert len(by_nan) == len(by_mask) == 15
    np.testing.assert_array_equal(by_nan["flux"], by_mask["flux"])
    noisy = find_sources(SkyImage(image, uncertainty=np.full(image.shape, 10.0)), threshold=3)
    clean = find_sources(SkyImage(image, uncertainty=np.ones(image.shape)), threshold=3)
    strong = clean["significance"] > 20
    assert strong.sum() == 16
    assert len(noisy) <= 16
    assert noisy["significance"].max() == pytest.approx(clean["significance"].max() / 10, rel=0.01)


def test_flags():
    image = draw_stars([(100, 100), (106, 100), (1, 50), (50, 150)], 4000.0)
    mask = np.zeros(image.shape, dtype=bool)
    mask[150, 54] = True
    sources = find_sources(image, threshold=4, mask=mask)
    order = np.argsort(sources["x"])
    assert sources["flag"][order].tolist() == [2, 4, 1, 1]


@pytest.mark.parametrize("backend", ["sep", "photutils"])
def test_nothing_there(backend):
    empty = np.random.default_rng(3).normal(size=(60, 60))
    image = SkyImage(empty, wcs=make_wcs(empty.shape), unit="nJy")
    found = find_segments(image, threshold=8, backend=backend)
    assert len(found) == 0
    assert found.sources["flux"].unit == u.nJy
    assert len(match_catalogs(SkyCoord([0], [10], unit="deg"), found.sources["coord"],
                              radius=1 * u.deg)) == 0  # fmt: skip
    with_sources = find_sources(SkyImage(draw_stars(PLACES, 2000.0)))
    assert set(with_sources.colnames) == set(found.sources.colnames) - {"coord"}
    assert len(find_sources(np.full((30, 30), np.nan), backend=backend)) == 0


def test_bands_are_averaged_or_chosen():
    image = draw_stars(PLACES, 2000.0)
    cube = SkyImage(np.stack([image, np.full(image.shape, 100.0)]), bands=("g", "r"))
    whole, one = find_sources(cube, threshold=5), find_sources(cube, band="g", threshold=5)
    np.testing.assert_allclose(whole["flux"], one["flux"] / 2, rtol=1e-3)


@pytest.mark.parametrize("backend", ["sep", "photutils"])
def test_background(backend):
    slope = 0.05 * np.arange(200.0)
    sky = measure_background(draw_stars(PLACES, 500.0) + slope, backend=backend, box=40)
    inner = np.s_[20:180, 20:180]
    truth = np.broadcast_to(100 + slope, (200, 200))
    np.testing.assert_allclose(sky.level[inner], truth[inner], atol=1.2)  # of 2 per box
    np.testing.assert_allclose(sky.noise[inner], 1, atol=0.2)


def test_forced_fluxes():
    image = draw_stars(PLACES, 300.0)
    sky = SkyImage(image, wcs=make_wcs(image.shape), unit="nJy")
    rng = np.random.default_rng(4)
    empty = np.column_stack([rng.uniform(5, 195, 400), rng.choice([8, 50, 90, 130, 170], 400)])
    flat = Background(np.full(image.shape, 100.0), np.ones(image.shape))
    table = measure_fluxes(sky, tuple(np.concatenate([PLACES, empty, [[-50, 5]]]).T), radius=4,
                           background=flat)  # fmt: skip
    inside = 1 - np.exp(-0.5 * (4 / 1.5) ** 2)
    pull = ((table["flux"] - 300 * inside * u.nJy) / table["flux_error"]).value
    assert np.std(pull[:16]) == pytest.approx(1, abs=0.5)
    assert np.abs(np.mean(pull[:16])) < 1
    assert table["flux_error"][0].value == pytest.approx(np.sqrt(np.pi * 16), rel=1e-6)
    assert np.mean(table["significance"][16:-1]) == pytest.approx(0, abs=0.3)
    assert np.std(table["significance"][16:-1]) == pytest.approx(1, abs=0.2)
    assert np.all(table["upper_limit"][:-1] > 0)
    assert np.mean(table["upper_limit"][16:-1].value > 0) >= 0.95
    assert np.isnan(table["flux"][-1])
    assert table["usable"][-1] == 0
    by_sky = measure_fluxes(sky, table["coord"][:16], radius=4 * 3.6 * u.arcsec, background=flat)
    np.testing.assert_allclose(by_sky["flux"].value, table["flux"][:16].value, rtol=1e-4)


def test_upper_limits_hold():
    """A true flux of one sigma lies below the limit at least as often as said."""
    rng = np.random.default_rng(5)
    image = rng.normal(0, 1, (300, 300)) + 1 / np.sqrt(np.pi * 9)
    y, x = np.mgrid[10:290:8, 10:290:8]
    flat = Background(np.zeros(image.shape), np.ones(image.shape))
    table = measure_fluxes(image, (x.ravel(), y.ravel()), radius=3, background=flat, confidence=0.9)
    truth = np.sqrt(np.pi * 9)
    assert np.mean(table["upper_limit"] >= truth) >= 0.9


@pytest.mark.parametrize(("options", "words"), [
    ({"threshold": 0}, "threshold must be"), ({"min_pixels": 0}, "min_pixels must be"),
    ({"kernel": np.ones((2, 3))}, "kernel must be of two odd sides"), ({"kernel": "psf"}, "psf"),
    ({"backend": "sextractor"}, "backend must be one of"), ({"deblend_contrast": 2}, "deblend"),
    ({"mask": np.zeros((3, 3))}, "mask must be of the shape"), ({"box": 0}, "box must be"),
])  # fmt: skip
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        find_sources(np.random.default_rng(1).normal(size=(40, 40)), **options)


def test_bad_input():
    with pytest.raises(ValueError, match="noise must be finite and > 0"):
        find_sources(np.zeros((80, 80)), background=Background(FLAT.level, FLAT.level))
    with pytest.raises(ValueError, match="pixels that are not masked"):
        measure_background(np.full((5, 5), np.nan))
    with pytest.raises(ValueError, match="where the image has no WCS"):
        measure_fluxes(np.zeros((9, 9)), SkyCoord([1], [1], unit="deg"), radius=2)
    with pytest.raises(ValueError, match="where the image has no WCS"):
        measure_fluxes(np.zeros((9, 9)), ([1], [1]), radius=2 * u.arcsec)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", ["sep_image.fits", "reprojected_sdss_r.fits.bz2"])
def test_positions_agree_with_sep_and_photutils(name):
    from photutils.segmentation import SourceCatalog, deblend_sources, detect_sources
    from scipy.ndimage import correlate

    image = read_image(Path(DATA) / "fits-images" / name)
    data = np.ascontiguousarray(image.data, dtype=float)
    sky = sep.Background(data)
    direct = sep.extract(data - sky.back(), 3.0, err=sky.rms(), minarea=5)
    ours = find_sources(image, threshold=3)
    assert len(ours) == len(direct)
    assert np.abs(ours["x"].value - direct["x"]).max() < 0.01
    assert np.abs(ours["y"].value - direct["y"]).max() < 0.01
    kernel = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    level = measure_background(image, backend="photutils")
    smooth = correlate(data - level.level, kernel, mode="constant")
    limit = 3 * level.noise * np.sqrt(np.sum(kernel**2))
    segments = detect_sources(smooth, limit, 5)
    segments = deblend_sources(smooth, segments, 5, progress_bar=False, contrast=0.005)
    catalog = SourceCatalog(data - level.level, segments)
    ours = find_sources(image, threshold=3, backend="photutils")
    assert len(ours) == pytest.approx(len(catalog.x_centroid), abs=0.02 * len(ours))
    apart = np.hypot(ours["x"].value[:, None] - catalog.x_centroid,
                     ours["y"].value[:, None] - catalog.y_centroid).min(axis=1)  # fmt: skip
    assert np.median(apart) < 0.01
    assert np.mean(apart < 0.1) > 0.95


@needs_data
@pytest.mark.data
def test_spitzer_sources_are_in_their_catalogue():
    folder = Path(DATA) / "fits-images"
    sources = find_sources(read_image(folder / "spitzer_example_image.fits"), threshold=5, box=32)
    table = Table.read(folder / "spitzer_example_catalog.xml")
    known = SkyCoord(table["l"], table["b"], frame="galactic")
    pairs = match_catalogs(known, sources["coord"], radius=2 * u.arcsec)
    assert len(pairs) / len(known) > 0.95
    assert np.median(pairs["separation"]) < 0.5 * u.arcsec  # a pixel is 1.2 arcsec
